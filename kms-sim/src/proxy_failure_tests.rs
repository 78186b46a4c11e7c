//! The whole table of the specification's error messages and of the developer guide's mapping, retyped.
//!
//! Sources: XKS proxy API specification 1.0.3, table of error messages, for the messages and the exceptions of CreateKey;
//! AWS KMS Developer Guide, "Troubleshooting external key stores", for those of CreateCustomKeyStore and
//! UpdateCustomKeyStore, where the two disagree also for CreateKey; the API's model for the ConnectionErrorCodes. An
//! InvalidStateException, a ThrottlingException or an InternalException of GetHealthStatus is in none of them: chosen.

use super::ProxyFailure as F;
use super::*;

/// Failure, message, CreateKey, CreateCustomKeyStore and UpdateCustomKeyStore, ConnectionErrorCode; an empty cell where
/// the failure cannot come up.
const TABLE: [(F, &str, &str, &str, &str); 19] = [
    (
        F::Answered(ErrorName::Validation),
        "AWS KMS cannot interpret the response from the external key store proxy. If you \
         see this error repeatedly, report it to your external key store proxy \
         administrator.",
        "CustomKeyStoreInvalidState",
        "XksProxyInvalidResponse",
        "XKS_PROXY_INVALID_RESPONSE",
    ),
    (
        F::Answered(ErrorName::InvalidState),
        "The external key associated with this KMS key in an external key store is not \
         enabled in the external key manager. Enable the external key in the external key \
         manager and retry the request.",
        "XksKeyInvalidConfiguration",
        "XksProxyInvalidResponse",
        "XKS_PROXY_NOT_REACHABLE",
    ),
    (
        F::Answered(ErrorName::InvalidCiphertext),
        "The external key store proxy rejected the request because the specified \
         ciphertext or encryption context is corrupted, missing, or otherwise invalid.",
        "",
        "",
        "",
    ),
    (
        F::InnerCiphertext,
        "The ciphertext that the external key store proxy submitted for decryption, or \
         the encryption context, is corrupted, missing, or otherwise invalid.",
        "",
        "",
        "",
    ),
    (
        F::Answered(ErrorName::InvalidKeyUsage),
        "The external key associated with this KMS key in an external key store does not \
         support the requested operation. Enable the operation on the key in your \
         external key manager, and try the request again.",
        "XksKeyInvalidConfiguration",
        "",
        "",
    ),
    (
        F::Answered(ErrorName::AuthenticationFailed),
        "The external key store proxy rejected the request because it could not \
         authenticate AWS KMS. Verify the XKS proxy authentication credentials for your \
         external key store and update if necessary.",
        "CustomKeyStoreInvalidState",
        "XksProxyIncorrectAuthenticationCredential",
        "INVALID_CREDENTIALS",
    ),
    (
        F::Answered(ErrorName::AccessDenied),
        "The external key store proxy denied access to the operation. Verify that the \
         user and the external key are both authorized for this operation, and try the \
         request again.",
        "CustomKeyStoreInvalidState",
        "XksProxyInvalidConfiguration",
        "XKS_PROXY_ACCESS_DENIED",
    ),
    (
        F::Answered(ErrorName::KeyNotFound),
        "The external key associated with this KMS key in an external key store was not \
         found in its external key manager. If the external key ID associated with this \
         KMS key is incorrect, create a new KMS key with the correct external key ID.",
        "XksKeyNotFound",
        "",
        "",
    ),
    (
        F::Answered(ErrorName::InvalidUriPath),
        "The external key store proxy rejected the request because of an invalid URI \
         path. Verify the URI path for your external key store and update if necessary.",
        "CustomKeyStoreInvalidState",
        "XksProxyInvalidConfiguration",
        "XKS_PROXY_INVALID_CONFIGURATION",
    ),
    (
        F::Answered(ErrorName::UnsupportedOperation),
        "The external key store proxy rejected the request because it does not support \
         the requested operation. If you see this error repeatedly, report it to your \
         external key store proxy administrator.",
        "CustomKeyStoreInvalidState",
        "XksProxyInvalidResponse",
        "XKS_PROXY_INVALID_RESPONSE",
    ),
    (
        F::Answered(ErrorName::DependencyTimeout),
        "The external key store proxy did not respond to the request in the time \
         allotted. Retry the request. If you see this error repeatedly, report it to your \
         external key store proxy administrator.",
        "CustomKeyStoreInvalidState",
        "XksProxyUriUnreachable",
        "XKS_PROXY_TIMED_OUT",
    ),
    (
        F::Answered(ErrorName::Throttling),
        "The external key store proxy rejected the request due to a very high request \
         rate. Reduce the frequency of your calls using KMS keys in this external key \
         store.",
        "CustomKeyStoreInvalidState",
        "XksProxyUriUnreachable",
        "XKS_PROXY_NOT_REACHABLE",
    ),
    (
        F::Answered(ErrorName::Internal),
        "The external key store proxy rejected the request because it cannot communicate \
         with the external key manager. Verify that the external key store proxy \
         configuration is correct and that the external key manager is available.",
        "CustomKeyStoreInvalidState",
        "XksProxyInvalidResponse",
        "XKS_PROXY_INVALID_RESPONSE",
    ),
    (
        F::Unreachable,
        "AWS KMS cannot communicate with the external key store proxy. This might be a \
         transient network issue. If you see this error repeatedly, verify that your \
         external key store proxy is active and is connected to the network, and that its \
         endpoint URI is correct in your external key store.",
        "CustomKeyStoreInvalidState",
        "XksProxyUriUnreachable",
        "XKS_PROXY_NOT_REACHABLE",
    ),
    (
        F::Tls,
        "AWS KMS cannot establish a TLS connection to the external key store proxy. \
         Verify the TLS configuration, including its certificate.",
        "CustomKeyStoreInvalidState",
        "XksProxyUriUnreachable",
        "XKS_PROXY_INVALID_TLS_CONFIGURATION",
    ),
    (
        F::TimedOut,
        "AWS KMS rejected the request because the external key store proxy did not \
         respond in time. Retry the request. If you see this error repeatedly, report it \
         to your external key store proxy administrator.",
        "CustomKeyStoreInvalidState",
        "XksProxyUriUnreachable",
        "XKS_PROXY_TIMED_OUT",
    ),
    (
        F::Malformed("x"),
        "AWS KMS cannot interpret the response from the external key store proxy. If you \
         see this error repeatedly, report it to your external key store proxy \
         administrator.",
        "CustomKeyStoreInvalidState",
        "XksProxyInvalidResponse",
        "XKS_PROXY_INVALID_RESPONSE",
    ),
    (
        F::Unhealthy,
        "The external key store proxy is in an unhealthy state. If you see this message \
         repeatedly, notify your external key store proxy administrator.",
        "",
        "XksProxyUriUnreachable",
        "XKS_PROXY_NOT_REACHABLE",
    ),
    (
        F::NotConnected,
        "This KMS key is in a custom key store that is not connected to its external key \
         store proxy. Connect the external key store and try the request again.",
        "CustomKeyStoreInvalidState",
        "",
        "",
    ),
];

