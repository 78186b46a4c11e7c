//! KeySpec and KeyUsage: what a key's material is, what it is for, and which algorithms follow from both.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An enum of words that KMS's model gives, in the model's order.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(crate) enum $name {
            $($(#[$about])* $variant),+
        }

        impl $name {
            /// Every word, for requests.
            pub(crate) const CHOICES: &'static [(&'static str, Self)] = &[$(($word, Self::$variant)),+];

            /// The word on the wire.
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }

            /// What the word stands for.
            pub(crate) fn from_name(word: &str) -> Option<Self> {
                let found = Self::CHOICES.iter().find(|(name, _)| *name == word);
                found.map(|(_, value)| *value)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = String::deserialize(deserializer)?;
                Self::from_name(&word).ok_or_else(|| D::Error::custom(format!("{word} is not known")))
            }
        }
    };
}

words! {
    /// `KeySpec`
    KeySpec {
        Rsa2048 = "RSA_2048",
        Rsa3072 = "RSA_3072",
        Rsa4096 = "RSA_4096",
        EccNistP256 = "ECC_NIST_P256",
        EccNistP384 = "ECC_NIST_P384",
        EccNistP521 = "ECC_NIST_P521",
        EccSecgP256k1 = "ECC_SECG_P256K1",
        SymmetricDefault = "SYMMETRIC_DEFAULT",
        Hmac224 = "HMAC_224",
        Hmac256 = "HMAC_256",
        Hmac384 = "HMAC_384",
        Hmac512 = "HMAC_512",
        /// In China Regions alone, of which none is simulated.
        Sm2 = "SM2",
        MlDsa44 = "ML_DSA_44",
        MlDsa65 = "ML_DSA_65",
        MlDsa87 = "ML_DSA_87",
        MlKem512 = "ML_KEM_512",
        MlKem768 = "ML_KEM_768",
        MlKem1024 = "ML_KEM_1024",
        EccNistEdwards25519 = "ECC_NIST_EDWARDS25519",
    }
}

words! {
    /// `KeyUsage`
    KeyUsage {
        SignVerify = "SIGN_VERIFY",
        EncryptDecrypt = "ENCRYPT_DECRYPT",
        GenerateVerifyMac = "GENERATE_VERIFY_MAC",
        KeyAgreement = "KEY_AGREEMENT",
        EncapsulateDecapsulate = "ENCAPSULATE_DECAPSULATE",
    }
}

words! {
    /// `EncryptionAlgorithmSpec`
    EncryptionAlgorithm {
        SymmetricDefault = "SYMMETRIC_DEFAULT",
        RsaesOaepSha1 = "RSAES_OAEP_SHA_1",
        RsaesOaepSha256 = "RSAES_OAEP_SHA_256",
        Sm2pke = "SM2PKE",
    }
}

words! {
    /// `SigningAlgorithmSpec`
    SigningAlgorithm {
        RsassaPssSha256 = "RSASSA_PSS_SHA_256",
        RsassaPssSha384 = "RSASSA_PSS_SHA_384",
        RsassaPssSha512 = "RSASSA_PSS_SHA_512",
        RsassaPkcs1V15Sha256 = "RSASSA_PKCS1_V1_5_SHA_256",
        RsassaPkcs1V15Sha384 = "RSASSA_PKCS1_V1_5_SHA_384",
        RsassaPkcs1V15Sha512 = "RSASSA_PKCS1_V1_5_SHA_512",
        EcdsaSha256 = "ECDSA_SHA_256",
        EcdsaSha384 = "ECDSA_SHA_384",
        EcdsaSha512 = "ECDSA_SHA_512",
        Sm2dsa = "SM2DSA",
        MlDsaShake256 = "ML_DSA_SHAKE_256",
        Ed25519Sha512 = "ED25519_SHA_512",
        Ed25519PhSha512 = "ED25519_PH_SHA_512",
    }
}

words! {
    /// `MacAlgorithmSpec`
    MacAlgorithm {
        HmacSha224 = "HMAC_SHA_224",
        HmacSha256 = "HMAC_SHA_256",
        HmacSha384 = "HMAC_SHA_384",
        HmacSha512 = "HMAC_SHA_512",
    }
}

words! {
    /// `KeyAgreementAlgorithmSpec`
    KeyAgreementAlgorithm { Ecdh = "ECDH" }
}

words! {
    /// `EncapsulationAlgorithmSpec`
    EncapsulationAlgorithm { MlKem = "ML_KEM" }
}

/// KeySpec and KeyUsage of one key, which go together.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct KeyKind {
    #[serde(rename = "KeySpec")]
    pub(crate) spec: KeySpec,
    #[serde(rename = "KeyUsage")]
    pub(crate) usage: KeyUsage,
}

impl KeyKind {
    /// What a key is if nobody says otherwise.
    pub(crate) const SYMMETRIC: Self = Self {
        spec: KeySpec::SymmetricDefault,
        usage: KeyUsage::EncryptDecrypt,
    };

    /// Whether there are such keys.
    pub(crate) fn exists(self) -> bool {
        self.spec.usages().contains(&self.usage)
    }

    /// Whether it is a symmetric encryption key, whose material has versions.
    pub(crate) fn is_symmetric(self) -> bool {
        self.spec == KeySpec::SymmetricDefault
    }

