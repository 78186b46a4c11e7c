//! Encrypt: request and response.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::base64_object::Base64Object;
use super::{
    Base64Text, InvalidRequest, MAX_TEXT_LEN, MalformedResponse, base64_len, encode, object,
    parse_request, parse_response,
};
use crate::error::ErrorName;
use crate::fields::{Aad, CiphertextMetadata, InitializationVector, Plaintext};
use crate::metadata::RequestMetadata;
use crate::sealed::Sealed;

/// What KMS asks to encrypt.
#[derive(Clone, Debug)]
pub struct EncryptRequest<'a> {
    /// Who asked; `kms_key_arn` is present.
    pub metadata: RequestMetadata<'a>,
    /// At most [`MAX_TEXT_LEN`] bytes.
    pub plaintext: Plaintext,
    /// Absent and empty are the same.
    pub aad: Aad,
    /// Whether KMS wants a ciphertext data integrity value.
    pub cdiv: Option<CdivAlgorithm>,
}

impl<'a> EncryptRequest<'a> {
    /// Parses a request body.
    ///
    /// # Errors
    /// ValidationException for anything malformed, UnsupportedOperationException for a plaintext or AAD that
    /// is longer than this implementation takes.
    //= xks §Encrypt R14, R15, R16, R17
    pub fn parse(body: &'a [u8]) -> Result<Self, InvalidRequest> {
        let wire: Wire<'a> = parse_request(body)?;
        require_aes_gcm(&wire.encryption_algorithm)?;
        require_key_arn(&wire.request_metadata)?;
        let cdiv = match wire.ciphertext_data_integrity_value_algorithm.as_deref() {
            None => None,
            Some("SHA_256") => Some(CdivAlgorithm::Sha256),
            Some(_) => {
                return Err(InvalidRequest::validation(
                    "ciphertextDataIntegrityValueAlgorithm must be SHA_256",
                ));
            }
        };
        let plaintext = wire
            .plaintext
            .decode()
            .ok_or(InvalidRequest::validation("plaintext is not base64"))?;
        if plaintext.len() > MAX_TEXT_LEN {
            return Err(TOO_LONG);
        }
        let aad = parse_aad(wire.additional_authenticated_data.as_ref())?;
        Ok(Self {
            metadata: wire.request_metadata,
            plaintext: plaintext.into(),
            aad,
            cdiv,
        })
    }

    /// Encodes the request body, as KMS sends it.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let aad = self.aad.as_bytes();
        let plaintext = self.plaintext.expose();
        encode(
            &Wire {
                request_metadata: self.metadata.clone(),
                additional_authenticated_data: (!aad.is_empty()).then(|| Base64Text::encode(aad)),
                plaintext: Base64Text::encode(plaintext),
                encryption_algorithm: AES_GCM.into(),
                ciphertext_data_integrity_value_algorithm: self.cdiv.map(|_| "SHA_256".into()),
            },
            base64_len(plaintext.len()) + base64_len(aad.len()) + metadata_capacity(&self.metadata),
        )
    }
}

/// `ciphertextDataIntegrityValueAlgorithm`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CdivAlgorithm {
    /// `SHA_256`, the only one of version 1.
    Sha256,
}

/// What the proxy answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EncryptResponse {
    /// Ciphertext, IV, tag and metadata.
    pub sealed: Sealed,
    /// Present if and only if it was asked for.
    pub cdiv: Option<[u8; 32]>,
}

impl EncryptResponse {
    /// Encodes the response body.
    pub fn encode(&self) -> Vec<u8> {
        let sealed = &self.sealed;
        let members = [
            Some(("authenticationTag", &sealed.tag.0[..])),
            Some(("ciphertext", &*sealed.ciphertext)),
            Some(("initializationVector", sealed.iv.as_bytes())),
            self.cdiv
                .as_ref()
                .map(|value| ("ciphertextDataIntegrityValue", &value[..])),
            (!sealed.metadata.is_empty())
                .then(|| ("ciphertextMetadata", sealed.metadata.as_bytes())),
        ];
        let present = members.into_iter().flatten();
        let room = present.clone().map(|(name, bytes)| (name, bytes.len()));
        let object = present.fold(
            Base64Object::with_room_for(room),
            |object, (name, bytes)| object.member(name, bytes),
        );
        std::mem::take(&mut *object.finish())
    }

