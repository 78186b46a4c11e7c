//! Notifications of changes: a connection of its own that listens, made again when it is lost.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_postgres::{AsyncMessage, Client};

use super::connection::{Database, Incoming};

/// Notifies of every change that another proxy makes. Ends when it is dropped.
///
/// It notifies, too, when it begins to listen: nobody knows what happened before.
pub(super) async fn listen(database: Arc<Database>, changed: Arc<Notify>) {
    loop {
        if let Ok((client, incoming)) = database.connect().await {
            let until_lost = async {
                tokio::select! {
                    () = notifications(incoming, &changed) => {}
                    () = keep(&client, &database, &changed) => {}
                }
            };
            until_lost.await;
        }
        // Polling tells what is wrong, and finds changes meanwhile.
        sleep(PAUSE).await;
    }
}

/// Reads what the server sends until the connection ends.
async fn notifications(mut incoming: Incoming, changed: &Notify) {
    loop {
        let message = poll_fn(|context| match &mut incoming {
            Incoming::Plain(connection) => connection.poll_message(context),
            Incoming::Tls(connection) => connection.poll_message(context),
        });
        match message.await {
            Some(Ok(AsyncMessage::Notification(_))) => changed.notify_one(),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return,
        }
    }
}

/// Subscribes, then asks from time to time for a sign of life.
async fn keep(client: &Client, database: &Database, changed: &Notify) {
    // The name of a schema is that of its channel.
    let statement = format!("LISTEN {}", database.config().schema);
    if client.batch_execute(&statement).await.is_err() {
        return;
    }
    changed.notify_one();
    loop {
        sleep(SIGN_OF_LIFE).await;
        match timeout(SIGN_OF_LIFE, client.simple_query("")).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

const PAUSE: Duration = Duration::from_millis(500);
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);
