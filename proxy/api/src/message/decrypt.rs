//! Decrypt: request and response.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::base64_object::Base64Object;
use super::encrypt::{
    AES_GCM, TOO_LONG, metadata_capacity, parse_aad, require_aes_gcm, require_key_arn,
};
use super::{
    Base64Text, InvalidRequest, MAX_TEXT_LEN, MalformedResponse, base64_len, encode, object,
    parse_request, parse_response,
};
use crate::error::ErrorName;
use crate::fields::{Aad, CiphertextMetadata, Plaintext};
use crate::metadata::RequestMetadata;
use crate::sealed::Sealed;

/// What KMS asks to decrypt.
#[derive(Clone, Debug)]
pub struct DecryptRequest<'a> {
    /// Who asked; `kms_key_arn` is present.
    pub metadata: RequestMetadata<'a>,
    /// Absent and empty are the same.
    pub aad: Aad,
    /// What an Encrypt answered with.
    pub sealed: Sealed,
}

impl<'a> DecryptRequest<'a> {
    /// Parses a request body.
    ///
    /// # Errors
    /// ValidationException for anything malformed, UnsupportedOperationException for a ciphertext or AAD that is
    /// longer than this implementation takes, InvalidCiphertextException for an IV, tag or metadata of a length
    /// that no encryption gives.
    //= xks §Decrypt R22
    pub fn parse(body: &'a [u8]) -> Result<Self, InvalidRequest> {
        let wire: Wire<'a> = parse_request(body)?;
        require_aes_gcm(&wire.encryption_algorithm)?;
        require_key_arn(&wire.request_metadata)?;
        let aad = parse_aad(wire.additional_authenticated_data.as_ref())?;
        let decode = |text: &Base64Text<'_>, message| {
            text.decode()
                .ok_or_else(|| InvalidRequest::validation(message))
        };
        let mut ciphertext = decode(&wire.ciphertext, "ciphertext is not base64")?;
        if ciphertext.len() > MAX_TEXT_LEN {
            return Err(TOO_LONG);
        }
        let iv = decode(
            &wire.initialization_vector,
            "initializationVector is not base64",
        )?;
        let tag = decode(&wire.authentication_tag, "authenticationTag is not base64")?;
        let metadata = match &wire.ciphertext_metadata {
            None => Zeroizing::default(),
            Some(text) => decode(text, "ciphertextMetadata is not base64")?,
        };
        Ok(Self {
            metadata: wire.request_metadata,
            aad,
            sealed: Sealed {
                iv: iv.as_slice().try_into().map_err(|_| INVALID_CIPHERTEXT)?,
                tag: tag.as_slice().try_into().map_err(|_| INVALID_CIPHERTEXT)?,
                metadata: CiphertextMetadata::try_from(metadata.as_slice())
                    .map_err(|_| INVALID_CIPHERTEXT)?,
                ciphertext: std::mem::take(&mut *ciphertext),
            },
        })
    }

    /// Encodes the request body, as KMS sends it.
    pub fn encode(&self) -> Vec<u8> {
        let aad = self.aad.as_bytes();
        let sealed = &self.sealed;
        let wire = Wire {
            request_metadata: self.metadata.clone(),
            additional_authenticated_data: (!aad.is_empty()).then(|| Base64Text::encode(aad)),
            encryption_algorithm: AES_GCM.into(),
            ciphertext: Base64Text::encode(&sealed.ciphertext),
            ciphertext_metadata: (!sealed.metadata.is_empty())
                .then(|| Base64Text::encode(sealed.metadata.as_bytes())),
            initialization_vector: Base64Text::encode(sealed.iv.as_bytes()),
            authentication_tag: Base64Text::encode(&sealed.tag.0),
        };
        let capacity = base64_len(sealed.ciphertext.len())
            + base64_len(aad.len())
            + metadata_capacity(&self.metadata);
        std::mem::take(&mut *encode(&wire, capacity))
    }
}

/// What the proxy answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DecryptResponse {
    /// As long as the ciphertext.
    pub plaintext: Plaintext,
}

impl DecryptResponse {
    /// Encodes the response body into a buffer that is wiped on drop.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let plaintext = self.plaintext.expose();
        Base64Object::with_room_for([("plaintext", plaintext.len())])
            .member("plaintext", plaintext)
            .finish()
    }

    /// Parses a response body, as KMS does.
    ///
    /// # Errors
    /// [`MalformedResponse`] for anything but an object with a base64 `plaintext`.
    pub fn parse(body: &[u8]) -> Result<Self, MalformedResponse> {
        let wire: ResponseWire<'_> = parse_response(body)?;
        let plaintext = wire
            .plaintext
            .decode()
            .ok_or(MalformedResponse("not base64"))?;
        Ok(Self {
            plaintext: plaintext.into(),
        })
    }
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(borrow, deserialize_with = "object::one")]
    request_metadata: RequestMetadata<'a>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    additional_authenticated_data: Option<Base64Text<'a>>,
    #[serde(borrow)]
    encryption_algorithm: Cow<'a, str>,
    #[serde(borrow)]
    ciphertext: Base64Text<'a>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    ciphertext_metadata: Option<Base64Text<'a>>,
    #[serde(borrow)]
    initialization_vector: Base64Text<'a>,
    #[serde(borrow)]
    authentication_tag: Base64Text<'a>,
}

