//! A key manager for tests: AES-256-GCM from `ring` under fixed keys, and every fault that a real one can have.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use xks_api::fields::{AuthenticationTag, CiphertextMetadata, InitializationVector, Plaintext};
use xks_api::ids::ExternalKeyId;
use xks_api::message::{KeyStatus, KeyUsage};
use xks_api::sealed::{FramedAad, Sealed};
use xks_proxy::key_manager::{
    Answer, Description, ExternalKey, Instance, InstanceHealth, KeyManager, KeyManagerError, Look,
    NewMessage, SealAndOpen,
};
use zeroize::Zeroizing;

/// What goes wrong from now on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Fault {
    #[default]
    None,
    /// Every answer takes this long.
    Slow(Duration),
    /// Every call fails.
    Fails,
    Overloaded,
    InvalidState,
    TooLong,
    /// `seal` flips a bit of the ciphertext after the encryption.
    FlipsBits,
    /// `open` gives another plaintext.
    OpensWrong,
    Panics,
}

/// What was asked of it, in order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Call {
    Resolve(String),
    Seal(Vec<u8>),
    Open(Vec<u8>),
}

#[derive(Default)]
struct Script {
    fault: Mutex<Fault>,
    calls: Mutex<Vec<Call>>,
    at_once: AtomicBool,
}

/// The keys `demo`, `encrypt-only`, `decrypt-only`, `no-usage`, `disabled`, and `a.*` for isolation tests.
pub struct ScriptedKeyManager {
    keys: HashMap<&'static str, Arc<Key>>,
    test_key: Arc<Key>,
    script: Arc<Script>,
}

impl Default for ScriptedKeyManager {
    fn default() -> Self {
        use KeyUsage::{Decrypt, Encrypt};
        let script = Arc::new(Script::default());
        let key = |usage: &[KeyUsage], status| {
            let unbound = UnboundKey::new(&AES_256_GCM, &[7; 32]).unwrap();
            Arc::new(Key {
                key: LessSafeKey::new(unbound),
                usage: usage.to_vec(),
                status,
                script: Arc::clone(&script),
            })
        };
        let both = [Encrypt, Decrypt];
        let keys = HashMap::from([
            ("demo", key(&both, KeyStatus::Enabled)),
            ("a.1", key(&both, KeyStatus::Enabled)),
            ("encrypt-only", key(&[Encrypt], KeyStatus::Enabled)),
            ("decrypt-only", key(&[Decrypt], KeyStatus::Enabled)),
            ("no-usage", key(&[], KeyStatus::Enabled)),
            ("disabled", key(&both, KeyStatus::Disabled)),
        ]);
        let test_key = key(&both, KeyStatus::Enabled);
        Self {
            keys,
            test_key,
            script,
        }
    }
}

impl ScriptedKeyManager {
    pub fn set(&self, fault: Fault) {
        *self.script.fault.lock().unwrap() = fault;
    }

    /// Whether it takes both parts of a verified Encrypt in one go.
    pub fn work_at_once(&self, at_once: bool) {
        self.script.at_once.store(at_once, Ordering::Relaxed);
    }

    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.script.calls.lock().unwrap())
    }
}

impl KeyManager for ScriptedKeyManager {
    fn resolve<'a>(&'a self, id: &'a ExternalKeyId) -> Answer<'a, Arc<dyn ExternalKey>> {
        self.script.call(Call::Resolve(id.to_string()));
        let key = self.keys.get(id.as_str());
        let found = key.map(|key| Arc::clone(key) as _);
        self.script.answer(found.ok_or(KeyManagerError::UnknownKey))
    }

    fn test_key(&self) -> Answer<'_, Arc<dyn ExternalKey>> {
        self.script.answer(Ok(Arc::clone(&self.test_key) as _))
    }

    fn description(&self) -> Description {
        Description {
            vendor: "Scripts".into(),
            instances: vec![Instance {
                id: "script-1".into(),
                model: "Script 1.0".into(),
                health: InstanceHealth::Probed,
            }],
        }
    }
}

impl Script {
    fn call(&self, call: Call) {
        self.calls.lock().unwrap().push(call);
    }

