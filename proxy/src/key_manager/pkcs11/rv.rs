//! What a return value of the library means: for the request, and for the session that it came from.
//!
//! A session is dropped after any error, whatever the error says of it: SoftHSM, for one, stays in an operation that has
//! failed. What is decided here is what the request is answered with, and whether it is tried once more, on what.

use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};

/// What an error means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Verdict {
    pub(super) meaning: Meaning,
    pub(super) again: Again,
}

/// What it means for the request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Meaning {
    /// The device says that the ciphertext does not verify.
    InvalidCiphertext,
    /// The device says this of a ciphertext that does not verify, and of other things, too.
    PerhapsInvalidCiphertext,
    /// The key may not be used like that.
    InvalidState,
    /// The message is longer than the device takes.
    TooLong,
    /// There are no more sessions.
    NoSession,
    /// The PIN is refused: another attempt with it may lock the token.
    PinRefused,
    /// Anything else is a failure of the device or of its settings.
    Unavailable,
}

/// Whether the same call can succeed if it is made again, and with what.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Again {
    Never,
    /// With another session, logged in anew, and handles found anew.
    NewSession,
    /// After C_Finalize and C_Initialize, too.
    NewLibrary,
}

/// Judges what a call failed with.
pub(super) fn judge(error: &Error) -> Verdict {
    match error {
        Error::Pkcs11(rv, function) => judge_rv(*rv, *function),
        // The library, or what lies between it and us, is not what we expect; no second call changes that.
        Error::LibraryLoading(_)
        | Error::NotSupported
        | Error::TryFromInt(_)
        | Error::TryFromSlice(_)
        | Error::ParseInt(_)
        | Error::Utf8(_)
        | Error::NulError(_)
        | Error::NullFunctionPointer
        | Error::MissingSymbol(_)
        | Error::InvalidValue
        | Error::PinNotSet => verdict(Meaning::Unavailable, Again::Never),
    }
}