#[derive(Deserialize)]
struct ResponseWire<'a> {
    #[serde(borrow)]
    plaintext: Base64Text<'a>,
}

const INVALID_CIPHERTEXT: InvalidRequest = InvalidRequest {
    name: ErrorName::InvalidCiphertext,
    message: crate::message::INVALID_CIPHERTEXT_MESSAGE,
};

#[cfg(test)]
mod tests {
    use super::*;

    /// The request example of the specification's section "Decrypt", with the comma that it lacks.
    const REQUEST: &str = r#"{
        "requestMetadata": {
            "awsPrincipalArn": "arn:aws:iam::123456789012:user/Alice",
            "kmsKeyArn": "arn:aws:kms:us-east-2:123456789012:/key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "kmsOperation": "Decrypt",
            "kmsRequestId": "5112f4d6-db54-4af4-ae30-c55a22a8dfae",
            "kmsViaService": "ebs"
        },
        "additionalAuthenticatedData": "cHJvamVjdD1uaWxlLGRlcGFydG1lbnQ9bWFya2V0aW5n",
        "encryptionAlgorithm": "AES_GCM",
        "ciphertext": "ghxkK1txeDNn3q8Y",
        "ciphertextMetadata": "a2V5X3ZlcnNpb249MQ==",
        "initializationVector": "HMrlRw85cAJUd5Ax",
        "authenticationTag": "vBxN2ncH1oEkR8WVXpmyYQ=="
    }"#;

    #[test]
    fn the_specifications_examples_are_read_and_survive_encoding() {
        let request = DecryptRequest::parse(REQUEST.as_bytes()).unwrap();
        assert_eq!(request.sealed.metadata.as_bytes(), b"key_version=1");
        assert_eq!(request.sealed.ciphertext.len(), 12);
        let ours: serde_json::Value = serde_json::from_slice(&request.encode()).unwrap();
        assert_eq!(
            ours,
            serde_json::from_str::<serde_json::Value>(REQUEST).unwrap()
        );

        let response = DecryptResponse::parse(br#"{"plaintext": "SGVsbG8gV29ybGQh"}"#).unwrap();
        assert_eq!(response.plaintext.expose(), b"Hello World!");
        assert_eq!(&**response.encode(), br#"{"plaintext":"SGVsbG8gV29ybGQh"}"#);
    }

    #[test]
    fn what_is_empty_is_not_in_the_request() {
        let mut request = DecryptRequest::parse(REQUEST.as_bytes()).unwrap();
        request.aad = Aad::default();
        request.sealed.metadata = CiphertextMetadata::default();
        let body = request.encode();
        let ours: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let members: Vec<_> = ours.as_object().unwrap().keys().collect();
        assert_eq!(
            members,
            [
                "authenticationTag",
                "ciphertext",
                "encryptionAlgorithm",
                "initializationVector",
                "requestMetadata"
            ]
        );
        let again = DecryptRequest::parse(&body).unwrap();
        assert_eq!(again.sealed, request.sealed);
        assert!(again.aad.as_bytes().is_empty());
    }

    #[test]
    fn a_ciphertext_of_65536_bytes_is_taken_and_one_more_is_not() {
        for (len, taken) in [(65_536, true), (65_537, false)] {
            let mut request = DecryptRequest::parse(REQUEST.as_bytes()).unwrap();
            request.sealed.ciphertext = vec![7; len];
            let body = request.encode();
            match DecryptRequest::parse(&body) {
                Ok(parsed) => assert!(taken && parsed.sealed == request.sealed),
                Err(error) => assert!(!taken && error == TOO_LONG, "{len}: {error}"),
            }
        }
    }

    #[test]
    fn a_request_is_encoded_into_one_buffer_of_about_its_size() {
        let mut request = DecryptRequest::parse(REQUEST.as_bytes()).unwrap();
        request.sealed.ciphertext = vec![7; 60_000];
        request.aad = vec![7; 8_192].try_into().unwrap();
        let body = request.encode();
        assert!(body.capacity() < 2 * body.len());
    }

    #[test]
    fn each_defect_has_its_error() {
        use ErrorName::{InvalidCiphertext, Validation};
        for (from, to, expected) in [
            ("AES_GCM", "AES_CTR", Validation),
            ("ghxkK1txeDNn3q8Y", "ghxkK1txeDNn3q8", Validation),
            ("\"ciphertext\"", "\"cipher\"", Validation),
            ("\"initializationVector\"", "\"iv\"", Validation),
            ("\"authenticationTag\"", "\"tag\"", Validation),
            (
                "HMrlRw85cAJUd5Ax",
                "HMrlRw85cAJUd5AxAA==",
                InvalidCiphertext,
            ),
            ("HMrlRw85cAJUd5Ax", "", InvalidCiphertext),
            (
                "vBxN2ncH1oEkR8WVXpmyYQ==",
                "vBxN2ncH1oEkR8WVXpmy",
                InvalidCiphertext,
            ),
            (
                "a2V5X3ZlcnNpb249MQ==",
                "a2V5X3ZlcnNpb249MTIzNDU2Nzg5",
                InvalidCiphertext,
            ),
        ] {
            let body = REQUEST.replacen(from, to, 1);
            let error = DecryptRequest::parse(body.as_bytes()).unwrap_err();
            assert_eq!(error.name, expected, "{to}");
        }
    }
}
