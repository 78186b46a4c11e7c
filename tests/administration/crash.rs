//! `kill -9` in the middle of changes: what was acknowledged is there, and the store always opens.
//!
//! `XKS_CRASH_ROUNDS` sets the rounds of each kind; the moments of death spread over the time that a whole run takes.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use xks_api::fields::{Aad, Plaintext};
use xks_api::ids::ExternalKeyId;
use xks_api::message::KeyStatus;
use xks_api::sealed::{FramedAad, Sealed};
use xks_proxy::key_manager::KeyManager;
use xks_proxy::key_manager::embedded::{Embedded, RootKeySource};

use crate::{LIMIT, succeed, text, xks_proxy};

/// A store that commands change and die over.
pub struct Victim {
    folder: tempfile::TempDir,
    /// Sealed before the first crash, to be opened after every one.
    sealed: Option<Sealed>,
}

impl Victim {
    pub fn new() -> Self {
        let folder = harness::temp_dir();
        let mut victim = Self {
            folder,
            sealed: None,
        };
        let data = text(victim.path()).to_owned();
        succeed(&["init", "--data-dir", &data]);
        succeed(&["key", "create", "kept", "--data-dir", &data]);
        let embedded = victim.open();
        let sealed = block_on(async {
            let key = embedded.resolve(&id("kept")).await.unwrap();
            let metadata = key.metadata().unwrap();
            let aad = FramedAad::new(&Aad::default(), &metadata);
            key.seal(&Plaintext::from(&b"kept"[..]), metadata, &aad)
                .await
                .unwrap()
        });
        victim.sealed = Some(sealed);
        victim
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The store as it is now: it opens, and what was sealed before the first crash is readable.
    pub fn open(&self) -> Embedded {
        let root_key = RootKeySource::File(self.path().join("root.key"));
        let embedded =
            Embedded::open(self.path(), root_key).expect("the store opens after a crash");
        if let Some(sealed) = &self.sealed {
            let plaintext = block_on(async {
                let key = embedded.resolve(&id("kept")).await.unwrap();
                let aad = FramedAad::new(&Aad::default(), &sealed.metadata);
                key.open(sealed, &aad).await.unwrap()
            });
            assert!(plaintext == Plaintext::from(&b"kept"[..]));
        }
        embedded
    }

    /// Runs a command and kills it after `life`, unless it has ended; whether it was acknowledged.
    fn run(&self, arguments: &[&str], life: Duration) -> bool {
        let arguments = [arguments, &["--data-dir", text(self.path())]].concat();
        let mut child = xks_proxy(&arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(life);
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        match output.status.code() {
            Some(0) => true,
            None => false,
            Some(_) => panic!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)),
        }
    }

    /// How long a command takes that nobody kills.
    fn whole_life(&self, arguments: &[&str]) -> Duration {
        let started = Instant::now();
        succeed(&[arguments, &["--data-dir", text(self.path())]].concat());
        started.elapsed().min(LIMIT)
    }
}

/// Rounds of one kind: `command` in round n is run and killed, `check` gets whether it was acknowledged.
fn crash(
    victim: &Victim,
    command: impl Fn(usize) -> Vec<String>,
    mut check: impl FnMut(usize, bool, &Embedded),
) {
    let run = |round: usize, life: Option<Duration>| {
        let command = command(round);
        let arguments: Vec<_> = command.iter().map(String::as_str).collect();
        match life {
            Some(life) => (victim.run(&arguments, life), Duration::ZERO),
            None => (true, victim.whole_life(&arguments)),
        }
    };
    let (_, whole) = run(0, None);
    check(0, true, &victim.open());
    let rounds = std::env::var("XKS_CRASH_ROUNDS").map_or(30, |text| text.parse().unwrap());
    let mut killed = 0;
    for round in 1..=rounds {
        // Steps of the golden ratio: spread evenly, however many rounds there are.
        let part = (round as f64 * 0.618_033_988_749_895).fract();
        let (acknowledged, _) = run(round, Some(whole.mul_f64(part * 1.2)));
        killed += usize::from(!acknowledged);
        check(round, acknowledged, &victim.open());
    }
    assert!(killed > 0, "no command of {rounds} died within {whole:?}");
}

#[test]
fn while_keys_are_created() {
    let victim = Victim::new();
    let mut expected = vec!["kept".to_owned()];
    crash(
        &victim,
        |round| words(&format!("key create key-{round}")),
        |round, acknowledged, embedded| {
            let name = format!("key-{round}");
            let keys: Vec<_> = embedded
                .administration()
                .keys()
                .into_iter()
                .map(|key| key.id)
                .collect();
            if acknowledged || keys.contains(&name) {
                expected.push(name);
                expected.sort();
            }
            assert_eq!(keys, expected);
        },
    );
}

#[test]
fn while_a_key_is_rotated() {
    let victim = Victim::new();
    let mut version = 1;
    crash(
        &victim,
        |_| words("key rotate kept"),
        |_, acknowledged, embedded| {
            let now = embedded
                .administration()
                .key(&id("kept"))
                .unwrap()
                .current_version;
            assert!(
                now == version + 1 || (now == version && !acknowledged),
                "{version} {now}"
            );
            version = now;
        },
    );
}

#[test]
fn while_a_key_is_disabled_and_enabled() {
    let victim = Victim::new();
    succeed(&[
        "key",
        "create",
        "changed",
        "--data-dir",
        text(victim.path()),
    ]);
    let mut status = KeyStatus::Enabled;
    crash(
        &victim,
        |round| {
            words(if round % 2 == 0 {
                "key disable changed"
            } else {
                "key enable changed"
            })
        },
        |round, acknowledged, embedded| {
            let asked = if round % 2 == 0 {
                KeyStatus::Disabled
            } else {
                KeyStatus::Enabled
            };
            let now = embedded
                .administration()
                .key(&id("changed"))
                .unwrap()
                .status;
            assert!(now == asked || (now == status && !acknowledged));
            status = now;
        },
    );
}

#[test]
fn while_credentials_are_created() {
    let victim = Victim::new();
    let mut count = 0;
    crash(
        &victim,
        |_| words("credential create --uri-path-prefix /a"),
        |_, acknowledged, embedded| {
            let now = embedded.administration().credentials().len();
            assert_eq!(embedded.credentials().snapshot().len(), now);
            assert!(
                now == count + 1 || (now == count && !acknowledged),
                "{count} {now}"
            );
            count = now;
        },
    );
}

#[test]
fn while_everything_is_wrapped_under_another_root_key() {
    let victim = Victim::new();
    let read = || std::fs::read(victim.path().join("root.key")).unwrap();
    let mut key = read();
    crash(
        &victim,
        |_| words("root-key rotate"),
        |_, acknowledged, embedded| {
            assert_eq!(embedded.administration().keys().len(), 1);
            let now = read();
            assert!(now != key || !acknowledged);
            key = now;
            assert!(!victim.path().join("root.key.next").exists());
        },
    );
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

pub fn id(text: &str) -> ExternalKeyId {
    text.try_into().unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}