    fn answer<'a, T: Send + 'a>(&self, result: Result<T, KeyManagerError>) -> Answer<'a, T> {
        let fault = *self.fault.lock().unwrap();
        Answer::ready(match fault {
            Fault::None | Fault::FlipsBits | Fault::OpensWrong => result,
            Fault::Slow(time) => {
                return Answer::Later(Box::pin(async move {
                    tokio::time::sleep(time).await;
                    result
                }));
            }
            Fault::Fails => Err(KeyManagerError::Unavailable(
                "slot 3: CKR_DEVICE_ERROR".into(),
            )),
            Fault::Overloaded => Err(KeyManagerError::Overloaded),
            Fault::InvalidState => Err(KeyManagerError::InvalidState),
            Fault::TooLong => Err(KeyManagerError::TooLong),
            Fault::Panics => panic!("as told"),
        })
    }
}

struct Key {
    key: LessSafeKey,
    usage: Vec<KeyUsage>,
    status: KeyStatus,
    script: Arc<Script>,
}

impl ExternalKey for Key {
    fn usage(&self) -> &[KeyUsage] {
        &self.usage
    }

    fn status(&self) -> KeyStatus {
        self.status
    }

    fn metadata(&self) -> Result<NewMessage, KeyManagerError> {
        Ok(CiphertextMetadata::try_from(METADATA).unwrap().into())
    }

    fn seal<'a>(
        &'a self,
        plaintext: &'a Plaintext,
        message: NewMessage,
        aad: &'a FramedAad,
    ) -> Answer<'a, Sealed> {
        self.script.call(Call::Seal(aad.as_bytes().to_vec()));
        let mut iv = [0; 12];
        SystemRandom::new().fill(&mut iv).unwrap();
        let mut ciphertext = plaintext.expose().to_vec();
        let nonce = Nonce::assume_unique_for_key(iv);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(aad.as_bytes()), &mut ciphertext)
            .unwrap();
        if *self.script.fault.lock().unwrap() == Fault::FlipsBits {
            ciphertext[0] ^= 1;
        }
        self.script.answer(Ok(Sealed {
            ciphertext,
            iv: InitializationVector::Bytes12(iv),
            tag: AuthenticationTag(tag.as_ref().try_into().unwrap()),
            metadata: message.metadata,
        }))
    }

    fn open<'a>(&'a self, sealed: &'a Sealed, aad: &'a FramedAad) -> Answer<'a, Plaintext> {
        self.script.call(Call::Open(aad.as_bytes().to_vec()));
        let InitializationVector::Bytes12(iv) = sealed.iv else {
            return self.script.answer(Err(KeyManagerError::InvalidCiphertext));
        };
        let mut buffer = Zeroizing::new([&sealed.ciphertext[..], &sealed.tag.0].concat());
        let nonce = Nonce::assume_unique_for_key(iv);
        let opened = self
            .key
            .open_in_place(nonce, Aad::from(aad.as_bytes()), &mut buffer);
        let opened = match opened {
            Ok(plaintext) => {
                if *self.script.fault.lock().unwrap() == Fault::OpensWrong {
                    plaintext[0] ^= 1;
                }
                Ok(Plaintext::from(&*plaintext))
            }
            Err(_) => Err(KeyManagerError::InvalidCiphertext),
        };
        self.script.answer(opened)
    }

    fn at_once(&self) -> Option<&dyn SealAndOpen> {
        let at_once = self.script.at_once.load(Ordering::Relaxed);
        at_once.then_some(self as _)
    }
}

impl SealAndOpen for Key {
    fn seal_and_open<'a>(
        &'a self,
        plaintext: &'a Plaintext,
        message: NewMessage,
        aad: &'a FramedAad,
        look: Look,
    ) -> Answer<'a, (Sealed, Plaintext)> {
        Answer::Later(Box::pin(async move {
            let sealed = self.seal(plaintext, message, aad).await?;
            look(&sealed);
            let opened = self.open(&sealed, aad).await?;
            Ok((sealed, opened))
        }))
    }
}

/// What every ciphertext of this key manager carries.
pub const METADATA: &[u8] = b"key_version=1";