fn judge_rv(rv: RvError, function: Function) -> Verdict {
    use Again::{Never, NewLibrary, NewSession};
    use Meaning::{
        InvalidCiphertext, InvalidState, NoSession, PerhapsInvalidCiphertext, PinRefused, TooLong,
        Unavailable,
    };
    let decrypting = matches!(function, Function::Decrypt);
    let encrypting = matches!(function, Function::Encrypt);
    match rv {
        // What PKCS#11 has for a tag that does not verify, and for fewer bytes than a tag has.
        RvError::EncryptedDataInvalid | RvError::EncryptedDataLenRange if decrypting => {
            verdict(InvalidCiphertext, Never)
        }
        // From another function they say nothing of our ciphertext.
        RvError::EncryptedDataInvalid | RvError::EncryptedDataLenRange => {
            verdict(Unavailable, Never)
        }

        // SoftHSM says GENERAL_ERROR of a bad tag, other devices one of these; all of them mean other things, too.
        RvError::GeneralError
        | RvError::FunctionFailed
        | RvError::DataInvalid
        | RvError::SignatureInvalid
        | RvError::SignatureLenRange
            if decrypting =>
        {
            verdict(PerhapsInvalidCiphertext, Never)
        }
        // PKCS#11 calls the first unrecoverable, and of the second says that another attempt may succeed.
        RvError::GeneralError => verdict(Unavailable, NewLibrary),
        RvError::FunctionFailed => verdict(Unavailable, NewSession),
        // A plaintext cannot be invalid, and we never sign: the device or its library is confused.
        RvError::DataInvalid | RvError::SignatureInvalid | RvError::SignatureLenRange => {
            verdict(Unavailable, Never)
        }
        // The one thing that an encryption can do about it is to be shorter.
        RvError::DataLenRange if encrypting => verdict(TooLong, Never),
        // Of a ciphertext that we sealed or refused by its length before: not the caller's fault alone.
        RvError::DataLenRange if decrypting => verdict(PerhapsInvalidCiphertext, Never),
        RvError::DataLenRange => verdict(Unavailable, Never),

        // The key was destroyed or replaced since its handle was found; whether it is still there is found out again.
        RvError::KeyHandleInvalid | RvError::ObjectHandleInvalid | RvError::KeyChanged => {
            verdict(Unavailable, NewSession)
        }
        // Attributes of the key forbid it, or were changed to.
        RvError::KeyFunctionNotPermitted | RvError::ActionProhibited => {
            verdict(InvalidState, Never)
        }
        // The key is not one for AES-GCM; only its owner can help that.
        RvError::KeySizeRange
        | RvError::KeyTypeInconsistent
        | RvError::KeyNotNeeded
        | RvError::KeyNeeded
        | RvError::KeyIndigestible
        | RvError::KeyNotWrappable
        | RvError::KeyUnextractable => verdict(Unavailable, Never),

        // The session has ended: by a timeout of the device, by its restart, or with the token.
        RvError::SessionClosed | RvError::SessionHandleInvalid => verdict(Unavailable, NewSession),
        // A call before left it in the middle of something.
        RvError::OperationActive | RvError::OperationNotInitialized => {
            verdict(Unavailable, NewSession)
        }
        // Whoever logs out logs out all sessions of the process; logging in again is part of a new session.
        RvError::UserNotLoggedIn => verdict(Unavailable, NewSession),
        // As many as the token has: others of this process, or other processes, hold them.
        RvError::SessionCount => verdict(NoSession, Never),
        // Kinds of sessions that we do not open.
        RvError::SessionParallelNotSupported
        | RvError::SessionReadOnly
        | RvError::SessionExists
        | RvError::SessionReadOnlyExists
        | RvError::SessionReadWriteSoExists => verdict(Unavailable, Never),

        // The token or the way to it is gone. Libraries keep lists of slots and connections from C_Initialize on.
        RvError::DeviceError
        | RvError::DeviceRemoved
        | RvError::TokenNotPresent
        | RvError::TokenNotRecognized
        | RvError::SlotIdInvalid
        | RvError::CryptokiNotInitialized => verdict(Unavailable, NewLibrary),
        // Initialized by whoever else uses the library in this process: as good as by us.
        RvError::CryptokiAlreadyInitialized => verdict(Unavailable, NewSession),

        // Each attempt counts towards the lock.
        RvError::PinIncorrect
        | RvError::PinInvalid
        | RvError::PinLenRange
        | RvError::PinExpired
        | RvError::PinLocked
        | RvError::PinTooWeak
        | RvError::UserPinNotInitialized => verdict(PinRefused, Never),
        // Handled where we log in; elsewhere it says nothing.
        RvError::UserAlreadyLoggedIn => verdict(Unavailable, NewSession),
        // Somebody else's login in this process stands in the way.
        RvError::UserAnotherAlreadyLoggedIn
        | RvError::UserTypeInvalid
        | RvError::UserTooManyTypes => verdict(Unavailable, Never),

        // The device is out of something; less load helps, another attempt does not.
        RvError::HostMemory | RvError::DeviceMemory => verdict(Unavailable, Never),

        // The device wants the call in another form: its settings here, `iv` above all, are not its own.
        RvError::ArgumentsBad
        | RvError::MechanismInvalid
        | RvError::MechanismParamInvalid
        | RvError::BufferTooSmall
        | RvError::FunctionNotSupported
        | RvError::CurveNotSupported
        | RvError::DomainParamsInvalid => verdict(Unavailable, Never),

        // Interrupted by others; the call can be made again.
        RvError::Cancel | RvError::FunctionCanceled | RvError::FunctionNotParallel => {
            verdict(Unavailable, NewSession)
        }
        // The library cannot work in this process, or not safely.
        RvError::NeedToCreateThreads
        | RvError::CantLock
        | RvError::MutexBad
        | RvError::MutexNotLocked
        | RvError::LibraryLoadFailed
        | RvError::FipsSelfTestFailed => verdict(Unavailable, Never),

        // For functions that we do not call: nothing is known of what they mean here.
        RvError::NoEvent
        | RvError::AttributeReadOnly
        | RvError::AttributeSensitive
        | RvError::AttributeTypeInvalid
        | RvError::AttributeValueInvalid
        | RvError::TemplateIncomplete
        | RvError::TemplateInconsistent
        | RvError::TokenWriteProtected
        | RvError::UnwrappingKeyHandleInvalid
        | RvError::UnwrappingKeySizeRange
        | RvError::UnwrappingKeyTypeInconsistent
        | RvError::WrappedKeyInvalid
        | RvError::WrappedKeyLenRange
        | RvError::WrappingKeyHandleInvalid
        | RvError::WrappingKeySizeRange
        | RvError::WrappingKeyTypeInconsistent
        | RvError::RandomSeedNotSupported
        | RvError::RandomNoRng
        | RvError::SavedStateInvalid
        | RvError::InformationSensitive
        | RvError::StateUnsaveable
        | RvError::NewPinMode
        | RvError::NextOtp
        | RvError::ExceededMaxIterations
        | RvError::PublicKeyInvalid
        | RvError::FunctionRejected => verdict(Unavailable, Never),

        // The maker's own: while decrypting, any of them may be what the maker says of a bad tag.
        RvError::VendorDefined(_) | RvError::UnknownErrorCode(_) if decrypting => {
            verdict(PerhapsInvalidCiphertext, Never)
        }
        RvError::VendorDefined(_) | RvError::UnknownErrorCode(_) => {
            verdict(Unavailable, NewSession)
        }
    }
}

fn verdict(meaning: Meaning, again: Again) -> Verdict {
    Verdict { meaning, again }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(rv: RvError, function: Function) -> Meaning {
        judge(&Error::Pkcs11(rv, function)).meaning
    }

    #[test]
    fn only_a_decryption_can_find_a_ciphertext_invalid() {
        for rv in [
            RvError::EncryptedDataInvalid,
            RvError::EncryptedDataLenRange,
            RvError::GeneralError,
            RvError::FunctionFailed,
            RvError::VendorDefined(0x8000_0001),
        ] {
            assert_ne!(
                meaning(rv, Function::Decrypt),
                Meaning::Unavailable,
                "{rv:?}"
            );
            for function in [
                Function::DecryptInit,
                Function::Encrypt,
                Function::FindObjects,
                Function::OpenSession,
            ] {
                assert_eq!(meaning(rv, function), Meaning::Unavailable, "{rv:?}");
            }
        }
    }

    #[test]
    fn a_refused_pin_is_not_tried_again() {
        for rv in [
            RvError::PinIncorrect,
            RvError::PinLocked,
            RvError::PinExpired,
        ] {
            let verdict = judge(&Error::Pkcs11(rv, Function::Login));
            assert_eq!(verdict.meaning, Meaning::PinRefused);
            assert_eq!(verdict.again, Again::Never);
        }
    }
}
