//! What can go wrong between KMS and a proxy, and what each KMS operation makes of it: the one place that knows.
//!
//! The proxy's own `errorMessage` goes to the log (`xks_client.rs`), never to a caller.

use xks_api::error::ErrorName;

use crate::api::KmsError;
use crate::connection::ConnectionErrorCode;

/// Why a request to the proxy gave no usable answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ProxyFailure {
    /// The proxy answered with this `errorName`, whatever the HTTP status.
    Answered(ErrorName),
    /// The proxy decrypted, but what it gave does not open under the KMS key's own material and context.
    InnerCiphertext,
    /// No TCP connection, or one that ended before the answer.
    Unreachable,
    /// No TLS session.
    Tls,
    /// No answer within the time limit, twice.
    TimedOut,
    /// An answer that the specification does not allow; says in a constant what is wrong with it.
    Malformed(&'static str),
    /// Every instance of the external key manager is UNAVAILABLE.
    Unhealthy,
    /// The store is not CONNECTED, or was disconnected during the request.
    NotConnected,
}

impl ProxyFailure {
    /// What a cryptographic operation answers: always KMSInvalidStateException.
    pub(crate) fn crypto_error(&self) -> KmsError {
        KmsError::new("KMSInvalidStateException", self.message())
    }

    /// What CreateKey answers.
    pub(crate) fn create_key_error(&self) -> KmsError {
        let name = match self {
            Self::Answered(name) => match name {
                ErrorName::KeyNotFound => "XksKeyNotFoundException",
                ErrorName::InvalidState | ErrorName::InvalidKeyUsage => {
                    "XksKeyInvalidConfigurationException"
                }
                ErrorName::Validation
                | ErrorName::InvalidCiphertext
                | ErrorName::AuthenticationFailed
                | ErrorName::AccessDenied
                | ErrorName::InvalidUriPath
                | ErrorName::Throttling
                | ErrorName::UnsupportedOperation
                | ErrorName::DependencyTimeout
                | ErrorName::Internal => "CustomKeyStoreInvalidStateException",
            },
            Self::InnerCiphertext
            | Self::Unreachable
            | Self::Tls
            | Self::TimedOut
            | Self::Malformed(_)
            | Self::Unhealthy
            | Self::NotConnected => "CustomKeyStoreInvalidStateException",
        };
        let message = match self {
            Self::Answered(ErrorName::KeyNotFound) => EXTERNAL_KEY_NOT_FOUND,
            other => other.message(),
        };
        KmsError::new(name, message)
    }

    /// What CreateCustomKeyStore and UpdateCustomKeyStore answer.
    pub(crate) fn key_store_error(&self) -> KmsError {
        let name = match self {
            Self::Answered(name) => match name {
                ErrorName::AuthenticationFailed => {
                    "XksProxyIncorrectAuthenticationCredentialException"
                }
                ErrorName::AccessDenied | ErrorName::InvalidUriPath => {
                    "XksProxyInvalidConfigurationException"
                }
                ErrorName::DependencyTimeout | ErrorName::Throttling => {
                    "XksProxyUriUnreachableException"
                }
                ErrorName::Validation
                | ErrorName::InvalidState
                | ErrorName::InvalidCiphertext
                | ErrorName::InvalidKeyUsage
                | ErrorName::KeyNotFound
                | ErrorName::UnsupportedOperation
                | ErrorName::Internal => "XksProxyInvalidResponseException",
            },
            Self::Unreachable
            | Self::Tls
            | Self::TimedOut
            | Self::Unhealthy
            | Self::NotConnected => "XksProxyUriUnreachableException",
            Self::InnerCiphertext | Self::Malformed(_) => "XksProxyInvalidResponseException",
        };
        KmsError::new(name, self.message())
    }

    /// What the store shows after an attempt to connect.
    pub(crate) const fn connection_error_code(&self) -> ConnectionErrorCode {
        match self {
            Self::Answered(name) => match name {
                ErrorName::AuthenticationFailed => ConnectionErrorCode::InvalidCredentials,
                ErrorName::AccessDenied => ConnectionErrorCode::XksProxyAccessDenied,
                ErrorName::InvalidUriPath => ConnectionErrorCode::XksProxyInvalidConfiguration,
                ErrorName::DependencyTimeout => ConnectionErrorCode::XksProxyTimedOut,
                ErrorName::InvalidState | ErrorName::Throttling => {
                    ConnectionErrorCode::XksProxyNotReachable
                }
                ErrorName::Validation
                | ErrorName::InvalidCiphertext
                | ErrorName::InvalidKeyUsage
                | ErrorName::KeyNotFound
                | ErrorName::UnsupportedOperation
                | ErrorName::Internal => ConnectionErrorCode::XksProxyInvalidResponse,
            },
            Self::Unreachable | Self::Unhealthy | Self::NotConnected => {
                ConnectionErrorCode::XksProxyNotReachable
            }
            Self::Tls => ConnectionErrorCode::XksProxyInvalidTlsConfiguration,
            Self::TimedOut => ConnectionErrorCode::XksProxyTimedOut,
            Self::InnerCiphertext | Self::Malformed(_) => {
                ConnectionErrorCode::XksProxyInvalidResponse
            }
        }
    }

