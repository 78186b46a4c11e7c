//! The admin sockets of a server: one in the data folder of each embedded key manager.

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::admin::AdminSocket;
use crate::assemble::KeyManagers;
use crate::config::KeyManagerConfig;

/// Sockets that are listened to until they are [closed](Self::close).
pub(super) struct AdminSockets {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl AdminSockets {
    /// Listens for every embedded key manager; within a runtime.
    ///
    /// A socket that cannot be made stops no server: it is told in the log, and commands are refused until then.
    pub(super) fn open(key_managers: &KeyManagers) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for (KeyManagerConfig::Embedded { data_dir, .. }, embedded) in key_managers.embedded() {
            let socket = match AdminSocket::bind(data_dir) {
                Ok(socket) => socket,
                Err(error) => {
                    let folder = data_dir.display();
                    tracing::error!(%folder, %error, "no admin socket: this server takes no key commands");
                    continue;
                }
            };
            let mut stopped = stopped.clone();
            let administration = embedded.administration();
            tasks.spawn(socket.serve(administration, async move {
                let _ = stopped.wait_for(|stop| *stop).await;
            }));
        }
        Self { stop, tasks }
    }

    /// Lets commands that have begun come to their end.
    pub(super) async fn close(self) {
        self.stop.send_replace(true);
        self.tasks.join_all().await;
    }
}
