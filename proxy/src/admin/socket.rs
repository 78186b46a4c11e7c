//! The server's side of the admin socket: who may connect, and how long a command may be.

use std::fs::{self, Permissions};
use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use xks_api::ids::AccessKeyId;
use zeroize::Zeroizing;

use super::desk::{Door, Sent, carry_out};
use super::protocol::{Answer, Credentials, ENVELOPE_START, Envelope, Probed, Refusal};
use super::two_person::ApprovalPolicy;
use super::{MAX_COMMAND_LEN, SOCKET_NAME};
use crate::audit::AuditLog;
use crate::control::Scopes;
use crate::key_manager::embedded::Administration;
use crate::reload::Reloaded;
use crate::status::{Status, Wanted};

/// What an administrator asks of the server as a whole; called on threads that may block.
pub trait Server: Send + Sync {
    /// Reloads the configuration.
    ///
    /// # Errors
    /// What the reload failed with, as text.
    fn reload(&self) -> Result<Reloaded, String>;

    /// Where what is done is recorded, if anywhere.
    fn audit(&self) -> Option<&AuditLog>;

    /// Has every key manager encrypt and decrypt.
    fn probe(&self) -> Vec<Probed>;

    /// How everything does.
    fn status(&self, wanted: &Wanted) -> Status;

    /// What is under two-person approval.
    fn approval(&self) -> ApprovalPolicy;

    /// What governs which part of the proxy.
    fn scopes(&self) -> Scopes;

    /// When each credential last signed a request.
    fn last_uses(&self) -> Vec<(AccessKeyId, OffsetDateTime)>;
}

/// The socket in the data folder; its file goes when it is dropped.
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl AdminSocket {
    /// Listens in a data folder whose store this process has open: a socket that is there is a dead process's.
    ///
    /// # Errors
    /// What the operating system says; among others that the path is too long for a socket.
    pub fn bind(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(SOCKET_NAME);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        // Who connects before this is looked at all the same.
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(Self { listener, path })
    }

    /// Where the socket is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Carries out commands until `shutdown` is ready, then those that have begun.
    pub async fn serve(
        self,
        administration: impl Into<Option<Arc<Administration>>>,
        server: Arc<dyn Server>,
        shutdown: impl Future<Output = ()>,
    ) {
        let door = administration.into().map_or(Door::Proxy, Door::Keyring);
        let mut shutdown = pin!(shutdown);
        let (leave, leaving) = watch::channel(());
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept(), if connections.len() < MAX_CONNECTIONS => {
                    match accepted {
                        Ok((stream, _)) => {
                            let door = door.clone();
                            let server = Arc::clone(&server);
                            let leaving = leaving.clone();
                            connections.spawn(connection(stream, door, server, leaving));
                        }
                        Err(error) => {
                            tracing::warn!(%error, "the admin socket accepts no connection");
                            tokio::time::sleep(ACCEPT_PAUSE).await;
                        }
                    }
                }
            }
        }
        // Whoever has not sent a command by now waits for nothing, and is not waited for.
        drop(leave);
        let _ = timeout(DRAIN, async {
            while connections.join_next().await.is_some() {}
        })
        .await;
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Ends with its command, or, if none has come, with the sender of `leaving`.
async fn connection(
    mut stream: UnixStream,
    door: Door,
    server: Arc<dyn Server>,
    mut leaving: watch::Receiver<()>,
) {
    let Ok(peer) = stream.peer_cred().map(|peer| peer.uid()) else {
        return;
    };
    if !may_administer(peer, rustix::process::geteuid().as_raw()) {
        tracing::warn!(peer, "another user tried the admin socket");
        return;
    }
    let received = tokio::select! {
        biased;
        received = receive(&mut stream, Some(peer)) => received,
        _ = leaving.changed() => return,
    };
    reply(&mut stream, received, door, server).await;
}

/// Takes one command and answers it.
pub(super) async fn converse(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    peer: Option<u32>,
    door: Door,
    server: Arc<dyn Server>,
) {
    let received = receive(stream, peer).await;
    reply(stream, received, door, server).await;
}

async fn reply(
    stream: &mut (impl AsyncWrite + Unpin),
    received: io::Result<Received>,
    door: Door,
    server: Arc<dyn Server>,
) {
    let answer = match received {
        Ok(Received::Sent(sent)) => {
            // The disk is waited for on a thread that may block.
            let task = tokio::task::spawn_blocking(move || carry_out(*sent, &door, &*server));
            match task.await {
                Ok(Ok(reply)) => Answer::Ok(reply),
                Ok(Err(refusal)) => Answer::Error(refusal),
                Err(_) => Answer::Error(Refusal::new(&"the command failed within the server")),
            }
        }
        Ok(Received::Refused(refusal)) => Answer::Error(refusal),
        Ok(Received::Nothing) | Err(_) => return,
    };
    // Long enough for any answer with a secret, so that no copy of it stays behind.
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_COMMAND_LEN));
    serde_json::to_writer(&mut *line, &answer).expect("strings and numbers encode");
    line.push(b'\n');
    let answered = async {
        stream.write_all(&line).await?;
        stream.shutdown().await
    };
    let _ = timeout(IO_DEADLINE, answered).await;
}

/// Root, who may do anything, and the user of this process, who may read its files.
fn may_administer(peer: u32, own: u32) -> bool {
    peer == 0 || peer == own
}

enum Received {
    Sent(Box<Sent>),
    Refused(Refusal),
    Nothing,
}

async fn receive(stream: &mut (impl AsyncRead + Unpin), peer: Option<u32>) -> io::Result<Received> {
    // Never grows, so that no copy of a secret stays behind.
    let mut buffer = Zeroizing::new(vec![0; MAX_COMMAND_LEN]);
    let mut len = 0;
    let line = loop {
        let Some(rest) = buffer.get_mut(len..).filter(|rest| !rest.is_empty()) else {
            return Ok(Received::Refused(Refusal::new(&"the command is too long")));
        };
        let read = match timeout(IO_DEADLINE, stream.read(rest)).await {
            Ok(read) => read?,
            Err(_) => return Ok(Received::Nothing),
        };
        len += read;
        let received = buffer.get(..len).unwrap_or_default();
        if let Some(end) = received.iter().position(|&byte| byte == b'\n') {
            break received.get(..end).unwrap_or_default();
        }
        if read == 0 {
            return Ok(Received::Nothing);
        }
    };
    let parsed = match line.starts_with(ENVELOPE_START) {
        true => serde_json::from_slice(line),
        false => serde_json::from_slice(line).map(|command| Envelope {
            credentials: Credentials {
                token: None,
                key_manager: None,
            },
            command,
        }),
    };
    Ok(match parsed {
        Ok(Envelope {
            credentials,
            command,
        }) => Received::Sent(Box::new(Sent {
            command,
            peer,
            token: credentials.token,
            key_manager: credentials.key_manager,
        })),
        Err(error) => Received::Refused(Refusal::new(&format_args!(
            "the server does not understand the command ({error}): is it of another version?"
        ))),
    })
}

const MAX_CONNECTIONS: usize = 16;
pub(super) const IO_DEADLINE: Duration = Duration::from_secs(10);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const DRAIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::may_administer;

    #[test]
    fn root_and_the_own_user_administer_and_nobody_else() {
        assert!(may_administer(0, 1000) && may_administer(1000, 1000) && may_administer(0, 0));
        assert!(!may_administer(1001, 1000) && !may_administer(1000, 0));
    }
}
