//! What can go wrong between KMS and a proxy, and what each KMS operation makes of it.

use crate::api::KmsError;

/// Why a request to the proxy gave no usable answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum ProxyFailure {
    /// No TCP connection.
    Unreachable,
}

impl ProxyFailure {
    /// What a cryptographic operation answers: always KMSInvalidStateException.
    pub(crate) fn crypto_error(&self) -> KmsError {
        KmsError::new("KMSInvalidStateException", "")
    }

    /// What CreateKey answers.
    pub(crate) fn create_key_error(&self) -> KmsError {
        KmsError::new("CustomKeyStoreInvalidStateException", "")
    }
}
