//! Keys of a seed that are no symmetric encryption keys: what they are, and their secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

use super::Reader;
use crate::fixed_key::FixedKey;
use crate::key_spec::{KeyKind, KeySpec, KeyUsage};
use crate::toml_document::Section;

impl Reader<'_> {
    /// `key-spec` and `key-usage`, which may be left out where there is one alone.
    pub(super) fn kind(section: &Section) -> Option<KeyKind> {
        let known = |text: &str| KeySpec::from_name(text).filter(|spec| *spec != KeySpec::Sm2);
        let given = section.has("key-spec");
        let spec = section.text("key-spec", known, KEY_SPEC);
        let usage = section.text("key-usage", KeyUsage::from_name, KEY_USAGE);
        let spec = match given {
            true => spec?,
            false => KeySpec::SymmetricDefault,
        };
        let usage = match (usage, spec.usages()) {
            (Some(usage), _) => usage,
            (None, [usage]) => *usage,
            (None, usages) => {
                let names: Vec<&str> = usages.iter().map(|usage| usage.name()).collect();
                section.required("key-usage", None, &names.join(" or "))?
            }
        };
        let kind = KeyKind { spec, usage };
        if !kind.exists() {
            let expected = format!("a usage that keys of {} have", spec.name());
            section.problem("key-usage", usage.name(), expected);
            return None;
        }
        Some(kind)
    }

    /// The secret that is given, or a new one.
    pub(super) fn fixed_key(&self, section: &Section, spec: KeySpec) -> Option<FixedKey> {
        if !spec.is_pair() {
            let parse = |text: String| {
                let text = Zeroizing::new(text);
                let bytes = Zeroizing::new(STANDARD.decode(text.trim_end()).ok()?);
                FixedKey::from_secret_bytes(spec, &bytes)
            };
            if section.has("material") {
                let expected = format!("as many bytes as {} has, in base64", spec.name());
                return section.secret("material", parse, &expected);
            }
            return FixedKey::generate(spec).ok();
        }
        let parse = |text: String| {
            let text = Zeroizing::new(text);
            let der = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).ok()?;
            FixedKey::from_secret_bytes(spec, der.secret_pkcs8_der())
        };
        let expected = format!("a private key of {} as PKCS #8 in PEM", spec.name());
        if section.has("private-key-file") {
            let text = self.file(section, "private-key-file", &expected)?;
            let key = parse(text);
            if key.is_none() {
                section.problem("private-key-file", "a file with something else", expected);
            }
            return key;
        }
        if section.has("private-key") {
            return section.secret("private-key", parse, &expected);
        }
        FixedKey::generate(spec).ok()
    }
}

const KEY_SPEC: &str = "a KeySpec of KMS, such as RSA_2048 or HMAC_256, and not SM2";
const KEY_USAGE: &str =
    "SIGN_VERIFY, ENCRYPT_DECRYPT, GENERATE_VERIFY_MAC, KEY_AGREEMENT or ENCAPSULATE_DECAPSULATE";
