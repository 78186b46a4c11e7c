//! Values in records: secrets as text that is wiped, times as text that people can read.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::Defect;
use crate::cloudhsm::KeyStorePassword;
use crate::fixed_key::FixedKey;
use crate::key_material::KeyMaterial;
use crate::key_spec::KeyKind;

/// 32 bytes of key material, in base64.
pub(crate) struct Material(pub(crate) Arc<KeyMaterial>);

impl Serialize for Material {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(STANDARD.encode(self.0.expose())))
    }
}

impl<'de> Deserialize<'de> for Material {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let SecretText(text) = SecretText::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text.as_bytes()).map(Zeroizing::new);
        let bytes = bytes.ok().and_then(|bytes| {
            let bytes: [u8; 32] = bytes.as_slice().try_into().ok()?;
            Some(Zeroizing::new(bytes))
        });
        match bytes {
            Some(bytes) => Ok(Self(Arc::new(KeyMaterial::new(bytes)))),
            None => Err(D::Error::custom(
                "expected 32 bytes of key material in base64",
            )),
        }
    }
}

/// The secret of an HMAC key or a key pair, in base64.
#[derive(Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct FixedSecret(SecretText);

impl FixedSecret {
    /// The key as it is.
    pub(crate) fn of(key: &FixedKey) -> Self {
        Self(SecretText(Zeroizing::new(
            STANDARD.encode(key.secret_bytes()),
        )))
    }

    /// The key as it was.
    pub(crate) fn restore(self, kind: KeyKind) -> Result<Arc<FixedKey>, Defect> {
        let bytes = STANDARD.decode(self.0.0.as_bytes()).map(Zeroizing::new);
        let key = bytes
            .ok()
            .and_then(|b| FixedKey::from_secret_bytes(kind.spec, &b));
        key.map(Arc::new)
            .ok_or(Defect::Value("the secret of a key"))
    }
}

/// The password of a `kmsuser`.
pub(crate) struct Password(pub(crate) KeyStorePassword);

impl Serialize for Password {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let SecretText(text) = SecretText::deserialize(deserializer)?;
        KeyStorePassword::try_from(text)
            .map(Self)
            .map_err(D::Error::custom)
    }
}

/// A text that is wiped on drop.
pub(crate) struct SecretText(pub(crate) Zeroizing<String>);

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

/// A time as RFC 3339 writes it, to the nanosecond.
pub(crate) mod instant {
    use std::time::SystemTime;

    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer, ser};
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;

    /// Writes it.
    pub(crate) fn serialize<S: Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
        let text = OffsetDateTime::from(*time).format(&Rfc3339);
        to.serialize_str(&text.map_err(ser::Error::custom)?)
    }

    /// Reads it.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
        let text = String::deserialize(from)?;
        let time = OffsetDateTime::parse(&text, &Rfc3339);
        time.map(SystemTime::from).map_err(D::Error::custom)
    }
}
