//! The stub's own cipher and CDIV: written once more, so that a mistake in `xks-api` does not hide behind the same one.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{Context, SHA256};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::{Value, json};

/// The key is the SHA-256 of the external key id, so that keys differ and need no store.
fn key(id: &str) -> LessSafeKey {
    let digest = ring::digest::digest(&SHA256, id.as_bytes());
    let key = UnboundKey::new(&AES_256_GCM, digest.as_ref());
    LessSafeKey::new(key.expect("32 bytes: SHA-256 output"))
}

/// The answer to Encrypt; `None` for a request that cannot be read.
pub(super) fn encrypt(id: &str, body: &Value) -> Option<Value> {
    let mut text = field(body, "plaintext")?;
    let aad = field(body, "additionalAuthenticatedData").unwrap_or_default();
    let mut iv = [0; NONCE_LEN];
    SystemRandom::new().fill(&mut iv).ok()?;
    let nonce = Nonce::assume_unique_for_key(iv);
    let tag = key(id)
        .seal_in_place_separate_tag(nonce, Aad::from(framed(&aad)?), &mut text)
        .ok()?;
    let mut cdiv = Context::new(&SHA256);
    for part in [&*aad, METADATA, &iv, &text, tag.as_ref()] {
        cdiv.update(part);
    }
    let asked = body.get("ciphertextDataIntegrityValueAlgorithm") == Some(&json!("SHA_256"));
    let mut answer = json!({
        "ciphertext": STANDARD.encode(&text),
        "initializationVector": STANDARD.encode(iv),
        "authenticationTag": STANDARD.encode(tag),
        "ciphertextMetadata": STANDARD.encode(METADATA),
    });
    if let (true, Value::Object(fields)) = (asked, &mut answer) {
        let cdiv = STANDARD.encode(cdiv.finish());
        fields.insert("ciphertextDataIntegrityValue".to_owned(), cdiv.into());
    }
    Some(answer)
}

/// The plaintext; `None` if the ciphertext is not genuine.
pub(super) fn decrypt(id: &str, body: &Value) -> Option<Vec<u8>> {
    let mut text = field(body, "ciphertext")?;
    text.extend(field(body, "authenticationTag")?);
    let iv: [u8; NONCE_LEN] = field(body, "initializationVector")?.try_into().ok()?;
    let aad = field(body, "additionalAuthenticatedData").unwrap_or_default();
    if field(body, "ciphertextMetadata")? != METADATA {
        return None;
    }
    let nonce = Nonce::assume_unique_for_key(iv);
    let opened = key(id)
        .open_in_place(nonce, Aad::from(framed(&aad)?), &mut text)
        .ok()?;
    Some(opened.to_vec())
}

/// `None` for an AAD of more than 65,535 bytes.
fn framed(aad: &[u8]) -> Option<Vec<u8>> {
    let aad_len = u16::try_from(aad.len()).ok()?.to_be_bytes();
    let metadata_len = u8::try_from(METADATA.len()).ok()?;
    Some([&aad_len, aad, &[metadata_len], METADATA].concat())
}

fn field(body: &Value, name: &str) -> Option<Vec<u8>> {
    STANDARD.decode(body.get(name)?.as_str()?).ok()
}

/// What the stub binds into every ciphertext.
const METADATA: &[u8] = b"stub_key_version=1";
