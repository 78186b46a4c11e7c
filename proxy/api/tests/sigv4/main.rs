//! The SigV4 verifier against `aws-sigv4` as the signer.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may panic in its helpers too"
)]

mod authorization;
mod credential_scope;
mod oracle;
mod request;
mod signer;
