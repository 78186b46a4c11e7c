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
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::timeout;
use xks_api::ids::AccessKeyId;
use zeroize::Zeroizing;

use super::asked::Asked;
use super::govern::govern;
use super::protocol::{Answer, Command, Probed, Refusal, Reply};
use super::who::Who;
use super::{MAX_COMMAND_LEN, SOCKET_NAME};
use crate::audit::AuditLog;
use crate::control::Scopes;
use crate::key_manager::embedded::{Administration, CredentialInfo, timestamp};
use crate::reload::Reloaded;

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
        let administration = administration.into();
        let mut shutdown = pin!(shutdown);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept(), if connections.len() < MAX_CONNECTIONS => {
                    match accepted {
                        Ok((stream, _)) => {
                            let administration = administration.clone();
                            let server = Arc::clone(&server);
                            connections.spawn(connection(stream, administration, server));
                        }
                        Err(error) => {
                            tracing::warn!(%error, "the admin socket accepts no connection");
                            tokio::time::sleep(ACCEPT_PAUSE).await;
                        }
                    }
                }
            }
        }
        // Whoever has not sent a command by now waits for nothing.
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

async fn connection(
    mut stream: UnixStream,
    administration: Option<Arc<Administration>>,
    server: Arc<dyn Server>,
) {
    let answer = match receive(&mut stream).await {
        Ok(Received::Command(who, command)) => {
            // The disk is waited for on a thread that may block.
            let task = tokio::task::spawn_blocking(move || {
                carry_out(command, &who, administration.as_deref(), &*server)
            });
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
    let _ = timeout(IO_DEADLINE, stream.write_all(&line)).await;
}

fn carry_out(
    command: Command,
    who: &Who,
    administration: Option<&Administration>,
    server: &dyn Server,
) -> Result<Reply, Refusal> {
    let asked = Asked::of(&command);
    let executor = Handle::current();
    let work = || match govern(command, who, || server.scopes(), &executor)? {
        Ok(reply) => Ok(reply),
        Err(command) => carry_out_here(command, administration, server),
    };
    let result = asked.audited(server.audit(), &who.to_string(), work);
    let Asked { name, of, .. } = asked;
    match &result {
        Ok(_) => tracing::info!(command = name, of, %who, "administered"),
        Err(refusal) => tracing::warn!(command = name, of, %who, %refusal, "not administered"),
    }
    result
}

/// What is not for the proxy as a whole, or not to be kept anywhere.
fn carry_out_here(
    command: Command,
    administration: Option<&Administration>,
    server: &dyn Server,
) -> Result<Reply, Refusal> {
    match command {
        Command::Probe {} => Ok(Reply::Probed(server.probe())),
        Command::Reload {} => match server.reload() {
            Ok(reloaded) => {
                // Key managers that are away stand in no configuration's way, but whoever changed it wants to know.
                let failing = server.probe().into_iter().filter_map(Probed::into_trouble);
                let texts = reloaded.into_texts().into_iter().chain(failing);
                Ok(Reply::Reloaded(texts.collect()))
            }
            Err(error) => Err(Refusal::new(&error)),
        },
        Command::ListCredentials {} => {
            command
                .execute(keyring(administration)?)
                .map(|mut reply| match &mut reply {
                    Reply::Credentials(credentials) => {
                        add_last_uses(credentials, &server.last_uses());
                        reply
                    }
                    _ => reply,
                })
        }
        command => command.execute(keyring(administration)?),
    }
}

fn keyring(administration: Option<&Administration>) -> Result<&Administration, Refusal> {
    administration.ok_or_else(|| {
        Refusal::new(&"the socket in state_dir is for what concerns the proxy as a whole: name a key manager")
    })
}

fn add_last_uses(credentials: &mut [CredentialInfo], uses: &[(AccessKeyId, OffsetDateTime)]) {
    for credential in credentials {
        let uses = uses
            .iter()
            .filter(|(id, _)| id.as_str() == credential.access_key_id);
        credential.last_used = uses.map(|(_, time)| *time).max().map(timestamp);
    }
}

/// Root, who may do anything, and the user of this process, who may read its files.
fn may_administer(peer: u32, own: u32) -> bool {
    peer == 0 || peer == own
}

enum Received {
    Command(Who, Command),
    Refused(Refusal),
    Nothing,
}

async fn receive(stream: &mut UnixStream) -> io::Result<Received> {
    let peer = stream.peer_cred()?.uid();
    if !may_administer(peer, rustix::process::geteuid().as_raw()) {
        tracing::warn!(peer, "another user tried the admin socket");
        return Ok(Received::Nothing);
    }
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
    Ok(match serde_json::from_slice(line) {
        Ok(command) => Received::Command(Who::User(peer), command),
        Err(error) => Received::Refused(Refusal::new(&format_args!(
            "the server does not understand the command ({error}): is it of another version?"
        ))),
    })
}

const MAX_CONNECTIONS: usize = 16;
const IO_DEADLINE: Duration = Duration::from_secs(10);
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