    /// Parses a response body, as KMS does.
    ///
    /// # Errors
    /// [`MalformedResponse`] for a missing member, wrong base64, an IV, tag, metadata or CDIV of another
    /// length. Whether ciphertext and CDIV fit the request is the caller's question.
    pub fn parse(body: &[u8]) -> Result<Self, MalformedResponse> {
        let wire: ResponseWire<'_> = parse_response(body)?;
        let bytes = |text: &Base64Text<'_>| text.decode().ok_or(MalformedResponse("not base64"));
        let iv = InitializationVector::try_from(&**bytes(&wire.initialization_vector)?)
            .map_err(|_| MalformedResponse("initializationVector is not 12 or 16 bytes"))?;
        let tag = (&**bytes(&wire.authentication_tag)?)
            .try_into()
            .map_err(|_| MalformedResponse("authenticationTag is not 16 bytes"))?;
        let metadata = match &wire.ciphertext_metadata {
            None => CiphertextMetadata::default(),
            Some(text) => (&**bytes(text)?)
                .try_into()
                .map_err(|_| MalformedResponse("ciphertextMetadata is over 20 bytes"))?,
        };
        let cdiv =
            match &wire.ciphertext_data_integrity_value {
                None => None,
                Some(text) => Some((&**bytes(text)?).try_into().map_err(|_| {
                    MalformedResponse("ciphertextDataIntegrityValue is not 32 bytes")
                })?),
            };
        let ciphertext = std::mem::take(&mut *bytes(&wire.ciphertext)?);
        Ok(Self {
            sealed: Sealed {
                ciphertext,
                iv,
                tag,
                metadata,
            },
            cdiv,
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
    plaintext: Base64Text<'a>,
    #[serde(borrow)]
    encryption_algorithm: std::borrow::Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ciphertext_data_integrity_value_algorithm: Option<std::borrow::Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResponseWire<'a> {
    #[serde(borrow)]
    authentication_tag: Base64Text<'a>,
    #[serde(borrow)]
    ciphertext: Base64Text<'a>,
    #[serde(borrow, default)]
    ciphertext_data_integrity_value: Option<Base64Text<'a>>,
    #[serde(borrow, default)]
    ciphertext_metadata: Option<Base64Text<'a>>,
    #[serde(borrow)]
    initialization_vector: Base64Text<'a>,
}

pub(super) fn require_aes_gcm(algorithm: &str) -> Result<(), InvalidRequest> {
    if algorithm == AES_GCM {
        return Ok(());
    }
    Err(InvalidRequest::validation(
        "encryptionAlgorithm must be AES_GCM",
    ))
}

pub(super) fn require_key_arn(metadata: &RequestMetadata<'_>) -> Result<(), InvalidRequest> {
    if metadata.kms_key_arn.is_some() {
        return Ok(());
    }
    Err(InvalidRequest::validation(
        "requestMetadata.kmsKeyArn is required",
    ))
}

pub(super) fn parse_aad(text: Option<&Base64Text<'_>>) -> Result<Aad, InvalidRequest> {
    let Some(text) = text else {
        return Ok(Aad::default());
    };
    let mut bytes = text.decode().ok_or(InvalidRequest::validation(
        "additionalAuthenticatedData is not base64",
    ))?;
    Aad::try_from(std::mem::take(&mut *bytes)).map_err(|_| TOO_LONG)
}

/// Room for everything of a request but its base64 fields, escapes included.
pub(super) fn metadata_capacity(metadata: &RequestMetadata<'_>) -> usize {
    let optional = [
        &metadata.aws_source_vpc,
        &metadata.aws_source_vpce,
        &metadata.kms_key_arn,
        &metadata.kms_via_service,
    ];
    let required = [
        &metadata.aws_principal_arn,
        &metadata.kms_operation,
        &metadata.kms_request_id,
    ];
    let text: usize = required
        .into_iter()
        .chain(optional.into_iter().flatten())
        .map(|t| t.len())
        .sum();
    512 + 6 * text
}

pub(super) const AES_GCM: &str = "AES_GCM";

pub(super) const TOO_LONG: InvalidRequest = InvalidRequest {
    name: ErrorName::UnsupportedOperation,
    message: "a field is longer than this proxy supports",
};

#[cfg(test)]
mod tests {
    use super::*;

    /// The request example of the specification's section "Encrypt", with the comma that it lacks.
    const REQUEST: &str = r#"{
        "requestMetadata": {
            "awsPrincipalArn": "arn:aws:iam::123456789012:user/Alice",
            "kmsKeyArn": "arn:aws:kms:us-east-2:123456789012:/key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "kmsOperation": "Encrypt",
            "kmsRequestId": "4112f4d6-db54-4af4-ae30-c55a22a8dfae",
            "kmsViaService": "ebs"
        },
        "additionalAuthenticatedData": "cHJvamVjdD1uaWxlLGRlcGFydG1lbnQ9bWFya2V0aW5n",
        "plaintext": "SGVsbG8gV29ybGQh",
        "encryptionAlgorithm": "AES_GCM",
        "ciphertextDataIntegrityValueAlgorithm": "SHA_256"
    }"#;

    /// The response example of the same section.
    const RESPONSE: &str = r#"{
        "authenticationTag": "vBxN2ncH1oEkR8WVXpmyYQ==",
        "ciphertext": "ghxkK1txeDNn3q8Y",
        "ciphertextDataIntegrityValue": "qHA/ImC9h5HsLRXqCyPmWgYx7tzyoTplzILbP0fPXsc=",
        "ciphertextMetadata": "a2V5X3ZlcnNpb249MQ==",
        "initializationVector": "HMrlRw85cAJUd5Ax"
    }"#;

    #[test]
    fn the_specifications_request_is_read_and_survives_encoding() {
        let request = EncryptRequest::parse(REQUEST.as_bytes()).unwrap();
        assert_eq!(request.plaintext.expose(), b"Hello World!");
        assert_eq!(request.aad.as_bytes(), b"project=nile,department=marketing");
        assert_eq!(request.cdiv, Some(CdivAlgorithm::Sha256));
        assert_eq!(request.metadata.kms_via_service.as_deref(), Some("ebs"));
        let ours: serde_json::Value = serde_json::from_slice(&request.encode()).unwrap();
        assert_eq!(
            ours,
            serde_json::from_str::<serde_json::Value>(REQUEST).unwrap()
        );
    }

    #[test]
    fn the_specifications_response_is_read_and_survives_encoding() {
        let response = EncryptResponse::parse(RESPONSE.as_bytes()).unwrap();
        assert_eq!(response.sealed.metadata.as_bytes(), b"key_version=1");
        assert_eq!(
            response.cdiv,
            Some(crate::sealed::cdiv(
                &Aad::try_from(b"project=nile,department=marketing".to_vec()).unwrap(),
                &response.sealed,
            ))
        );
        let ours: serde_json::Value = serde_json::from_slice(&response.encode()).unwrap();
        assert_eq!(
            ours,
            serde_json::from_str::<serde_json::Value>(RESPONSE).unwrap()
        );
    }

    #[test]
    fn what_is_empty_or_was_not_asked_for_is_not_in_the_messages() {
        let mut request = EncryptRequest::parse(REQUEST.as_bytes()).unwrap();
        request.aad = Aad::default();
        request.cdiv = None;
        let ours: serde_json::Value = serde_json::from_slice(&request.encode()).unwrap();
        let members: Vec<_> = ours.as_object().unwrap().keys().collect();
        assert_eq!(
            members,
            ["encryptionAlgorithm", "plaintext", "requestMetadata"]
        );

        let mut response = EncryptResponse::parse(RESPONSE.as_bytes()).unwrap();
        response.sealed.metadata = CiphertextMetadata::default();
        response.cdiv = None;
        let ours: serde_json::Value = serde_json::from_slice(&response.encode()).unwrap();
        let members: Vec<_> = ours.as_object().unwrap().keys().collect();
        assert_eq!(
            members,
            ["authenticationTag", "ciphertext", "initializationVector"]
        );
        assert_eq!(EncryptResponse::parse(&response.encode()), Ok(response));
    }

    #[test]
    fn a_plaintext_of_65536_bytes_is_taken_and_one_more_is_not() {
        for (len, taken) in [(65_536, true), (65_537, false)] {
            let mut request = EncryptRequest::parse(REQUEST.as_bytes()).unwrap();
            request.plaintext = Plaintext::from(&*vec![7; len]);
            let body = request.encode();
            match EncryptRequest::parse(&body) {
                Ok(parsed) => assert!(taken && parsed.plaintext == request.plaintext),
                Err(error) => assert!(!taken && error == TOO_LONG, "{len}: {error}"),
            }
        }
    }

    /// No copy of a plaintext stays behind in a smaller buffer, and memory is not wasted.
    #[test]
    fn a_request_is_encoded_into_one_buffer_of_about_its_size() {
        let mut request = EncryptRequest::parse(REQUEST.as_bytes()).unwrap();
        request.plaintext = Plaintext::from(&[7; 60_000][..]);
        request.aad = vec![7; 8_192].try_into().unwrap();
        assert!(request.encode().capacity() < 2 * request.encode().len());
        // Each of these characters takes six bytes in JSON.
        request.metadata.aws_principal_arn = "\u{1}".repeat(3_000).into();
        let body = request.encode();
        assert!(body.capacity() < 2 * body.len());
        let again = EncryptRequest::parse(&body).unwrap();
        assert_eq!(again.metadata, request.metadata);
    }

    #[test]
    fn each_defect_of_a_request_has_its_error() {
        use ErrorName::{UnsupportedOperation, Validation};
        let long = format!(r#""plaintext": "{}""#, "AAAA".repeat(22_000));
        for (from, to, expected) in [
            (r#""AES_GCM""#, r#""AES_CBC""#, Validation),
            (r#""SHA_256""#, r#""SHA_512""#, Validation),
            (r#""plaintext": "SGVsbG8gV29ybGQh","#, "", Validation),
            (r#""SGVsbG8gV29ybGQh""#, r#""SGVsbG8gV29ybGQ""#, Validation),
            (r#""SGVsbG8gV29ybGQh""#, r#""SGVsbG8gV29ybG_h""#, Validation),
            (r#""SGVsbG8gV29ybGQh""#, r#""SGVsbG8gV29ybGR=""#, Validation),
            (r#""SGVsbG8gV29ybGQh""#, "7", Validation),
            (
                r#""plaintext": "SGVsbG8gV29ybGQh""#,
                &long,
                UnsupportedOperation,
            ),
            (
                r#""plaintext""#,
                r#""plaintext": "AAAA", "plaintext""#,
                Validation,
            ),
            (r#""kmsKeyArn": "#, r#""other": "#, Validation),
            (r#""kmsRequestId": "#, r#""other": "#, Validation),
            (r#""kmsOperation": "Encrypt","#, "", Validation),
            (
                r#""ebs"
        },"#,
                r#""ebs""#,
                Validation,
            ),
        ] {
            let body = REQUEST.replacen(from, to, 1);
            assert_ne!(body, REQUEST, "{from}");
            let error = EncryptRequest::parse(body.as_bytes()).unwrap_err();
            assert_eq!(error.name, expected, "{to:.60}");
            assert!(error.message.len() < 512);
        }
    }

    #[test]
    fn broken_json_and_wrong_members_are_told_apart() {
        let message = |from: &str, to: &str| {
            let body = REQUEST.replacen(from, to, 1);
            EncryptRequest::parse(body.as_bytes()).unwrap_err().message
        };
        let broken = message("{", "{{");
        assert_eq!(broken, message("\"AES_GCM\",", "\"AES_GCM\""));
        let member = message("\"plaintext\"", "\"text\"");
        assert_eq!(member, message("\"SGVsbG8gV29ybGQh\"", "7"));
        assert!(broken.contains("JSON") && member.contains("member"));
    }

    #[test]
    fn what_the_specification_leaves_open_is_accepted() {
        for (from, to) in [
            (r#""Encrypt""#, r#""BulkEncrypt""#),
            (
                r#""4112f4d6-db54-4af4-ae30-c55a22a8dfae""#,
                r#""\u0000 not a uuid""#,
            ),
            (r#""plaintext""#, r#""future": [1], "plaintext""#),
            (r#""SGVsbG8gV29ybGQh""#, r#""""#),
            (r#""kmsViaService""#, r#""future": {}, "kmsViaService""#),
            (r#""plaintext": "SGVs"#, r#""plaintext": "SGVs"#),
        ] {
            let body = REQUEST.replacen(from, to, 1);
            EncryptRequest::parse(body.as_bytes()).unwrap_or_else(|e| panic!("{to}: {e}"));
        }
        let escaped = REQUEST.replacen("SGVs", "\\u0053GVs", 1);
        let request = EncryptRequest::parse(escaped.as_bytes()).unwrap();
        assert_eq!(request.plaintext.expose(), b"Hello World!");
    }

    #[test]
    fn each_defect_of_a_response_is_malformed() {
        for (from, to) in [
            ("vBxN2ncH1oEkR8WVXpmyYQ==", "vBxN2ncH1oEkR8WVXpmy"),
            ("HMrlRw85cAJUd5Ax", "HMrlRw85cAJUd5AxAA=="),
            ("a2V5X3ZlcnNpb249MQ==", "a2V5X3ZlcnNpb249MTIzNDU2Nzg5"),
            ("qHA/ImC9h5HsLRXqCyPmWgYx7tzyoTplzILbP0fPXsc=", "qHA/"),
            ("\"ciphertext\"", "\"cipher\""),
            ("ghxkK1txeDNn3q8Y", "ghxkK1txeDNn3q8"),
        ] {
            let body = RESPONSE.replacen(from, to, 1);
            assert!(EncryptResponse::parse(body.as_bytes()).is_err(), "{to}");
        }
    }
}
