//! The two sides of the socket against each other, and the server's against strangers' bytes.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};
use xks_api::ids::AccessKeyId;
use xks_api::message::KeyStatus;

use super::{AdminSocket, Client, ClientError, Command, Probed, Reply, SOCKET_NAME};
use crate::audit::AuditLog;
use crate::control::Scopes;
use crate::key_manager::KeyManagerError;
use crate::key_manager::embedded::{Embedded, Force, RootKeySource, Usages, VersionState};
use crate::reload::Reloaded;
use crate::status::{Status, Wanted};

struct Server {
    folder: TempDir,
    embedded: Embedded,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Stands for the rest of the server.
struct Unwilling;

impl super::Server for Unwilling {
    fn audit(&self) -> Option<&AuditLog> {
        None
    }

    fn reload(&self) -> Result<Reloaded, String> {
        Err("try again".into())
    }

    fn approval(&self) -> super::ApprovalPolicy {
        super::ApprovalPolicy::default()
    }

    fn scopes(&self) -> Scopes {
        Scopes::default()
    }

    fn last_uses(&self) -> Vec<(AccessKeyId, OffsetDateTime)> {
        Vec::new()
    }

    fn status(&self, _: &Wanted) -> Status {
        Status::default()
    }

    fn probe(&self) -> Vec<Probed> {
        let failure = KeyManagerError::Unavailable("no power".into());
        vec![
            Probed::new("a", Ok(Duration::from_micros(7))),
            Probed::new("b", Err(failure)),
        ]
    }
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root_key = RootKeySource::File(folder.path().join("root.key"));
        Embedded::init(folder.path(), &root_key).unwrap();
        let embedded = Embedded::open(folder.path(), root_key).unwrap();
        // What a process that was killed leaves.
        drop(std::os::unix::net::UnixListener::bind(folder.path().join(SOCKET_NAME)).unwrap());
        let socket = AdminSocket::bind(folder.path()).unwrap();
        let (stop, stopped) = oneshot::channel();
        let administration = embedded.administration();
        let task = tokio::spawn(socket.serve(administration, Arc::new(Unwilling), async {
            let _ = stopped.await;
        }));
        Self {
            folder,
            embedded,
            stop,
            task,
        }
    }

    async fn execute(&self, command: Command) -> Result<Reply, ClientError> {
        let folder = self.folder.path().to_owned();
        spawn_blocking(move || Client::connect(&folder).unwrap().unwrap().execute(&command))
            .await
            .unwrap()
    }

    /// Everything that the server answers to these bytes.
    async fn answer(&self, bytes: Vec<u8>) -> String {
        let path = self.folder.path().join(SOCKET_NAME);
        spawn_blocking(move || {
            let mut stream = UnixStream::connect(path).unwrap();
            // The server may have closed its side after the first part of what is too long.
            let _ = stream.write_all(&bytes);
            let _ = stream.shutdown(Shutdown::Write);
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer);
            answer
        })
        .await
        .unwrap()
    }
}

fn create(id: &str) -> Command {
    Command::CreateKey {
        id: id.try_into().unwrap(),
        usage: Usages::EncryptDecrypt,
    }
}

#[tokio::test]
async fn commands_take_effect_at_once() {
    let server = Server::start();
    let credentials = server.embedded.credentials();
    let Reply::Key(key) = server.execute(create("a")).await.unwrap() else {
        panic!("not a key");
    };
    assert_eq!((&*key.id, key.current_version), ("a", 1));
    let id = || "a".try_into().unwrap();
    for command in [
        Command::RotateKey { id: id() },
        Command::SetVersionState {
            id: id(),
            version: 1,
            state: VersionState::Retired,
        },
        Command::SetKeyStatus {
            id: id(),
            status: KeyStatus::Disabled,
        },
    ] {
        server.execute(command).await.unwrap();
    }
    let Reply::Keys(keys) = server.execute(Command::ListKeys {}).await.unwrap() else {
        panic!("not keys");
    };
    assert_eq!(keys, server.embedded.administration().keys());
    assert_eq!(keys[0].status, KeyStatus::Disabled);
    assert_eq!(keys[0].versions[0].state, VersionState::Retired);

    let generation = credentials.generation();
    let command = Command::CreateCredential {
        uri_path_prefix: "/a".try_into().unwrap(),
    };
    let Reply::Credential(credential) = server.execute(command).await.unwrap() else {
        panic!("not a credential");
    };
    assert!(!format!("{credential:?}").contains("secret: \""));
    let credential = credential.into_credential().unwrap();
    let found = credentials.find(credential.access_key_id.as_str()).unwrap();
    assert_eq!(found.secret.expose(), credential.secret.expose());
    assert_ne!(credentials.generation(), generation);
    let access_key_id = credential.access_key_id;
    let revoke = Command::RevokeCredential {
        access_key_id: access_key_id.clone(),
    };
    server.execute(revoke).await.unwrap();
    assert!(credentials.find(access_key_id.as_str()).is_none());

    let delete = |force| Command::DeleteKey { id: id(), force };
    let error = server.execute(delete(Force::No)).await.unwrap_err();
    assert!(error.to_string().contains("--force"), "{error}");
    server.execute(delete(Force::Yes)).await.unwrap();
    assert!(server.embedded.administration().keys().is_empty());
}

