//! The requests to the Transit secrets engine, and its good answers. What is secret in them is wiped.

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use xks_api::fields::Plaintext;
use zeroize::Zeroizing;

use super::batch::Text;
use super::blob::KeyVersion;
use super::failure::Refusal;

/// `{"plaintext":…,"associated_data":…,"key_version":…}`
pub(super) fn encrypt_body(plaintext: &Plaintext, aad: &[u8], version: KeyVersion) -> Bytes {
    let plaintext = plaintext.expose();
    let mut body = Body::with_room_for(plaintext.len() + aad.len());
    body.push("{\"plaintext\":\"");
    body.push_base64(plaintext);
    body.push("\",\"associated_data\":\"");
    body.push_base64(aad);
    body.push("\",\"key_version\":");
    body.push(&version.number().to_string());
    body.push("}");
    body.into_bytes()
}

/// `{"ciphertext":…,"associated_data":…}`; `blob` is base64 and what needs no escape either.
pub(super) fn decrypt_body(blob: &str, aad: &[u8]) -> Bytes {
    let mut body = Body::with_room_for(blob.len() + aad.len());
    body.push("{\"ciphertext\":\"");
    body.push(blob);
    body.push("\",\"associated_data\":\"");
    body.push_base64(aad);
    body.push("\"}");
    body.into_bytes()
}

/// `{"batch_input":[…]}` of the bodies of single requests, each with its number as its reference.
pub(super) fn batch_body(bodies: &[&Bytes]) -> Bytes {
    let mut body = Body::with_room_for(bodies.iter().map(|body| body.len() + 32).sum());
    body.push("{\"batch_input\":[");
    for (number, single) in bodies.iter().enumerate() {
        let single = std::str::from_utf8(single).unwrap_or_default();
        body.push(if number == 0 { "" } else { "," });
        body.push(single.strip_suffix('}').unwrap_or_default());
        body.push(&format!(",\"reference\":\"{number}\"}}"));
    }
    // One that fails is no failure of the others.
    body.push("],\"partial_failure_response_code\":200}");
    body.into_bytes()
}

/// `{"paths":[…]}`; a path needs no escape.
pub(super) fn capabilities_body(path: &str) -> Bytes {
    format!("{{\"paths\":[\"{path}\"]}}").into()
}

/// JSON under way, wiped in the end: room is made once, so that no copy stays behind.
struct Body(Zeroizing<String>);

impl Body {
    fn with_room_for(len: usize) -> Self {
        // Base64 takes 4 for 3, the words less than the rest.
        Self(Zeroizing::new(String::with_capacity(len * 4 / 3 + 256)))
    }

    fn push(&mut self, text: &str) {
        self.0.push_str(text);
    }

    fn push_base64(&mut self, bytes: &[u8]) {
        STANDARD.encode_string(bytes, &mut self.0);
    }

    fn into_bytes(mut self) -> Bytes {
        let text = std::mem::take(&mut *self.0);
        Bytes::from_owner(Zeroizing::new(text.into_bytes()))
    }
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

/// The ciphertext of an answer to encrypt, as Transit writes it.
pub(super) fn ciphertext(answer: &[u8]) -> Option<&str> {
    #[derive(Deserialize)]
    struct Data<'a> {
        ciphertext: &'a str,
    }
    let answer: Answer<Data<'_>> = serde_json::from_slice(answer).ok()?;
    Some(answer.data.ciphertext)
}

/// The plaintext of an answer to decrypt, in base64.
pub(super) fn plaintext(answer: &[u8]) -> Option<&str> {
    #[derive(Deserialize)]
    struct Data<'a> {
        plaintext: &'a str,
    }
    let answer: Answer<Data<'_>> = serde_json::from_slice(answer).ok()?;
    Some(answer.data.plaintext)
}

/// What [`plaintext`] found.
pub(super) fn decoded(encoded: &str) -> Option<Plaintext> {
    let mut bytes = Zeroizing::new(vec![0; encoded.len() / 4 * 3 + 3]);
    let len = STANDARD.decode_slice(encoded, &mut bytes).ok()?;
    bytes.truncate(len);
    Some(bytes.into())
}

/// The good results of an answer to a batch, in the order of the messages; nothing if one result may be another message's.
pub(super) fn batch_results(answer: &[u8], messages: usize) -> Option<Vec<Option<Text>>> {
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow)]
        batch_results: Vec<Item<'a>>,
    }
    #[derive(Deserialize)]
    struct Item<'a> {
        reference: &'a str,
        ciphertext: Option<&'a str>,
        plaintext: Option<&'a str>,
        error: Option<IgnoredAny>,
    }
    let answer: Answer<Data<'_>> = serde_json::from_slice(answer).ok()?;
    let results = answer.data.batch_results;
    let in_order = |(number, item): (usize, &Item<'_>)| item.reference == number.to_string();
    if results.len() != messages || !results.iter().enumerate().all(in_order) {
        return None;
    }
    let text = |item: Item<'_>| match (item.ciphertext, item.plaintext, item.error) {
        (Some(text), None, None) | (None, Some(text), None) => Some(Text::new(text.to_owned())),
        _ => None,
    };
    Some(results.into_iter().map(text).collect())
}

