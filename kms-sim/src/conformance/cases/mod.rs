//! Every case, in tables: one file for each idea.

mod authentication;
mod base64;
mod canonicalization;
mod cdiv;
mod ciphertext;
mod concurrency;
mod credential_scope;
mod dates;
mod encrypt;
mod errors;
mod health;
mod http1;
mod http2;
mod json;
mod key_metadata;
mod key_usage;
mod kms_expectations;
mod mtls;
mod paths;
mod request_metadata;
mod sizes;
mod timing;
mod tls;

use super::case::Case;

/// Every case, in the order in which they run.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    TABLES.iter().flat_map(|table| table.iter())
}

const TABLES: [&[Case]; 23] = [
    tls::CASES,
    health::CASES,
    key_metadata::CASES,
    encrypt::CASES,
    ciphertext::CASES,
    cdiv::CASES,
    sizes::CASES,
    base64::CASES,
    json::CASES,
    request_metadata::CASES,
    key_usage::CASES,
    authentication::CASES,
    credential_scope::CASES,
    canonicalization::CASES,
    dates::CASES,
    paths::CASES,
    errors::CASES,
    http1::CASES,
    http2::CASES,
    concurrency::CASES,
    timing::CASES,
    kms_expectations::CASES,
    mtls::CASES,
];

// Sections of the specification.
const CONTENT_TYPE: &str = "API content type";
const OPERATIONS: &str = "API operations";
const GET_KEY_METADATA: &str = "GetKeyMetadata";
const ENCRYPT: &str = "Encrypt";
const DECRYPT: &str = "Decrypt";
const GET_HEALTH_STATUS: &str = "GetHealthStatus";
const ERROR_CODES: &str = "Error codes";
const AUTHENTICATION: &str = "Authentication";
const CREDENTIALS_ROTATION: &str = "SigV4 credentials rotation";
const LOAD_BALANCERS: &str = "Load balancer health checks";
const APPENDIX_A: &str = "Appendix A";
const CANONICAL_REQUEST: &str = "Appendix A, task 1";
const STRING_TO_SIGN: &str = "Appendix A, task 2";
const CALCULATE: &str = "Appendix A, task 3";
const MATCH: &str = "Appendix A, task 4";
const APPENDIX_B: &str = "Appendix B";
const APPENDIX_C: &str = "Appendix C";

/// Flips the lowest bit of a byte, counted from the start.
fn flip(bytes: &mut [u8], at: usize) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1;
    }
}

/// Flips the highest bit of the last byte.
fn flip_last(bytes: &mut [u8]) {
    if let Some(byte) = bytes.last_mut() {
        *byte ^= 0x80;
    }
}

/// Takes the last byte away.
fn shorten(bytes: &mut Vec<u8>) {
    bytes.truncate(bytes.len().saturating_sub(1));
}