#[tokio::test]
async fn commands_at_the_same_time_are_all_carried_out() {
    let server = Arc::new(Server::start());
    let tasks: Vec<_> = (0..40)
        .map(|number| {
            let server = Arc::clone(&server);
            tokio::spawn(async move { server.execute(create(&format!("k{number}"))).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(server.embedded.administration().keys().len(), 40);
}

#[tokio::test]
async fn what_is_no_command_is_refused_or_dropped() {
    let server = Server::start();
    for (bytes, expected) in [
        (&b"hello\n"[..], "does not understand"),
        (b"{\"command\":\"no-such\"}\n", "does not understand"),
        (
            b"{\"command\":\"show-key\",\"id\":\"a/b\"}\n",
            "external key id",
        ),
        (
            b"{\"command\":\"list-keys\",\"x\":1}\n",
            "does not understand",
        ),
        (
            b"{\"command\":\"import-key\",\"id\":\"a\",\"usage\":\"NONE\",\"material\":\"AA==\"}\n",
            "32 bytes",
        ),
        (b"\xff\n", "does not understand"),
    ] {
        let answer = server.answer(bytes.to_vec()).await;
        let line = answer
            .strip_suffix('\n')
            .unwrap_or_else(|| panic!("{answer}"));
        let error = &serde_json::from_str::<serde_json::Value>(line).unwrap()["error"];
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(expected), "{message}");
    }
    assert_eq!(
        server.answer(b"{\"command\":\"list-keys\"}".to_vec()).await,
        "",
        "no line end"
    );
    assert_eq!(server.answer(Vec::new()).await, "");
    server.answer(vec![b' '; 100_000]).await;
    server.execute(Command::ListKeys {}).await.unwrap();
}

#[tokio::test]
async fn the_socket_is_private_and_goes_with_the_server() {
    let server = Server::start();
    let path = server.folder.path().join(SOCKET_NAME);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    server.stop.send(()).unwrap();
    server.task.await.unwrap();
    assert!(!path.exists());
    assert!(Client::connect(server.folder.path()).unwrap().is_none());
    assert!(Client::connect(Path::new("/nowhere")).unwrap().is_none());
}

#[tokio::test]
async fn connections_without_a_command_do_not_hold_up_the_end() {
    let server = Server::start();
    let connect = || UnixStream::connect(server.folder.path().join(SOCKET_NAME)).unwrap();
    let (silent, mut incomplete) = (connect(), connect());
    incomplete.write_all(b"{\"command\":").unwrap();
    // They are taken in turn, so that both are there when this one is answered.
    server.execute(Command::ListKeys {}).await.unwrap();
    let begin = Instant::now();
    server.stop.send(()).unwrap();
    server.task.await.unwrap();
    // A deadline would have been one of seconds.
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    drop((silent, incomplete));
}

#[tokio::test]
async fn a_reload_is_the_servers_business() {
    let server = Server::start();
    let refused = server.execute(Command::Reload {}).await.unwrap_err();
    assert_eq!(refused.to_string(), "try again");
    let Reply::Probed(probed) = server.execute(Command::Probe {}).await.unwrap() else {
        panic!("another reply");
    };
    let results = probed
        .into_iter()
        .map(|p| (p.key_manager.clone(), p.result()));
    let failure = "the key manager failed: no power".to_owned();
    let expected = [
        ("a".into(), Ok(Duration::from_micros(7))),
        ("b".into(), Err(failure)),
    ];
    assert_eq!(results.collect::<Vec<_>>(), expected);
}
