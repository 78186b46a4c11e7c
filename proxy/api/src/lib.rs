//! The AWS KMS external key store (XKS) proxy API, version 1, without IO.
//!
//! Both ends of the protocol share this crate: the proxy parses requests and encodes responses, a
//! KMS parses responses and encodes requests. There is no socket, no clock and no key manager here;
//! the time is an argument.
//!
//! | module | owns |
//! |---|---|
//! | [`route`] | (method, path) → URI path prefix and operation |
//! | [`ids`] | identifiers and credentials as validated types |
//! | [`metadata`] | `requestMetadata` |
//! | [`fields`] | plaintext, AAD, IV, tag, ciphertext metadata |
//! | [`sealed`] | the result of an encryption, its framed AAD and its CDIV |
//! | [`message`] | request and response of each operation |
//! | [`error`] | the twelve error names |
//! | [`sigv4`] | verification of AWS Signature Version 4 |

pub mod error;
pub mod fields;
pub mod ids;
pub mod message;
pub mod metadata;
pub mod route;
pub mod sealed;
pub mod sigv4;
