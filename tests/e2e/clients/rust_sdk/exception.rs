//! An operation's error → the name of its exception in KMS's model, by the variant of the SDK's enum.

use aws_sdk_kms::Error;
use aws_sdk_kms::error::{DisplayErrorContext, SdkError};

use super::Exception;

/// What the SDK could not tell apart has no name of the model.
pub(super) fn exception<E>(error: SdkError<E>) -> Exception
where
    Error: From<SdkError<E>>,
{
    let status = error
        .raw_response()
        .map(|response| response.status().as_u16());
    let error = Error::from(error);
    Exception {
        name: name(&error).to_owned(),
        status,
        message: DisplayErrorContext(&error).to_string(),
    }
}

/// Rust's convention for abbreviations differs from KMS's.
fn name(error: &Error) -> &'static str {
    macro_rules! names {
        ($($variant:ident)+) => {
            match error {
                Error::CustomKeyStoreHasCmKsException(_) => "CustomKeyStoreHasCMKsException",
                Error::KmsInternalException(_) => "KMSInternalException",
                Error::KmsInvalidStateException(_) => "KMSInvalidStateException",
                $(Error::$variant(_) => stringify!($variant),)+
                _ => "an exception that is not in the list of this file",
            }
        };
    }
    names! {
        AlreadyExistsException
        CustomKeyStoreInvalidStateException
        CustomKeyStoreNameInUseException
        CustomKeyStoreNotFoundException
        DependencyTimeoutException
        DisabledException
        DryRunOperationException
        IncorrectKeyException
        InvalidAliasNameException
        InvalidArnException
        InvalidCiphertextException
        InvalidKeyUsageException
        InvalidMarkerException
        KeyUnavailableException
        LimitExceededException
        NotFoundException
        TagException
        UnsupportedOperationException
        XksKeyAlreadyInUseException
        XksKeyInvalidConfigurationException
        XksKeyNotFoundException
        XksProxyIncorrectAuthenticationCredentialException
        XksProxyInvalidConfigurationException
        XksProxyInvalidResponseException
        XksProxyUriEndpointInUseException
        XksProxyUriInUseException
        XksProxyUriUnreachableException
    }
}
