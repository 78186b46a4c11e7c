//! Defects of date, Region, service, access key id and secret, and what is valid of them.

use time::Duration;
use time::macros::datetime;
use xks_api::sigv4::{Reason, Regions, Verifier};

use crate::signer::{
    ID, NOW, Request, SECRET, Signer, refused, sign_default, verifier, verifier_for,
};

const OTHER_ID: &str = "OTHERAAAAAAAAAAAAAAAAAAAAAAAAA";
const OTHER_SECRET: &str = "z/z/z/z/z/z/z/z/z/z/z/z/z/z/z/z/z/z/z/z/z/z";

#[test]
fn malformed_date_is_rejected() {
    for value in [
        "2026-11-24T12:36:00Z",
        "20261124T123600",
        "20261124T123600z",
        "20261124T126000Z",
        "20261324T123600Z",
        "Tue, 24 Nov 2026 12:36:00 GMT",
        "",
    ] {
        let mut request = sign_default(Request::encrypt());
        *request.value("x-amz-date") = value.into();
        refused(&request, Reason::MalformedDate);
    }
}

#[test]
fn date_of_another_day_than_the_scope_is_rejected() {
    let signed = sign_default(Request::encrypt());
    for date in ["20261123", "20261125", "20251124", "00000000"] {
        let request = signed.clone().authorization("20261124", date);
        refused(&request, Reason::DateOutOfScope);
    }
    let mut request = signed;
    *request.value("x-amz-date") = b"20261125T123600Z".to_vec();
    refused(&request, Reason::DateOutOfScope);
}

#[test]
fn a_clock_may_be_off_by_five_minutes_and_no_more() {
    let signed = sign_default(Request::encrypt());
    let verifier = verifier(&[(ID, SECRET)]);
    let five_minutes = Duration::minutes(5);
    let second = Duration::seconds(1);
    let verify = |now| signed.verify_at(&verifier, now).map_err(|f| f.reason());
    for now in [NOW + five_minutes, NOW - five_minutes, NOW] {
        assert!(verify(now).is_ok(), "{now}");
    }
    for (now, ahead_seconds) in [
        (NOW + five_minutes + second, -301),
        (NOW - five_minutes - second, 301),
        (NOW + five_minutes + Duration::nanoseconds(1), -300),
        (NOW + Duration::days(1), -86_400),
    ] {
        assert_eq!(
            verify(now),
            Err(Reason::ClockSkew { ahead_seconds }),
            "{now}"
        );
    }
}

#[test]
fn both_sides_of_midnight_are_accepted() {
    let verifier = verifier(&[(ID, SECRET)]);
    let midnight = datetime!(2026-11-25 00:00:00 UTC);
    for offset in [-2, 2, -1, 1] {
        let signer = Signer {
            time: midnight + Duration::minutes(offset),
            ..Signer::default()
        };
        let request = signer.sign(Request::encrypt());
        let result = request.verify_at(&verifier, midnight);
        assert!(result.is_ok(), "{offset}: {result:?}");
    }
}

#[test]
fn wrong_service_is_rejected() {
    for service in ["kms", "kms-xks-proxy2", "KMS-XKS-PROXY", ""] {
        let signer = Signer {
            service: service.into(),
            ..Signer::default()
        };
        refused(&signer.sign(Request::encrypt()), Reason::WrongService);
    }
}

#[test]
fn region_is_free_unless_the_key_store_names_some() {
    let only = |regions: &[&str]| {
        let regions = regions.iter().map(|r| (*r).try_into().unwrap()).collect();
        verifier_for(&[(ID, SECRET)], Regions::Only(regions))
    };
    let signed = sign_default(Request::encrypt());
    assert!(
        signed
            .verify_at(&only(&["eu-west-1", "us-east-1"]), NOW)
            .is_ok()
    );
    for other in [only(&["eu-west-1"]), only(&[])] {
        for _ in 0..2 {
            let failure = signed.verify_at(&other, NOW).unwrap_err();
            assert_eq!(failure.reason(), Reason::RegionNotAllowed);
        }
        let forged = signed.clone().authorization("Signature=", "Signature=0");
        let mut forged = forged;
        forged.value("authorization").pop();
        let failure = forged.verify_at(&other, NOW).unwrap_err();
        assert_eq!(failure.reason(), Reason::SignatureMismatch);
    }
    let request = signed.authorization("/us-east-1/", "/us-east-2/");
    refused(&request, Reason::SignatureMismatch);
}

