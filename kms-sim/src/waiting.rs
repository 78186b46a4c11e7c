//! Work that takes long is done on a thread that may wait, never on those that serve connections.

use tokio::task::spawn_blocking;

use crate::api::KmsError;
use crate::key_material::internal;

/// Does the work elsewhere and waits for it.
///
/// # Errors
/// What the work gives; KMSInternalException if it panics.
pub(crate) async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, KmsError> + Send + 'static,
) -> Result<T, KmsError> {
    spawn_blocking(work).await.map_err(|_| internal())?
}
