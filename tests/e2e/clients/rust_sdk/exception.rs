//! An operation's error → the name of its exception in KMS's model, by the variant of the SDK's enum.

use aws_sdk_kms::Error;
use aws_sdk_kms::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

use super::Exception;

/// What the SDK could not tell apart has no name of the model.
pub(super) fn exception<E>(error: SdkError<E>) -> Exception
where
    E: ProvideErrorMetadata,
    Error: From<SdkError<E>>,
{
    let code = error.code().map(str::to_owned);
    let status = error
        .raw_response()
        .map(|response| response.status().as_u16());
    let error = Error::from(error);
    Exception {
        name: name(&error).map(str::to_owned),
        code,
        status,
        message: DisplayErrorContext(&error).to_string(),
    }
}

/// Rust's convention for abbreviations differs from KMS's.
fn name(error: &Error) -> Option<&'static str> {
    macro_rules! names {
        ($($variant:ident)+) => {
            Some(match error {
                Error::CustomKeyStoreHasCmKsException(_) => "CustomKeyStoreHasCMKsException",
                Error::KmsInvalidMacException(_) => "KMSInvalidMacException",
                Error::KmsInvalidSignatureException(_) => "KMSInvalidSignatureException",
                Error::KmsInternalException(_) => "KMSInternalException",
                Error::KmsInvalidStateException(_) => "KMSInvalidStateException",
                $(Error::$variant(_) => stringify!($variant),)+
                // KMS's model does not have it, or this list does not.
                _ => return None,
            })
        };
    }
    names! {
        AlreadyExistsException
        ConflictException
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
        InvalidGrantIdException
        InvalidGrantTokenException
        InvalidImportTokenException
        InvalidKeyUsageException
        InvalidMarkerException
        KeyUnavailableException
        LimitExceededException
        MalformedPolicyDocumentException
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