    /// The specification's text for the caller.
    pub(crate) const fn message(&self) -> &'static str {
        match self {
            Self::Answered(name) => match name {
                ErrorName::Validation => CANNOT_INTERPRET,
                ErrorName::InvalidState => {
                    "The external key associated with this KMS key in an external key store is not \
                     enabled in the external key manager. Enable the external key in the external \
                     key manager and retry the request."
                }
                ErrorName::InvalidCiphertext => {
                    "The external key store proxy rejected the request because the specified \
                     ciphertext or encryption context is corrupted, missing, or otherwise invalid."
                }
                ErrorName::InvalidKeyUsage => {
                    "The external key associated with this KMS key in an external key store does \
                     not support the requested operation. Enable the operation on the key in your \
                     external key manager, and try the request again."
                }
                ErrorName::AuthenticationFailed => {
                    "The external key store proxy rejected the request because it could not \
                     authenticate AWS KMS. Verify the XKS proxy authentication credentials for \
                     your external key store and update if necessary."
                }
                ErrorName::AccessDenied => {
                    "The external key store proxy denied access to the operation. Verify that the \
                     user and the external key are both authorized for this operation, and try \
                     the request again."
                }
                ErrorName::KeyNotFound => {
                    "The external key associated with this KMS key in an external key store was \
                     not found in its external key manager. If the external key ID associated \
                     with this KMS key is incorrect, create a new KMS key with the correct \
                     external key ID."
                }
                ErrorName::InvalidUriPath => {
                    "The external key store proxy rejected the request because of an invalid URI \
                     path. Verify the URI path for your external key store and update if \
                     necessary."
                }
                ErrorName::Throttling => {
                    "The external key store proxy rejected the request due to a very high request \
                     rate. Reduce the frequency of your calls using KMS keys in this external key \
                     store."
                }
                ErrorName::UnsupportedOperation => {
                    "The external key store proxy rejected the request because it does not \
                     support the requested operation. If you see this error repeatedly, report it \
                     to your external key store proxy administrator."
                }
                ErrorName::DependencyTimeout => {
                    "The external key store proxy did not respond to the request in the time \
                     allotted. Retry the request. If you see this error repeatedly, report it to \
                     your external key store proxy administrator."
                }
                ErrorName::Internal => {
                    "The external key store proxy rejected the request because it cannot \
                     communicate with the external key manager. Verify that the external key \
                     store proxy configuration is correct and that the external key manager is \
                     available."
                }
            },
            Self::InnerCiphertext => {
                "The ciphertext that the external key store proxy submitted for decryption, or \
                 the encryption context, is corrupted, missing, or otherwise invalid."
            }
            Self::Unreachable => {
                "AWS KMS cannot communicate with the external key store proxy. This might be a \
                 transient network issue. If you see this error repeatedly, verify that your \
                 external key store proxy is active and is connected to the network, and that its \
                 endpoint URI is correct in your external key store."
            }
            Self::Tls => {
                "AWS KMS cannot establish a TLS connection to the external key store proxy. \
                 Verify the TLS configuration, including its certificate."
            }
            Self::TimedOut => {
                "AWS KMS rejected the request because the external key store proxy did not \
                 respond in time. Retry the request. If you see this error repeatedly, report it \
                 to your external key store proxy administrator."
            }
            Self::Malformed(_) => CANNOT_INTERPRET,
            Self::Unhealthy => {
                "The external key store proxy is in an unhealthy state. If you see this message \
                 repeatedly, notify your external key store proxy administrator."
            }
            Self::NotConnected => {
                "This KMS key is in a custom key store that is not connected to its external key \
                 store proxy. Connect the external key store and try the request again."
            }
        }
    }
}

const CANNOT_INTERPRET: &str = "AWS KMS cannot interpret the response from the external key store \
     proxy. If you see this error repeatedly, report it to your external key store proxy \
     administrator.";

/// CreateKey knows no KMS key yet, so it says this.
const EXTERNAL_KEY_NOT_FOUND: &str =
    "The external key store proxy rejected the request because it could not find the external key.";

#[cfg(test)]
#[path = "proxy_failure_tests.rs"]
mod tests;
