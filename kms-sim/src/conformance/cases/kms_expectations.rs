//! What AWS KMS itself looks at: before it creates a store or a key, and before it hands out a ciphertext.

use super::super::case::Check::Story;
use super::super::case::{Case, Outcome, kms, must};
use super::super::kit::Kit;
use super::cdiv::taken_by_kms;
use super::health::health;
use super::key_metadata::holds;
use super::{APPENDIX_A, ENCRYPT, GET_HEALTH_STATUS, GET_KEY_METADATA, OPERATIONS};

pub(super) const CASES: &[Case] = &[
    kms(
        "create-custom-key-store",
        GET_HEALTH_STATUS,
        "CreateCustomKeyStore succeeds if GetHealthStatus does and an external key manager is not UNAVAILABLE",
        Story(|kit| healthy(kit, "CreateCustomKeyStore")),
    ),
    kms(
        "connect-custom-key-store",
        GET_HEALTH_STATUS,
        "ConnectCustomKeyStore succeeds if GetHealthStatus does and an external key manager is not UNAVAILABLE",
        Story(|kit| healthy(kit, "ConnectCustomKeyStore")),
    ),
    kms(
        "create-key",
        GET_KEY_METADATA,
        "CreateKey succeeds for a key of AES_256 that is ENABLED and has both ENCRYPT and DECRYPT",
        Story(|kit| {
            let draft = kit.metadata().without_metadata("kmsKeyArn");
            let wire = draft.metadata("kmsOperation", "CreateKey").sign();
            let key = kit.send(&wire)?.key_metadata()?;
            let has = |name: &str| key.usage.iter().any(|usage| usage == name);
            holds(
                key.spec == "AES_256"
                    && key.status == "ENABLED"
                    && has("ENCRYPT")
                    && has("DECRYPT"),
                || format!("it is {} {} {:?}", key.spec, key.status, key.usage),
            )
        }),
    ),
    kms(
        "generate-data-key",
        ENCRYPT,
        "GenerateDataKey gives a data key if its ciphertext has the right length and a CDIV that is right, and it decrypts",
        Story(|kit| taken_by_kms(kit, &[0xd4; 32], Some(b"encryption context"))),
    ),
    kms(
        "encrypt-with-the-largest-input",
        ENCRYPT,
        "KMS's Encrypt takes 4,096 bytes, and the proxy more, since KMS adds to them",
        Story(|kit| taken_by_kms(kit, &[0xd5; 4300], Some(&[0xd6; 8192]))),
    ),
    kms(
        "re-encrypt",
        ENCRYPT,
        "ReEncrypt is a Decrypt and an Encrypt, both for that operation",
        Story(|kit| {
            let sealed = kit.seal(b"re-encrypted", Some(b"before"))?;
            let decrypt = kit.decrypt(&sealed).metadata("kmsOperation", "ReEncrypt");
            let plaintext = kit.send(&decrypt.sign())?.plaintext()?;
            let encrypt = kit.encrypt_of(&plaintext, Some(b"after"));
            let encrypt = encrypt.metadata("kmsOperation", "ReEncrypt");
            let sealed = kit.send(&encrypt.sign())?.sealed(Some(b"after"))?;
            super::encrypt::same(&kit.open(&sealed)?, b"re-encrypted")
        }),
    ),
    kms(
        "answers-are-short",
        OPERATIONS,
        "KMS reads answers of a bounded length: the largest Encrypt is answered in fewer than 16 KiB",
        Story(|kit| {
            let wire = kit.encrypt_of(&[1; 4300], Some(&[2; 8192])).sign();
            let answer = kit.send(&wire)?;
            answer.sealed(None)?;
            holds(answer.body.len() < 16 * 1024, || {
                format!("the answer has {} bytes", answer.body.len())
            })
        }),
    ),
    must(
        "host-is-a-domain-name",
        OPERATIONS,
        "the server of the endpoint is a domain name, and no address",
        Story(|kit| {
            let host = &kit.target.host;
            let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
            let is_address = host.parse::<std::net::IpAddr>().is_ok();
            holds(!is_address && host.bytes().all(allowed), || {
                format!("the host is {host}")
            })
        }),
    ),
    must(
        "uri-path-of-kms",
        OPERATIONS,
        "XksProxyUriPath has at most 128 letters, digits, slashes, dashes and underscores and ends with /kms/xks/v1",
        Story(|kit| {
            let path = &kit.target.uri_path;
            let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_');
            let fits = path.len() <= 128
                && path.bytes().all(allowed)
                && path.starts_with('/')
                && path.ends_with("/kms/xks/v1");
            holds(fits, || format!("the path is {path}"))
        }),
    ),
    must(
        "uris-of-at-most-256-characters",
        OPERATIONS,
        "the URIs of the key's operations have at most 256 characters",
        Story(|kit| {
            let target = kit.target;
            let uri = format!(
                "https://{}{}/keys/{}/metadata",
                target.authority(),
                target.uri_path,
                target.key_id
            );
            holds(uri.len() <= 256, || {
                format!("a URI has {} characters", uri.len())
            })
        }),
    ),
    must(
        "key-id-of-kms",
        OPERATIONS,
        "an external key id has up to 128 letters, digits, dashes, dots and underscores",
        Story(|kit| {
            let id = &kit.target.key_id;
            let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
            let fits = (1..=128).contains(&id.len()) && id.bytes().all(allowed);
            holds(fits, || format!("the key id is {id}"))
        }),
    ),
    must(
        "access-key-id-of-kms",
        APPENDIX_A,
        "an access key id has 20 to 30 of the letters A to Z and the digits 2 to 7",
        Story(|kit| {
            let id = &kit.target.credential.access_key_id;
            let allowed = |b: u8| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b);
            let fits = (20..=30).contains(&id.len()) && id.bytes().all(allowed);
            holds(fits, || format!("the access key id is {id}"))
        }),
    ),
    must(
        "secret-access-key-of-kms",
        APPENDIX_A,
        "a secret access key has 43 to 64 letters, digits and any of + / =",
        Story(|kit| {
            let secret = &kit.target.credential.secret_access_key;
            let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
            let fits = (43..=64).contains(&secret.len()) && secret.bytes().all(allowed);
            holds(fits, || {
                format!(
                    "the secret access key has {} characters, or others",
                    secret.len()
                )
            })
        }),
    ),
    must(
        "access-key-id-tells-nothing-of-the-secret",
        APPENDIX_A,
        "an access key id reveals nothing of its secret",
        Story(|kit| {
            let credential = &kit.target.credential;
            let id = credential.access_key_id.to_ascii_uppercase();
            let secret = credential.secret_access_key.to_ascii_uppercase();
            let shared = secret
                .as_bytes()
                .windows(8)
                .any(|part| id.as_bytes().windows(8).any(|of_id| of_id == part));
            holds(!shared, || {
                "eight characters in a row of the id are in the secret, too".to_owned()
            })
        }),
    ),
];

fn healthy(kit: &Kit<'_>, kms_operation: &str) -> Outcome {
    let wire = kit.health().metadata("kmsOperation", kms_operation).sign();
    let instances = kit.send(&wire)?.health()?.instances;
    health(kit)?;
    let serves = |status: &str| matches!(status, "ACTIVE" | "DEGRADED");
    let any = instances.iter().any(|instance| serves(&instance.status));
    holds(any, || {
        "every external key manager is UNAVAILABLE".to_owned()
    })
}
