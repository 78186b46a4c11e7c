//! The byte fields of the protocol, each bounded by its type.

use std::fmt;

use zeroize::Zeroizing;

/// What is encrypted: wiped on drop, never printed.
#[derive(Clone, Eq, PartialEq)]
pub struct Plaintext(Zeroizing<Vec<u8>>);

impl Plaintext {
    /// The bytes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Plaintext {
    fn drop(&mut self) {
        // What follows wipes the whole capacity: elements one by one, the rest at the speed of memory.
        self.0.clear();
    }
}

impl From<Zeroizing<Vec<u8>>> for Plaintext {
    fn from(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Plaintext {
    fn from(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plaintext([redacted])")
    }
}

/// `additionalAuthenticatedData` as KMS sends it; absent and empty are the same.
///
/// At most 65,535 bytes, what its two-byte length can say; the specification asks for 8,192.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Aad(Zeroizing<Vec<u8>>);

impl Aad {
    /// The longest AAD, in bytes.
    pub const MAX_LEN: usize = 65_535;

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn len_be(&self) -> [u8; 2] {
        u16::try_from(self.0.len())
            .map(u16::to_be_bytes)
            .expect("bounded by the constructor")
    }
}

impl TryFrom<Vec<u8>> for Aad {
    type Error = FieldLength;

    fn try_from(bytes: Vec<u8>) -> Result<Self, Self::Error> {
        if bytes.len() > Self::MAX_LEN {
            return Err(FieldLength);
        }
        Ok(Self(Zeroizing::new(bytes)))
    }
}

impl fmt::Debug for Aad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Aad([{} bytes])", self.0.len())
    }
}

impl Drop for Aad {
    fn drop(&mut self) {
        // As for a plaintext.
        self.0.clear();
    }
}

/// `ciphertextMetadata`: at most 20 bytes that a key manager adds; absent and empty are the same.
//= xks §Encrypt R19
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CiphertextMetadata {
    bytes: [u8; Self::MAX_LEN],
    len: u8,
}

impl CiphertextMetadata {
    /// The longest metadata, in bytes.
    pub const MAX_LEN: usize = 20;

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes
            .get(..usize::from(self.len))
            .expect("len ≤ 20 by the constructor")
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn len_byte(&self) -> u8 {
        self.len
    }
}

impl TryFrom<&[u8]> for CiphertextMetadata {
    type Error = FieldLength;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        let len = u8::try_from(bytes.len()).map_err(|_| FieldLength)?;
        let mut value = Self {
            bytes: [0; Self::MAX_LEN],
            len,
        };
        value
            .bytes
            .get_mut(..bytes.len())
            .ok_or(FieldLength)?
            .copy_from_slice(bytes);
        Ok(value)
    }
}

/// `initializationVector`: 12 or 16 bytes.
//= xks §Encrypt R18
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InitializationVector {
    /// 96 bits, what this project's key managers make.
    Bytes12([u8; 12]),
    /// 128 bits, which other key managers may make.
    Bytes16([u8; 16]),
}

impl InitializationVector {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Bytes12(bytes) => bytes,
            Self::Bytes16(bytes) => bytes,
        }
    }
}

impl TryFrom<&[u8]> for InitializationVector {
    type Error = FieldLength;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        if let Ok(bytes) = bytes.try_into() {
            return Ok(Self::Bytes12(bytes));
        }
        bytes.try_into().map(Self::Bytes16).map_err(|_| FieldLength)
    }
}

/// `authenticationTag`: 16 bytes.
//= xks §Encrypt R18
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AuthenticationTag(pub [u8; 16]);

impl TryFrom<&[u8]> for AuthenticationTag {
    type Error = FieldLength;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        bytes.try_into().map(Self).map_err(|_| FieldLength)
    }
}

/// A field has a length that its type does not allow.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a field has a length that it cannot have")]
pub struct FieldLength;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_the_specification() {
        let ok = |len: usize| vec![7; len];
        for len in 0..40 {
            let bytes = ok(len);
            let metadata = CiphertextMetadata::try_from(&*bytes);
            assert_eq!(metadata.is_ok(), len <= 20);
            assert!(metadata.is_err() || metadata.unwrap().as_bytes() == bytes);
            let iv = InitializationVector::try_from(&*bytes);
            assert_eq!(iv.is_ok(), len == 12 || len == 16);
            assert!(iv.is_err() || iv.unwrap().as_bytes() == bytes);
            assert_eq!(AuthenticationTag::try_from(&*bytes).is_ok(), len == 16);
        }
        assert_eq!(CiphertextMetadata::try_from(&*ok(276)), Err(FieldLength));
        assert!(Aad::try_from(ok(65_535)).is_ok());
        assert!(Aad::try_from(ok(65_536)).is_err());
    }

    #[test]
    fn plaintext_and_aad_are_not_printed() {
        let plaintext = Plaintext::from(&b"Sesame"[..]);
        let aad = Aad::try_from(b"Sesame".to_vec()).unwrap();
        let text = format!("{plaintext:?} {aad:?}");
        assert_eq!(text, "Plaintext([redacted]) Aad([6 bytes])");
    }
}