    /// `EncryptionAlgorithms`
    pub(crate) fn encryption_algorithms(self) -> &'static [EncryptionAlgorithm] {
        use EncryptionAlgorithm as A;
        match self.usage {
            KeyUsage::EncryptDecrypt if self.is_symmetric() => &[A::SymmetricDefault],
            KeyUsage::EncryptDecrypt => &[A::RsaesOaepSha1, A::RsaesOaepSha256],
            KeyUsage::SignVerify
            | KeyUsage::GenerateVerifyMac
            | KeyUsage::KeyAgreement
            | KeyUsage::EncapsulateDecapsulate => &[],
        }
    }

    /// `SigningAlgorithms`
    pub(crate) fn signing_algorithms(self) -> &'static [SigningAlgorithm] {
        use SigningAlgorithm as A;
        if self.usage != KeyUsage::SignVerify {
            return &[];
        }
        match self.spec {
            KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => &[
                A::RsassaPkcs1V15Sha256,
                A::RsassaPkcs1V15Sha384,
                A::RsassaPkcs1V15Sha512,
                A::RsassaPssSha256,
                A::RsassaPssSha384,
                A::RsassaPssSha512,
            ],
            KeySpec::EccNistP256 | KeySpec::EccSecgP256k1 => &[A::EcdsaSha256],
            KeySpec::EccNistP384 => &[A::EcdsaSha384],
            KeySpec::EccNistP521 => &[A::EcdsaSha512],
            KeySpec::EccNistEdwards25519 => &[A::Ed25519Sha512, A::Ed25519PhSha512],
            KeySpec::MlDsa44 | KeySpec::MlDsa65 | KeySpec::MlDsa87 => &[A::MlDsaShake256],
            KeySpec::Sm2 => &[A::Sm2dsa],
            KeySpec::SymmetricDefault
            | KeySpec::Hmac224
            | KeySpec::Hmac256
            | KeySpec::Hmac384
            | KeySpec::Hmac512
            | KeySpec::MlKem512
            | KeySpec::MlKem768
            | KeySpec::MlKem1024 => &[],
        }
    }

    /// `MacAlgorithms`
    pub(crate) const fn mac_algorithms(self) -> &'static [MacAlgorithm] {
        match self.spec {
            KeySpec::Hmac224 => &[MacAlgorithm::HmacSha224],
            KeySpec::Hmac256 => &[MacAlgorithm::HmacSha256],
            KeySpec::Hmac384 => &[MacAlgorithm::HmacSha384],
            KeySpec::Hmac512 => &[MacAlgorithm::HmacSha512],
            _ => &[],
        }
    }

    /// `KeyAgreementAlgorithms`
    pub(crate) fn key_agreement_algorithms(self) -> &'static [KeyAgreementAlgorithm] {
        match self.usage {
            KeyUsage::KeyAgreement => &[KeyAgreementAlgorithm::Ecdh],
            _ => &[],
        }
    }

    /// `EncapsulationAlgorithms`
    pub(crate) fn encapsulation_algorithms(self) -> &'static [EncapsulationAlgorithm] {
        match self.usage {
            KeyUsage::EncapsulateDecapsulate => &[EncapsulationAlgorithm::MlKem],
            _ => &[],
        }
    }
}

impl KeySpec {
    /// What a key of it can be for.
    pub(crate) const fn usages(self) -> &'static [KeyUsage] {
        use KeyUsage as U;
        match self {
            Self::SymmetricDefault => &[U::EncryptDecrypt],
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => &[U::EncryptDecrypt, U::SignVerify],
            Self::EccNistP256 | Self::EccNistP384 | Self::EccNistP521 => {
                &[U::SignVerify, U::KeyAgreement]
            }
            Self::EccSecgP256k1
            | Self::EccNistEdwards25519
            | Self::MlDsa44
            | Self::MlDsa65
            | Self::MlDsa87 => &[U::SignVerify],
            Self::Hmac224 | Self::Hmac256 | Self::Hmac384 | Self::Hmac512 => {
                &[U::GenerateVerifyMac]
            }
            Self::MlKem512 | Self::MlKem768 | Self::MlKem1024 => &[U::EncapsulateDecapsulate],
            Self::Sm2 => &[U::EncryptDecrypt, U::SignVerify, U::KeyAgreement],
        }
    }

    /// Whether the key is a pair, of which everyone may have one half.
    pub(crate) const fn is_pair(self) -> bool {
        !matches!(
            self,
            Self::SymmetricDefault | Self::Hmac224 | Self::Hmac256 | Self::Hmac384 | Self::Hmac512
        )
    }
}

impl SigningAlgorithm {
    /// How many bytes a digest has that it signs.
    pub(crate) const fn digest_len(self) -> usize {
        match self {
            Self::RsassaPssSha256
            | Self::RsassaPkcs1V15Sha256
            | Self::EcdsaSha256
            | Self::Sm2dsa => 32,
            Self::RsassaPssSha384 | Self::RsassaPkcs1V15Sha384 | Self::EcdsaSha384 => 48,
            Self::RsassaPssSha512
            | Self::RsassaPkcs1V15Sha512
            | Self::EcdsaSha512
            | Self::MlDsaShake256
            | Self::Ed25519Sha512
            | Self::Ed25519PhSha512 => 64,
        }
    }
}