#[test]
fn unknown_access_key_id_is_rejected_even_with_the_decoys_secret() {
    let decoy = "DecoyDecoyDecoyDecoyDecoyDecoyDecoyDecoyDecoyDecoyDecoyDecoyDeco";
    let verifier = verifier(&[(ID, SECRET)]);
    for secret in [SECRET, decoy] {
        let signer = Signer {
            id: OTHER_ID.into(),
            secret: secret.into(),
            ..Signer::default()
        };
        let forged = signer.sign(Request::encrypt());
        // Before and after the scope's keys are cached.
        for _ in 0..2 {
            let failure = forged.verify_at(&verifier, NOW).unwrap_err();
            assert_eq!(failure.reason(), Reason::UnknownAccessKeyId);
            assert_eq!(failure.claimed_access_key_id().unwrap().as_str(), OTHER_ID);
            assert!(
                sign_default(Request::encrypt())
                    .verify_at(&verifier, NOW)
                    .is_ok()
            );
        }
    }
    let none = verifier_for(&[], Regions::Any);
    let failure = sign_default(Request::encrypt()).verify_at(&none, NOW);
    assert_eq!(failure.unwrap_err().reason(), Reason::UnknownAccessKeyId);
}

#[test]
fn two_credentials_are_valid_at_a_time_and_a_revoked_one_is_not() {
    let signer = |id: &str, secret: &str| Signer {
        id: id.into(),
        secret: secret.into(),
        ..Signer::default()
    };
    let old = signer(ID, SECRET).sign(Request::encrypt());
    let new = signer(OTHER_ID, OTHER_SECRET).sign(Request::encrypt());
    let both = verifier(&[(ID, SECRET), (OTHER_ID, OTHER_SECRET)]);
    // Cold, then with cached keys.
    for _ in 0..2 {
        assert_eq!(old.verify_at(&both, NOW).unwrap().as_str(), ID);
        assert_eq!(new.verify_at(&both, NOW).unwrap().as_str(), OTHER_ID);
        for mixed in [signer(ID, OTHER_SECRET), signer(OTHER_ID, SECRET)] {
            let failure = mixed
                .sign(Request::encrypt())
                .verify_at(&both, NOW)
                .unwrap_err();
            assert_eq!(failure.reason(), Reason::SignatureMismatch);
        }
    }
    let rotated = verifier(&[(OTHER_ID, OTHER_SECRET)]);
    assert!(new.verify_at(&rotated, NOW).is_ok());
    assert!(old.verify_at(&rotated, NOW).is_err());
}

#[test]
fn an_access_key_id_names_one_secret() {
    let credential = |secret: &str| (ID.try_into().unwrap(), secret.try_into().unwrap());
    let credentials = [credential(SECRET), credential(OTHER_SECRET)];
    let error = Verifier::new(credentials, Regions::Any).unwrap_err();
    assert_eq!(error.0.as_str(), ID);
}

#[test]
fn failures_print_alike_and_secrets_not_at_all() {
    let verifier = verifier(&[(ID, SECRET)]);
    let signed = sign_default(Request::encrypt());
    let texts = [
        signed.clone().without("authorization"),
        signed.clone().authorization(ID, OTHER_ID),
        signed.clone().authorization("us-east-1", "us-east-2"),
        signed.without("host"),
    ]
    .map(|r| r.verify_at(&verifier, NOW).unwrap_err().to_string());
    assert!(texts.iter().all(|t| *t == texts[0]), "{texts:?}");
    let debug = format!("{verifier:?}");
    assert!(debug.contains(ID) && !debug.contains(SECRET), "{debug}");
}
