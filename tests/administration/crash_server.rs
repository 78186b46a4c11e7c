//! `kill -9` of a running server while it carries out commands one after the other: every answer that came is true
//! afterwards, of the command that got none all or nothing is done, and the store opens whole.
//!
//! `XKS_CRASH_ROUNDS` sets how many servers of each kind die; 200 without it, 1,000 in a long run. The moments of death
//! are spread over the time that a few commands take, so that each step of a change has its turn.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harness::{binaries, certificates, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use xks_proxy::admin::{self, Client, ClientError, Reply};
use xks_proxy::key_manager::embedded::{Embedded, RootKeySource, Usages};

use crate::crash::{Victim, id};
use crate::{LIMIT, succeed, text};

/// A server that is killed on drop at the latest.
struct Server(Child);

impl Server {
    fn start(victim: &Victim) -> Self {
        let mut command = Command::new(binaries::xks_proxy());
        command
            .args(["serve", "--log-format", "text", "--config"])
            .arg(config(victim))
            .env_remove("XKS_PROXY_CONFIG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(victim.path().join("log")).unwrap());
        Self(command.spawn().expect("xks-proxy"))
    }

    /// Waits until it takes commands.
    fn ready(&mut self, victim: &Victim) {
        wait_for("the admin socket", LIMIT, || {
            let ended = self.0.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {}", log(victim));
            Client::connect(victim.path()).unwrap()
        });
    }

    /// Kills it after `life`, on a thread of its own.
    fn dies_after(&self, life: Duration) -> std::thread::JoinHandle<()> {
        let pid = Pid::from_child(&self.0);
        std::thread::spawn(move || {
            std::thread::sleep(life);
            // It is not reaped before this thread has ended, so the id is still its own.
            kill_process(pid, Signal::KILL).expect("a process to kill");
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn log(victim: &Victim) -> String {
    std::fs::read_to_string(victim.path().join("log")).unwrap_or_default()
}

fn config(victim: &Victim) -> PathBuf {
    victim.path().join("xks-proxy.toml")
}

/// A configuration with the victim's store, and with another one beside it if `other` says where.
fn configure(victim: &Victim, other: Option<&Path>) {
    let mut document = format!(
        "listen = \"127.0.0.1:0\"\n\
         [tls]\ncertificate_file = {:?}\nprivate_key_file = {:?}\n\
         [[key_stores]]\nuri_path_prefix = \"/a\"\nkey_manager = \"first\"\n\
         [key_managers.first]\ntype = \"embedded\"\ndata_dir = \".\"\n",
        certificates::path("server-ecdsa.crt.pem"),
        certificates::path("server-ecdsa.test-key.pem"),
    );
    if let Some(other) = other {
        document.push_str(&format!(
            "[[key_stores]]\nuri_path_prefix = \"/b\"\nkey_manager = \"second\"\n\
             [key_managers.second]\ntype = \"embedded\"\ndata_dir = {other:?}\n"
        ));
    }
    // The server may read it at any time.
    let temporary = victim.path().join("new.toml");
    std::fs::write(&temporary, document).unwrap();
    std::fs::rename(temporary, config(victim)).unwrap();
}

/// Commands to servers that die: `command` makes the next one, `answered` hears what was answered, and `check` looks at
/// what is there afterwards, told of the command without an answer.
trait Story {
    fn command(&mut self) -> admin::Command;
    fn answered(&mut self, reply: Reply);
    fn check(&mut self, embedded: &Embedded);
}

fn crash(victim: &Victim, story: &mut impl Story) {
    let rounds = rounds();
    let mut whole = Duration::from_millis(20);
    let mut answers = 0;
    for round in 0..rounds {
        let mut server = Server::start(victim);
        server.ready(victim);
        let started = Instant::now();
        let death = server.dies_after(whole.mul_f64(3.0 * spread(round)));
        let before = answers;
        while let Some(reply) = execute(victim, &story.command()) {
            story.answered(reply);
            answers += 1;
            assert!(answers - before < MOST_COMMANDS, "the server does not die");
        }
        let took = started.elapsed();
        death.join().expect("a killed server");
        drop(server);
        // A running mean of how long a command takes.
        let each = took.div_f64(f64::from(answers - before) + 1.0);
        whole = whole.mul_f64(0.8) + each.mul_f64(0.2);
        story.check(&victim.open());
    }
    println!("{rounds} servers died after {answers} answers, {whole:?} for a command");
    assert!(answers > 0, "no command was answered before a death");
}

/// The reply, or nothing if the server was gone before it had answered.
fn execute(victim: &Victim, command: &admin::Command) -> Option<Reply> {
    let client = Client::connect(victim.path()).ok().flatten()?;
    match client.execute(command) {
        Ok(reply) => Some(reply),
        Err(ClientError::NoAnswer | ClientError::Io(_)) => None,
        Err(error @ (ClientError::Refused(_) | ClientError::OtherVersion)) => {
            panic!("{command:?}: {error}: {}", log(victim))
        }
    }
}

fn rounds() -> u32 {
    std::env::var("XKS_CRASH_ROUNDS").map_or(200, |text| text.parse().expect("a number"))
}

/// 0 to 1 by steps of the golden ratio: spread evenly, however many rounds there are.
fn spread(round: u32) -> f64 {
    (f64::from(round) * 0.618_033_988_749_895).fract()
}

fn create_key(number: u32) -> admin::Command {
    admin::Command::CreateKey {
        id: id(&format!("key-{number}")),
        usage: Usages::EncryptDecrypt,
    }
}

fn names(embedded: &Embedded) -> Vec<String> {
    let keys = embedded.administration().keys();
    let mut names: Vec<_> = keys.into_iter().map(|key| key.id).collect();
    names.retain(|name| name != "kept");
    names.sort();
    names
}

/// Creates keys, and deletes the oldest where there are many, so that the store stays small.
#[derive(Default)]
struct Keys {
    next: u32,
    there: Vec<String>,
    asked: Option<Change>,
}

#[derive(Clone)]
enum Change {
    Create(String),
    Delete(String),
}

impl Keys {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Create(name) => self.there.push(name),
            Change::Delete(name) => self.there.retain(|n| *n != name),
        }
        self.there.sort();
    }
}

impl Story for Keys {
    fn command(&mut self) -> admin::Command {
        if self.there.len() > 10 {
            let name = self.there.first().cloned().expect("more than ten");
            self.asked = Some(Change::Delete(name.clone()));
            let force = xks_proxy::key_manager::embedded::Force::Yes;
            return admin::Command::DeleteKey {
                id: id(&name),
                force,
            };
        }
        self.next += 1;
        self.asked = Some(Change::Create(format!("key-{}", self.next)));
        create_key(self.next)
    }

    fn answered(&mut self, _: Reply) {
        let change = self.asked.take().expect("a command");
        self.apply(change);
    }

    fn check(&mut self, embedded: &Embedded) {
        let found = names(embedded);
        self.there.sort();
        if found != self.there {
            let change = self.asked.take().expect("a command without an answer");
            self.apply(change);
        }
        assert_eq!(found, self.there);
        self.asked = None;
    }
}

#[test]
fn while_keys_come_and_go() {
    let victim = Victim::new();
    configure(&victim, None);
    crash(&victim, &mut Keys::default());
}

struct Rotations {
    acknowledged: u32,
}

impl Story for Rotations {
    fn command(&mut self) -> admin::Command {
        admin::Command::RotateKey { id: id("kept") }
    }

    fn answered(&mut self, reply: Reply) {
        let Reply::Key(key) = reply else {
            panic!("{reply:?}")
        };
        assert_eq!(key.current_version, self.acknowledged + 1);
        self.acknowledged = key.current_version;
    }

    /// What version 1 sealed has been opened by now.
    fn check(&mut self, embedded: &Embedded) {
        let key = embedded.administration().key(&id("kept")).unwrap();
        let now = key.current_version;
        assert!(now == self.acknowledged || now == self.acknowledged + 1);
        assert_eq!(u32::try_from(key.versions.len()).unwrap(), now);
        self.acknowledged = now;
    }
}

#[test]
fn while_a_key_is_rotated() {
    let victim = Victim::new();
    configure(&victim, None);
    crash(&victim, &mut Rotations { acknowledged: 1 });
}

/// Creates credentials and revokes each after the next has been created, as one who changes them does.
#[derive(Default)]
struct CredentialChanges {
    /// Ids and secrets of those that were handed out.
    there: BTreeMap<String, String>,
    revoking: Option<String>,
}

impl Story for CredentialChanges {
    fn command(&mut self) -> admin::Command {
        self.revoking = None;
        if self.there.len() > 1 {
            let oldest = self.there.keys().next().cloned().expect("an id");
            self.revoking = Some(oldest.clone());
            let access_key_id = oldest.as_str().try_into().expect("an id");
            return admin::Command::RevokeCredential { access_key_id };
        }
        let uri_path_prefix = "/a".try_into().expect("a prefix");
        admin::Command::CreateCredential { uri_path_prefix }
    }

    fn answered(&mut self, reply: Reply) {
        match (self.revoking.take(), reply) {
            (Some(id), Reply::Done) => drop(self.there.remove(&id)),
            (None, Reply::Credential(credential)) => {
                let new = credential.into_credential().expect("a secret");
                let id = new.access_key_id.as_str().to_owned();
                self.there.insert(id, new.secret.expose().to_owned());
            }
            (_, reply) => panic!("{reply:?}"),
        }
    }

    fn check(&mut self, embedded: &Embedded) {
        let snapshot = embedded.credentials().snapshot();
        let found: BTreeMap<_, _> = snapshot
            .iter()
            .map(|(id, c)| (id.as_str().to_owned(), c.secret.expose().to_owned()))
            .collect();
        let mut unanswered = usize::from(self.revoking.is_none());
        for (id, secret) in &self.there {
            match found.get(id) {
                Some(found) => assert_eq!(found, secret, "{id}"),
                None => assert_eq!(self.revoking.as_ref(), Some(id), "lost"),
            }
        }
        for id in found.keys().filter(|id| !self.there.contains_key(*id)) {
            assert!(unanswered > 0, "{id} was not asked for or revoked");
            unanswered -= 1;
        }
        self.there = found;
        self.revoking = None;
    }
}

#[test]
fn while_credentials_are_changed() {
    let victim = Victim::new();
    configure(&victim, None);
    crash(&victim, &mut CredentialChanges::default());
}

/// The root key changes; a key that was created under each one stays.
#[derive(Default)]
struct Rewraps;

impl Story for Rewraps {
    fn command(&mut self) -> admin::Command {
        admin::Command::RotateRootKey { to: None }
    }

    fn answered(&mut self, reply: Reply) {
        assert!(matches!(reply, Reply::RootKey(_)), "{reply:?}");
    }

    /// That the store has opened says that the file `root.key` fits; what was sealed at first has been opened.
    fn check(&mut self, embedded: &Embedded) {
        assert_eq!(names(embedded).len(), 20);
        assert_eq!(embedded.credentials().snapshot().len(), 1);
    }
}

#[test]
fn while_everything_is_wrapped_under_another_root_key() {
    let victim = Victim::new();
    configure(&victim, None);
    {
        let administration = victim.open().administration();
        for number in 0..20 {
            let id = id(&format!("key-{number}"));
            administration
                .create_key(&id, Usages::EncryptDecrypt)
                .unwrap();
        }
        let prefix = "/a".try_into().expect("a prefix");
        administration.create_credential(&prefix).unwrap();
    }
    crash(&victim, &mut Rewraps);
}

/// Reloads that open and close a second store, with a new key between two of them.
struct Reloads<'a> {
    victim: &'a Victim,
    other: &'a Path,
    step: u32,
    keys: Keys,
    creating: bool,
}

impl Story for Reloads<'_> {
    fn command(&mut self) -> admin::Command {
        self.step += 1;
        self.creating = self.step.is_multiple_of(3);
        if self.creating {
            return self.keys.command();
        }
        let with_other = self.step.is_multiple_of(2);
        configure(self.victim, with_other.then_some(self.other));
        admin::Command::Reload {}
    }

    fn answered(&mut self, reply: Reply) {
        if self.creating {
            return self.keys.answered(reply);
        }
        assert!(matches!(reply, Reply::Reloaded(_)), "{reply:?}");
    }

    fn check(&mut self, embedded: &Embedded) {
        if !self.creating {
            self.keys.asked = None;
        }
        self.keys.check(embedded);
        let root_key = RootKeySource::File(self.other.join("root.key"));
        let other = Embedded::open(self.other, root_key).expect("the other store opens");
        assert_eq!(names(&other), ["beside"]);
    }
}

#[test]
fn while_the_configuration_is_reloaded() {
    let victim = Victim::new();
    let other = harness::temp_dir();
    let data = text(other.path());
    succeed(&["init", "--data-dir", data]);
    succeed(&["key", "create", "beside", "--data-dir", data]);
    configure(&victim, None);
    let mut story = Reloads {
        victim: &victim,
        other: other.path(),
        step: 0,
        keys: Keys::default(),
        creating: false,
    };
    crash(&victim, &mut story);
}

/// A server that repairs what the last one left, and dies over it.
#[test]
fn while_the_server_starts_after_a_crash() {
    let victim = Victim::new();
    configure(&victim, None);
    let mut keys = Keys::default();
    let mut whole = Duration::ZERO;
    for round in 0..rounds() {
        let started = Instant::now();
        let mut server = Server::start(&victim);
        server.ready(&victim);
        whole = whole.max(started.elapsed());
        let death = server.dies_after(Duration::from_millis(10).mul_f64(spread(round)));
        while let Some(reply) = execute(&victim, &keys.command()) {
            keys.answered(reply);
        }
        death.join().expect("a killed server");
        drop(server);
        let server = Server::start(&victim);
        std::thread::sleep(whole.mul_f64(spread(round)));
        drop(server);
        keys.check(&victim.open());
    }
    assert!(keys.next > 0);
}

const MOST_COMMANDS: u32 = 10_000;
