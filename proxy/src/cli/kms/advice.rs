//! What KMS says, with what to do about it.

use std::fmt::Write as _;

use crate::cli::Failure;
use crate::kms::{CallError, CustomKeyStore, Explanation, connection_error, refusal};

/// A call that failed, for whoever ran the command.
pub(super) fn failure(error: &CallError) -> Failure {
    Failure::Failed(text(error))
}

/// KMS's words, then ours.
pub(super) fn text(error: &CallError) -> String {
    let mut text = error.to_string();
    if let Some(explanation) = error.kind().and_then(refusal) {
        explain(&mut text, explanation);
    }
    text
}

/// Why a store is FAILED.
pub(super) fn of_failed(store: &CustomKeyStore) -> String {
    let code = store.connection_error_code.as_deref().unwrap_or_default();
    let mut text = format!("{} is FAILED with {code}", store.custom_key_store_id);
    match connection_error(code) {
        Some(explanation) => explain(&mut text, explanation),
        None => text
            .push_str(": look for it in the API reference of KMS, under CustomKeyStoresListEntry"),
    }
    text
}

fn explain(text: &mut String, explanation: &Explanation) {
    let _ = write!(text, "\n  That is, {}. Look at:", explanation.meaning);
    for check in explanation.checks {
        let _ = write!(text, "\n  - {check}");
    }
}