/// What a key is, as far as this proxy cares.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub(super) struct KeyInfo {
    #[serde(rename = "type")]
    key_type: String,
    pub(super) latest_version: u64,
    #[serde(default)]
    derived: bool,
    #[serde(default)]
    convergent_encryption: bool,
    #[serde(default)]
    exportable: bool,
    #[serde(default)]
    allow_plaintext_backup: bool,
    /// OpenBao alone: present, and not to be used.
    #[serde(default)]
    pub(super) soft_deleted: bool,
}

impl KeyInfo {
    /// The answer to the reading of a key.
    pub(super) fn parse(answer: &[u8]) -> Option<Self> {
        let answer: Answer<Self> = serde_json::from_slice(answer).ok()?;
        Some(answer.data)
    }

    /// The version that encrypts.
    ///
    /// # Errors
    /// What makes the key no external key: it must be AES-256-GCM with an IV of its own for every message.
    //= xks §Encrypt R18
    pub(super) fn version(&self) -> Result<KeyVersion, Unsuitable> {
        if self.key_type != "aes256-gcm96" {
            return Err(Unsuitable::Type(self.key_type.chars().take(64).collect()));
        }
        if self.derived || self.convergent_encryption {
            return Err(Unsuitable::Derived);
        }
        KeyVersion::new(self.latest_version).ok_or(Unsuitable::Version(self.latest_version))
    }

    /// Whether its key material may leave the server.
    pub(super) fn can_leave(&self) -> bool {
        self.exportable || self.allow_plaintext_backup
    }
}

/// Why a Transit key is no external key.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Unsuitable {
    #[error("its type is {0:?}; an external key needs type \"aes256-gcm96\"")]
    Type(String),
    #[error(
        "it is derived or convergent: equal plaintexts could have equal ciphertexts; make a key with derived=false"
    )]
    Derived,
    #[error("its latest version is {0}; a version fits into 32 bits and is not 0")]
    Version(u64),
}

/// The capabilities of the token on one path.
pub(super) fn capabilities(answer: &[u8], path: &str) -> Option<Vec<String>> {
    let mut answer: Answer<HashMap<String, Value>> = serde_json::from_slice(answer).ok()?;
    serde_json::from_value(answer.data.remove(path)?).ok()
}

/// Whether encryption would make a key that is missing.
pub(super) fn may_create(capabilities: &[String]) -> bool {
    let makes = |capability: &String| matches!(capability.as_str(), "create" | "root");
    capabilities.iter().any(makes)
}

