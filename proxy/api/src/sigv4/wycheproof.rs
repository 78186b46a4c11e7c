//! Project Wycheproof's vectors of HMAC-SHA-256 as signatures: through the comparison that requests are verified by.

use ring::hmac;
use serde_json::Value;
use time::macros::date;

use super::Claim;
use super::authorization::Authorization;

fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

#[test]
fn wycheproof_hmac() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/vectors/wycheproof_hmac.json"
    );
    let vectors: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let vectors = vectors["vectors"].as_array().unwrap();
    let (mut taken, mut refused, mut short) = (0, 0, 0);
    for vector in vectors.iter().filter(|vector| vector[0] == "HMACSHA256") {
        let header = format!(
            "AWS4-HMAC-SHA256 Credential=A/20261124/us-east-1/kms-xks-proxy/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature={}",
            vector[4].as_str().unwrap()
        );
        // A MAC that was cut short is no signature, whatever it is of.
        let Ok(authorization) = Authorization::parse(header.as_bytes()) else {
            assert_ne!(bytes(&vector[4]).len(), 32, "{vector}");
            short += 1;
            continue;
        };
        let claim = Claim {
            authorization: &authorization,
            date: date!(2026 - 11 - 24),
            string_to_sign: bytes(&vector[3]),
        };
        let key = hmac::Key::new(hmac::HMAC_SHA256, &bytes(&vector[2]));
        let valid = vector[5] == "valid";
        assert_eq!(claim.is_signed_with(&key), valid, "{vector}");
        if valid { taken += 1 } else { refused += 1 }
    }
    assert_eq!((taken, refused, short), (27, 54, 81));
}
