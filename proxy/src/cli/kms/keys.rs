//! The KMS keys of a store. KMS lists keys by account alone, so each is looked at.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::advice;
use crate::cli::Failure;
use crate::cli::progress::{Progress, Unit};
use crate::kms::{CallError, KeyMetadata, KmsClient};

/// The KMS keys of a store, and how many keys of the account could not be looked at.
pub(super) struct StoreKeys {
    pub(super) keys: Vec<KeyMetadata>,
    pub(super) hidden: usize,
}

/// Looks at every key of the account.
pub(super) async fn of_store(kms: &Arc<KmsClient>, store: &str) -> Result<StoreKeys, Failure> {
    let ids = kms.key_ids().await.map_err(|e| advice::failure(&e))?;
    let progress = Progress::of("looking at the keys of the account", Unit::Pieces);
    let total = u64::try_from(ids.len()).unwrap_or(u64::MAX);
    let mut ids = ids.into_iter();
    let mut running = JoinSet::new();
    let mut all = StoreKeys {
        keys: Vec::new(),
        hidden: 0,
    };
    let mut looked_at = 0;
    loop {
        while running.len() < AT_A_TIME {
            let Some(id) = ids.next() else { break };
            let kms = Arc::clone(kms);
            running.spawn(async move { kms.describe_key(&id).await });
        }
        let Some(done) = running.join_next().await else {
            break;
        };
        looked_at += 1;
        progress.show(looked_at, total);
        match done {
            Ok(Ok(key)) if key.custom_key_store_id.as_deref() == Some(store) => all.keys.push(key),
            Ok(Ok(_)) => {}
            Ok(Err(error)) if is_hidden(&error) => all.hidden += 1,
            Ok(Err(error)) => return Err(advice::failure(&error)),
            Err(error) => return Err(Failure::of("a task", &error)),
        }
    }
    all.keys.sort_by(|a, b| a.arn.cmp(&b.arn));
    Ok(all)
}

/// A key that is not this caller's to see, or was gone by then.
fn is_hidden(error: &CallError) -> bool {
    matches!(
        error.kind(),
        Some("AccessDeniedException" | "NotFoundException")
    )
}

const AT_A_TIME: usize = 16;
