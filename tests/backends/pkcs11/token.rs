//! The owner of a token: makes and destroys keys, as administrators do beside the proxy.

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use harness::softhsm::SoftHsm;
use xks_api::message::KeyUsage;
use xks_proxy::key_manager::embedded::Usages;
use xks_proxy::key_manager::pkcs11::Settings;

use super::Pkcs11Backend;
use crate::suite::Backend as _;

/// Whoever makes the keys; has a session only while at work.
pub(super) struct Owner(Pkcs11);

impl Owner {
    pub(super) fn of_the_token() -> Self {
        Self(Pkcs11::new(super::child::library()).unwrap())
    }

    /// The keys of the suite.
    pub(super) fn make_keys(&self) {
        for label in [
            Pkcs11Backend::KEY,
            Pkcs11Backend::OTHER_KEY,
            Pkcs11Backend::DISABLED_KEY,
            Settings::TEST_KEY_LABEL,
        ] {
            self.make_key(label, Usages::EncryptDecrypt);
        }
        self.make_key(Pkcs11Backend::ENCRYPT_ONLY_KEY, Usages::Encrypt);
        self.make_key(Pkcs11Backend::DECRYPT_ONLY_KEY, Usages::Decrypt);
    }

    pub(super) fn make_key(&self, label: &str, usages: Usages) {
        self.at_work(|session| {
            let size = Attribute::ValueLen(32.into());
            let template = [&template(label, usages)[..], &[size]].concat();
            session
                .generate_key(&Mechanism::AesKeyGen, &template)
                .unwrap();
        });
    }

    /// A key whose bytes others know, too.
    pub(super) fn import_key(&self, label: &str, bytes: &[u8]) {
        self.at_work(|session| {
            let value = [
                Attribute::Class(ObjectClass::SECRET_KEY),
                Attribute::KeyType(KeyType::AES),
                Attribute::Value(bytes.to_vec()),
            ];
            let template = [&template(label, Usages::EncryptDecrypt)[..], &value].concat();
            session.create_object(&template).unwrap();
        });
    }

    pub(super) fn has_key(&self, label: &str) -> bool {
        self.at_work(|session| !find(session, label).is_empty())
    }

    pub(super) fn destroy_key(&self, label: &str) {
        self.at_work(|session| {
            for handle in find(session, label) {
                session.destroy_object(handle).unwrap();
            }
        });
    }

    pub(super) fn change_pin(&self, old: &str, new: &str) {
        self.at_work(|session| session.set_pin(&old.into(), &new.into()).unwrap());
    }

    fn at_work<T>(&self, work: impl FnOnce(&Session) -> T) -> T {
        match self
            .0
            .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
        {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => panic!("{error}"),
        }
        let slot = self
            .0
            .get_slots_with_initialized_token()
            .unwrap()
            .into_iter()
            .find(|slot| self.0.get_token_info(*slot).unwrap().label() == SoftHsm::TOKEN)
            .unwrap();
        let session = self.0.open_rw_session(slot).unwrap();
        match session.login(UserType::User, Some(&SoftHsm::PIN.into())) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(error) => panic!("{error}"),
        }
        work(&session)
    }
}

fn template(label: &str, usages: Usages) -> Vec<Attribute> {
    let has = |usage| usages.as_slice().contains(&usage);
    vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Encrypt(has(KeyUsage::Encrypt)),
        Attribute::Decrypt(has(KeyUsage::Decrypt)),
    ]
}

fn find(session: &Session, label: &str) -> Vec<ObjectHandle> {
    let label = Attribute::Label(label.as_bytes().to_vec());
    session.find_objects(&[label]).unwrap()
}
