//! The admin sockets of a server: one in the data folder of each embedded key manager, as long as it is open, and one in
//! `state_dir` where another kind of key manager is governed from there.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};

use crate::admin::{AdminSocket, Server};
use crate::assemble::KeyManagers;
use crate::reload::Reloader;

/// Sockets that are listened to until they are [stopped](Self::stop).
pub(super) struct AdminSockets {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl AdminSockets {
    /// Listens for every embedded key manager, also for those that a reload brings; within a runtime.
    ///
    /// A socket that cannot be made stops no server: it is told in the log, and commands are refused until then.
    pub(super) fn open(reloader: Arc<Reloader>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let key_managers = reloader.key_managers();
        let open = Open {
            server: reloader,
            stopped,
            sockets: BTreeMap::new(),
            tasks: JoinSet::new(),
        };
        let task = tokio::spawn(open.follow(key_managers));
        Self { stop, task }
    }

    /// Takes no further command.
    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Lets commands that have begun come to their end; may be asked for more than once.
    pub(super) async fn closed(&mut self) {
        self.stop();
        if !self.task.is_finished() {
            // A panic of the task was reported where it happened.
            let _ = (&mut self.task).await;
        }
    }
}

struct Open {
    server: Arc<dyn Server>,
    stopped: watch::Receiver<bool>,
    sockets: BTreeMap<PathBuf, AbortHandle>,
    tasks: JoinSet<()>,
}

impl Open {
    async fn follow(mut self, mut key_managers: watch::Receiver<KeyManagers>) {
        let mut stopped = self.stopped.clone();
        let mut stop = std::pin::pin!(async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        });
        loop {
            let open = key_managers.borrow_and_update().clone();
            self.take_up(&open);
            tokio::select! {
                () = &mut stop => break,
                changed = key_managers.changed() => {
                    if changed.is_err() {
                        break;
                    }
                }
            }
        }
        self.tasks.join_all().await;
    }

    fn take_up(&mut self, key_managers: &KeyManagers) {
        let mut open: BTreeMap<_, _> = key_managers
            .embedded()
            .map(|(data_dir, embedded)| (data_dir.as_path(), Some(embedded.administration())))
            .collect();
        if let Some(folder) = key_managers.state_folder() {
            open.entry(folder).or_insert(None);
        }
        self.sockets.retain(|data_dir, socket| {
            let keep = open.contains_key(data_dir.as_path());
            if !keep {
                socket.abort();
            }
            keep
        });
        for (data_dir, administration) in open {
            if self.sockets.contains_key(data_dir) {
                continue;
            }
            let socket = match AdminSocket::bind(data_dir) {
                Ok(socket) => socket,
                Err(error) => {
                    let folder = data_dir.display();
                    tracing::error!(%folder, %error, "no admin socket: this server takes no key commands");
                    continue;
                }
            };
            let mut stopped = self.stopped.clone();
            let stop = async move {
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            let serving = socket.serve(administration, Arc::clone(&self.server), stop);
            let handle = self.tasks.spawn(serving);
            self.sockets.insert(data_dir.to_owned(), handle);
        }
    }
}