/// A status of success with something else than the API documents.
pub(super) fn not_as_documented(path: &str) -> Refusal {
    Refusal::Unexpected {
        path: path.into(),
        status: 200,
        text: "other JSON than documented, or none".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = br#"{"request_id":"13440440-3d64-8220-facc-2af4a4805a9c","lease_id":"","renewable":false,
        "lease_duration":0,"data":{"allow_plaintext_backup":false,"auto_rotate_period":0,"deletion_allowed":false,
        "derived":false,"exportable":false,"imported_key":false,"keys":{"1":1795517134},"latest_version":1,
        "min_available_version":0,"min_decryption_version":1,"min_encryption_version":0,"name":"k1",
        "soft_deleted":false,"supports_decryption":true,"supports_derivation":true,"supports_encryption":true,
        "supports_signing":false,"type":"aes256-gcm96"},"wrap_info":null,"warnings":null,"auth":null}"#;

    fn with(from: &str, to: &str) -> KeyInfo {
        let text = std::str::from_utf8(KEY).unwrap();
        assert!(text.contains(from));
        KeyInfo::parse(text.replace(from, to).as_bytes()).unwrap()
    }

    #[test]
    fn recorded_keys_are_judged() {
        let info = KeyInfo::parse(KEY).unwrap();
        assert_eq!(info.version(), Ok(KeyVersion::new(1).unwrap()));
        assert!(!info.can_leave() && !info.soft_deleted);
        for other in ["aes128-gcm96", "xchacha20-poly1305", "rsa-2048"] {
            let info = with("aes256-gcm96", other);
            assert_eq!(info.version(), Err(Unsuitable::Type(other.into())));
        }
        let derived = with(
            "\"derived\":false",
            "\"derived\":true,\"convergent_encryption\":true",
        );
        assert_eq!(derived.version(), Err(Unsuitable::Derived));
        for version in [0, 4_294_967_296] {
            let info = with(
                "\"latest_version\":1",
                &format!("\"latest_version\":{version}"),
            );
            assert_eq!(info.version(), Err(Unsuitable::Version(version)));
        }
        assert!(with("\"exportable\":false", "\"exportable\":true").can_leave());
        let backup = with(
            "\"allow_plaintext_backup\":false",
            "\"allow_plaintext_backup\":true",
        );
        assert!(backup.can_leave());
        assert!(with("\"soft_deleted\":false", "\"soft_deleted\":true").soft_deleted);
        // Vault has no such field.
        assert!(!with("\"soft_deleted\":false,", "").soft_deleted);
        assert_eq!(KeyInfo::parse(b"{\"data\":null}"), None);
    }

    #[test]
    fn requests_are_what_the_api_documents() {
        let version = KeyVersion::new(7).unwrap();
        let body = encrypt_body(&Plaintext::from(&b"Hello"[..]), b"\xff\xfe", version);
        assert_eq!(
            &*body,
            br#"{"plaintext":"SGVsbG8=","associated_data":"//4=","key_version":7}"#
        );
        let body = decrypt_body("vault:v7:AAAA", b"");
        assert_eq!(
            &*body,
            br#"{"ciphertext":"vault:v7:AAAA","associated_data":""}"#
        );
    }

    #[test]
    fn answers_are_read_strictly() {
        let found = plaintext(br#"{"data":{"plaintext":"SGVsbG8="}}"#).unwrap();
        assert_eq!(decoded(found).unwrap().expose(), b"Hello");
        let found = plaintext(br#"{"data":{"plaintext":""}}"#).unwrap();
        assert_eq!(decoded(found).unwrap().expose(), b"");
        for bad in [
            &br#"{"data":{"plaintext":"SGVsbG8"}}"#[..],
            br#"{"data":null}"#,
            b"",
            b"{}",
        ] {
            assert!(plaintext(bad).and_then(decoded).is_none());
        }
        assert_eq!(ciphertext(br#"{"data":{"ciphertext":"x"}}"#), Some("x"));
        assert_eq!(ciphertext(b"[]"), None);
        // As recorded: the paths are there twice, and only the ones under `data` count.
        let answer = br#"{"transit/encrypt/k1":["root"],"data":{"transit/encrypt/k1":["update"]}}"#;
        let found = capabilities(answer, "transit/encrypt/k1").unwrap();
        assert_eq!(found, ["update"]);
        assert!(!may_create(&found));
        for more in ["create", "root"] {
            assert!(may_create(&["update".to_owned(), more.to_owned()]));
        }
        assert_eq!(capabilities(answer, "transit/encrypt/k2"), None);
    }

    /// The answer as recorded from OpenBao 2.7.2, to what `batch_body` makes.
    #[test]
    fn each_message_of_a_batch_has_its_own_result() {
        let version = KeyVersion::new(1).unwrap();
        let bodies =
            [&b"a"[..], b""].map(|text| encrypt_body(&Plaintext::from(text), b"A", version));
        let body = batch_body(&bodies.iter().collect::<Vec<_>>());
        let expected = br#"{"batch_input":[{"plaintext":"YQ==","associated_data":"QQ==","key_version":1,"reference":"0"},{"plaintext":"","associated_data":"QQ==","key_version":1,"reference":"1"}],"partial_failure_response_code":200}"#;
        assert_eq!(&*body, expected);
        let answer = br#"{"request_id":"ba7f6492-2e6f-7f7f-2394-9e83b0d8d8bf","lease_id":"","renewable":false,
            "lease_duration":0,"data":{"batch_results":[{"plaintext":"YQ==","reference":"0"},{"plaintext":"",
            "error":"cipher: message authentication failed","reference":"1"},{"plaintext":"","reference":"2"}]},
            "wrap_info":null,"warnings":null,"auth":null}"#;
        let results = batch_results(answer, 3).unwrap();
        let texts: Vec<Option<&str>> = results.iter().map(|r| r.as_deref().map(|t| &**t)).collect();
        assert_eq!(texts, [Some("YQ=="), None, Some("")]);
        let answer = br#"{"data":{"batch_results":[{"error":"requested version for encryption is higher than the latest key version",
            "reference":"0"},{"ciphertext":"vault:v1:lfLw","key_version":1,"reference":"1"}]}}"#;
        let results = batch_results(answer, 2).unwrap();
        assert!(results[0].is_none());
        assert_eq!(results[1].as_deref().map(|t| &**t), Some("vault:v1:lfLw"));
    }

    #[test]
    fn results_that_may_be_of_other_messages_are_none() {
        for bad in [
            // Without a reference, in another order, too few, too many.
            &br#"{"data":{"batch_results":[{"plaintext":"YQ=="},{"plaintext":"YQ=="}]}}"#[..],
            br#"{"data":{"batch_results":[{"plaintext":"YQ==","reference":"1"},{"plaintext":"YQ==","reference":"0"}]}}"#,
            br#"{"data":{"batch_results":[{"plaintext":"YQ==","reference":"0"}]}}"#,
            br#"{"data":{"batch_results":[{"plaintext":"YQ==","reference":"0"},{"plaintext":"YQ==","reference":"1"},{"plaintext":"YQ==","reference":"2"}]}}"#,
            br#"{"data":{"plaintext":"YQ=="}}"#,
            b"{}",
        ] {
            assert!(batch_results(bad, 2).is_none());
        }
    }
}