#[test]
fn every_row_of_the_table_is_mapped() {
    for (failure, message, create_key, key_store, code) in TABLE {
        let crypto = failure.crypto_error();
        assert_eq!(crypto.name(), "KMSInvalidStateException", "{failure:?}");
        assert_eq!(crypto.message(), Some(message), "{failure:?}");
        assert_eq!(crypto.status(), 400);
        for (error, expected) in [
            (failure.create_key_error(), create_key),
            (failure.key_store_error(), key_store),
        ] {
            if !expected.is_empty() {
                assert_eq!(error.name(), format!("{expected}Exception"), "{failure:?}");
                assert_eq!(error.status(), 400);
            }
        }
        if !code.is_empty() {
            assert_eq!(
                failure.connection_error_code().as_str(),
                code,
                "{failure:?}"
            );
        }
    }
    for name in ErrorName::ALL {
        assert!(
            TABLE.iter().any(|row| row.0 == F::Answered(name)),
            "no row for {name:?}"
        );
    }
}

#[test]
fn what_the_operation_cannot_get_counts_as_malformed() {
    for failure in [
        F::Answered(ErrorName::KeyNotFound),
        F::Answered(ErrorName::InvalidCiphertext),
        F::Answered(ErrorName::InvalidKeyUsage),
    ] {
        assert_eq!(
            failure.key_store_error().name(),
            "XksProxyInvalidResponseException"
        );
        assert_eq!(
            failure.connection_error_code().as_str(),
            "XKS_PROXY_INVALID_RESPONSE"
        );
    }
}

#[test]
fn create_key_says_what_the_guide_says_of_a_missing_external_key() {
    assert_eq!(
        F::Answered(ErrorName::KeyNotFound)
            .create_key_error()
            .message(),
        Some(
            "The external key store proxy rejected the request because it could not find the \
             external key."
        )
    );
}
