//! The credential scope: date, Region, service and terminator of a signature that is consistent in itself.

use time::Duration;

use super::super::case::Check::Refused;
use super::super::case::{AUTHENTICATION as NOT_AUTHENTIC, Case, must, should};
use super::super::kit::now;
use super::super::signature::scope_date;
use super::{APPENDIX_A, CALCULATE, STRING_TO_SIGN};

pub(super) const CASES: &[Case] = &[
    must(
        "scope-of-service-kms",
        CALCULATE,
        "the service of the scope is kms-xks-proxy, and not that of KMS itself",
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .with(|draft| draft.signature.service = "kms".into())
                    .sign())
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "scope-of-another-service",
        CALCULATE,
        "the service of the scope is kms-xks-proxy, and no other one",
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .with(|draft| draft.signature.service = "execute-api".into())
                    .sign())
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "scope-without-service",
        CALCULATE,
        "the service of the scope is kms-xks-proxy, and not empty",
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .with(|draft| draft.signature.service.clear())
                    .sign())
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "scope-with-another-terminator",
        STRING_TO_SIGN,
        "the scope ends with aws4_request",
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .with(|draft| draft.signature.terminator = "aws5_request".into())
                    .sign())
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "scope-without-region",
        APPENDIX_A,
        "the scope names the Region from which KMS calls",
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .with(|draft| draft.signature.region.clear())
                    .sign())
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "scope-of-another-region-than-signed",
        CALCULATE,
        "the Region of the scope is part of the signing key",
        Refused(
            |kit| {
                let region = format!("/{}/", kit.target.region);
                Ok(kit
                    .encrypt()
                    .sign()
                    .authorization(|text| text.replace(&region, "/mx-central-9/")))
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "scope-of-another-day-than-signed",
        CALCULATE,
        "the date of the scope is part of the signing key",
        Refused(
            |kit| {
                let (day, other) = (scope_date(now()), scope_date(now() - Duration::DAY));
                Ok(kit
                    .encrypt()
                    .sign()
                    .authorization(|text| text.replace(&format!("/{day}/"), &format!("/{other}/"))))
            },
            NOT_AUTHENTIC,
        ),
    ),
    should(
        "scope-of-yesterday",
        STRING_TO_SIGN,
        "the date of the scope is the day of X-Amz-Date, else old signing keys would live on",
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .with(|draft| draft.signature.scope_date = scope_date(now() - Duration::DAY))
                    .sign())
            },
            NOT_AUTHENTIC,
        ),
    ),
    should(
        "scope-of-tomorrow",
        STRING_TO_SIGN,
        "the date of the scope is the day of X-Amz-Date, and not one to come",
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .with(|draft| draft.signature.scope_date = scope_date(now() + Duration::DAY))
                    .sign())
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "scope-without-date",
        STRING_TO_SIGN,
        "a scope without a date is refused",
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .with(|draft| draft.signature.scope_date.clear())
                    .sign())
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "scope-with-a-part-too-many",
        STRING_TO_SIGN,
        "a scope has four parts",
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .with(|draft| draft.signature.region.push_str("/extra"))
                    .sign())
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "scope-with-a-part-too-few",
        STRING_TO_SIGN,
        "a scope has four parts",
        Refused(
            |kit| {
                let region = format!("/{}/", kit.target.region);
                Ok(kit
                    .encrypt()
                    .sign()
                    .authorization(|text| text.replacen(&region, "/", 1)))
            },
            NOT_AUTHENTIC,
        ),
    ),
];
