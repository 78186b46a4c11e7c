//! The suite for keys in SoftHSM, and what only tokens have.
//!
//! SoftHSM reads `SOFTHSM2_CONF` once in a process, so that each test runs in a process of its own: this program again,
//! for one test, with a token prepared.

mod child;
mod devices;
mod faults;
mod keys;
mod messages;
mod shim;
mod token;

use std::time::Duration;

use xks_api::ids::ExternalKeyId;
use xks_proxy::key_manager::KeyManager;
use xks_proxy::key_manager::embedded::Usages;
use xks_proxy::key_manager::pkcs11::{
    Device, KeyMap, MappedKey, Pin, Pkcs11KeyManager, Settings, TokenSelector, Unlisted, Versions,
};

use self::child::in_child;
use self::token::Owner;
use crate::suite::Backend;

crate::suite!(Pkcs11Backend, through in_child);
crate::conforms!(Pkcs11Backend, through in_child);

/// Keys in a token, made by their owner.
struct Pkcs11Backend {
    key_manager: Pkcs11KeyManager,
    owner: Owner,
}

impl Pkcs11Backend {
    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Owner::of_the_token().make_keys();
        Self::again(change)
    }

    /// With the keys that are there, or else are made.
    fn again(change: impl FnOnce(&mut Settings)) -> Self {
        let owner = Owner::of_the_token();
        if !owner.has_key(Self::KEY) {
            owner.make_keys();
        }
        let mut settings = settings();
        change(&mut settings);
        Self {
            key_manager: Pkcs11KeyManager::open("hsm", settings).unwrap(),
            owner,
        }
    }
}

impl Backend for Pkcs11Backend {
    fn prepare() -> Option<Self> {
        Some(Self::with(|_| {}))
    }

    fn key_manager(&self) -> &dyn KeyManager {
        &self.key_manager
    }

    fn rotate(&self, id: &str) {
        let version = (2..).find(|n| !self.owner.has_key(&format!("{id}:{n}")));
        let label = format!("{id}:{}", version.unwrap());
        self.owner.make_key(&label, Usages::EncryptDecrypt);
    }
}

fn settings() -> Settings {
    let disabled = MappedKey {
        versions: Versions::Numbered(Pkcs11Backend::DISABLED_KEY.to_owned()),
        usages: Usages::EncryptDecrypt,
        enabled: false,
    };
    Settings {
        library: child::library(),
        token: TokenSelector::Label(harness::softhsm::SoftHsm::TOKEN.to_owned()),
        pin: Some(Pin::new(harness::softhsm::SoftHsm::PIN.to_owned())),
        keys: KeyMap {
            listed: [(id(Pkcs11Backend::DISABLED_KEY), disabled)].into(),
            unlisted: Unlisted::ByLabel,
        },
        test_key_label: Settings::TEST_KEY_LABEL.to_owned(),
        device: Device::default(),
        aws_sample_metadata: Vec::new(),
        sessions: 4,
        queue: Settings::QUEUE,
        // What is slow here is the machine of the tests.
        timeout: Duration::from_secs(10),
        lookup_interval: Duration::ZERO,
        messages_per_version: Settings::MESSAGES_PER_VERSION,
    }
}

fn id(name: &str) -> ExternalKeyId {
    name.try_into().unwrap()
}
