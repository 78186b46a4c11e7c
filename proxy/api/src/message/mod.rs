//! Request and response of each operation: JSON bytes to typed values and back.
//!
//! The proxy parses requests and encodes responses; a KMS encodes requests and parses responses. Parsing is strict:
//! objects that are objects, standard base64 with padding, no duplicate members, every length as its type allows.

mod base64_object;
mod decrypt;
mod encrypt;
mod health;
mod key_metadata;
mod object;

use std::borrow::Cow;

use base64_simd::{AsOut as _, STANDARD};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

pub use decrypt::{DecryptRequest, DecryptResponse};
pub use encrypt::{CdivAlgorithm, EncryptRequest, EncryptResponse};
pub use health::{EkmFleetDetail, GetHealthStatusRequest, GetHealthStatusResponse, HealthStatus};
pub use key_metadata::{
    GetKeyMetadataRequest, GetKeyMetadataResponse, KeySpec, KeyStatus, KeyUsage,
};

use self::object::Object;
use crate::error::ErrorName;

/// Why a request cannot be served as it stands: an error name and a constant message.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidRequest {
    /// ValidationException, UnsupportedOperationException or InvalidCiphertextException.
    pub name: ErrorName,
    /// Fewer than 512 printable ASCII characters; nothing of the request is in it.
    pub message: &'static str,
}

impl InvalidRequest {
    const fn validation(message: &'static str) -> Self {
        Self {
            name: ErrorName::Validation,
            message,
        }
    }
}

/// A response that the specification does not allow; what KMS calls malformed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("malformed response: {0}")]
pub struct MalformedResponse(pub &'static str);

/// The largest plaintext or ciphertext, in bytes; the specification asks for 4,300.
pub const MAX_TEXT_LEN: usize = 65_536;

/// A base64 JSON string, borrowed where it has no escapes and wiped where it had to be copied.
#[derive(Deserialize, Serialize)]
#[serde(transparent)]
struct Base64Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Base64Text<'_> {
    fn encode(bytes: &[u8]) -> Base64Text<'static> {
        Base64Text(Cow::Owned(STANDARD.encode_to_string(bytes)))
    }

    /// `None` unless the text is standard base64 with padding and no bit left over.
    fn decode(&self) -> Option<Zeroizing<Vec<u8>>> {
        let text = self.0.as_bytes();
        let mut bytes = Zeroizing::new(vec![0; STANDARD.estimated_decoded_length(text.len())]);
        let len = STANDARD
            .decode(text, bytes.as_mut_slice().as_out())
            .ok()?
            .len();
        bytes.truncate(len);
        Some(bytes)
    }
}

impl Drop for Base64Text<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(text) = &mut self.0 {
            text.zeroize();
        }
    }
}

/// Parses the JSON of a request.
fn parse_request<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, InvalidRequest> {
    const NO_JSON: InvalidRequest =
        InvalidRequest::validation("the request body is not valid JSON");
    // The whole at once: many times faster than string by string.
    let text = std::str::from_utf8(body).map_err(|_| NO_JSON)?;
    let parsed = serde_json::from_str::<Object<T>>(text);
    parsed
        .map(|Object(request)| request)
        .map_err(|e| match e.classify() {
            serde_json::error::Category::Data => InvalidRequest::validation(
                "a member of the request is missing, duplicated or not of its type",
            ),
            _ => NO_JSON,
        })
}

/// Parses the JSON of a response.
fn parse_response<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, MalformedResponse> {
    serde_json::from_slice::<Object<T>>(body)
        .map(|Object(response)| response)
        .map_err(|_| MalformedResponse("not the JSON object that the operation answers with"))
}

/// Encodes JSON into a buffer that is wiped when it is dropped.
///
/// `capacity` must cover the whole text, so that no copy of it stays behind in a smaller buffer.
fn encode<T: Serialize>(value: &T, capacity: usize) -> Zeroizing<Vec<u8>> {
    let mut buffer = Zeroizing::new(Vec::with_capacity(capacity));
    serde_json::to_writer(&mut *buffer, value).expect("strings, numbers and lists always encode");
    debug_assert!(buffer.len() <= capacity, "{} > {capacity}", buffer.len());
    buffer
}

/// The length of the base64 text of `len` bytes.
const fn base64_len(len: usize) -> usize {
    len.div_ceil(3) * 4
}

/// The one text for everything that does not decrypt, so that no answer tells one defect from another.
pub const INVALID_CIPHERTEXT_MESSAGE: &str =
    "the ciphertext, initialization vector, tag, metadata or AAD is not what Encrypt gave";

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose};
    use proptest::prelude::*;

    use super::*;

    fn decode(text: &str) -> Option<Vec<u8>> {
        Base64Text(Cow::Borrowed(text))
            .decode()
            .map(|bytes| bytes.to_vec())
    }

    proptest! {
        /// Another implementation, told to be strict, is the judge of every text that is nearly base64.
        #[test]
        fn base64_is_what_a_strict_implementation_takes(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            place in any::<prop::sample::Index>(),
            replacement in "[A-Za-z0-9+/=_ \n-]{0,3}",
        ) {
            let text = general_purpose::STANDARD.encode(&bytes);
            prop_assert_eq!(&*Base64Text::encode(&bytes).0, &text);
            prop_assert_eq!(decode(&text), Some(bytes));
            let at = place.index(text.len() + 1);
            for keep in [0, 1, 2] {
                let rest = text.get(at + keep..).unwrap_or_default();
                let changed = format!("{}{replacement}{rest}", &text[..at]);
                let strict = general_purpose::STANDARD.decode(&changed).ok();
                prop_assert_eq!(decode(&changed), strict, "{}", changed);
            }
        }
    }

    #[test]
    fn every_short_text_of_base64_characters_is_judged_alike() {
        let characters = ["A", "B", "Q", "g", "w", "/", "=", "-", ""];
        for a in characters {
            for b in characters {
                for c in characters {
                    for d in characters {
                        for before in ["", "AAAA", &"QUJD".repeat(20)] {
                            let text = [before, a, b, c, d].concat();
                            assert_eq!(
                                decode(&text),
                                general_purpose::STANDARD.decode(&text).ok(),
                                "{text}"
                            );
                        }
                    }
                }
            }
        }
    }
}
