//! When and for what a key was last used with success: what GetKeyLastUsage tells.
//!
//! Uses change no other state of a key and are many, so they are noted beside it, without the lock of its Region, and are
//! saved with the next change of the key or with a snapshot.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::operation::Operation;
use crate::simulator::Caller;
use crate::state_image::instant;

/// The last use of one key; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastUsage(Arc<Mutex<Option<Usage>>>);

/// `KeyLastUsageData`
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Usage {
    pub(crate) operation: String,
    #[serde(with = "instant")]
    pub(crate) at: SystemTime,
    pub(crate) cloud_trail_event_id: String,
    pub(crate) kms_request_id: String,
}

impl LastUsage {
    /// A use that was noted before.
    pub(crate) fn restored(usage: Option<Usage>) -> Self {
        Self(Arc::new(Mutex::new(usage)))
    }

    /// The key was used now, with success; only what KMS tracks is noted.
    pub(crate) fn note(&self, operation: Operation, caller: &Caller, now: SystemTime) {
        if !is_tracked(operation) {
            return;
        }
        let usage = Usage {
            operation: operation.name().to_owned(),
            at: now,
            cloud_trail_event_id: caller.event_id().to_owned(),
            kms_request_id: caller.request_id.clone(),
        };
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Requests end in any order.
        if last.as_ref().is_none_or(|last| last.at <= now) {
            *last = Some(usage);
        }
    }

    /// The last use, if there was one.
    pub(crate) fn get(&self) -> Option<Usage> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }
}

/// `KeyLastUsageTrackingOperation`
const fn is_tracked(operation: Operation) -> bool {
    use Operation as Op;
    matches!(
        operation,
        Op::Decrypt
            | Op::DeriveSharedSecret
            | Op::Encrypt
            | Op::GenerateDataKey
            | Op::GenerateDataKeyPair
            | Op::GenerateDataKeyPairWithoutPlaintext
            | Op::GenerateDataKeyWithoutPlaintext
            | Op::GenerateMac
            | Op::ReEncrypt
            | Op::Sign
            | Op::Verify
            | Op::VerifyMac
    )
}
