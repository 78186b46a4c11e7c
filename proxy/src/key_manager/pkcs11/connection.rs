//! One session, and AES-256-GCM through it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use ring::rand::{SecureRandom, SystemRandom};
use xks_api::fields::{AuthenticationTag, Plaintext};
use zeroize::Zeroizing;

use super::failure::Failure;
use super::key_map::Locator;
use super::library::Entered;
use super::settings::IvSource;
use crate::key_manager::embedded::Usages;

/// A session that is logged in, and the handles of keys that were found in it.
pub(super) struct Connection {
    session: Session,
    generation: u64,
    handles: HashMap<Locator, (Instant, ObjectHandle)>,
    /// So that a label that moves to another key is noticed while the old key still works.
    handles_count_for: Duration,
}

/// What an encryption gives.
pub(super) struct Encrypted {
    pub(super) iv: [u8; IV_LEN],
    pub(super) ciphertext: Vec<u8>,
    pub(super) tag: AuthenticationTag,
}

impl Connection {
    pub(super) fn new(session: Session, generation: u64, handles_count_for: Duration) -> Self {
        Self {
            session,
            generation,
            handles: HashMap::new(),
            handles_count_for,
        }
    }

    /// Whether the library was not initialized again since.
    pub(super) fn is_of(&self, entered: &Entered<'_>) -> bool {
        self.generation == entered.generation
    }

    /// Closes the session, unless it ended with an earlier initialization of the library.
    pub(super) fn close(self, entered: &Entered<'_>) {
        if self.is_of(entered) {
            // If it is gone already, all the better.
            let _ = self.session.close();
        }
    }

    pub(super) fn has_key(&self, locator: &Locator) -> bool {
        self.find(locator).is_ok()
    }

    /// What a key may be used for, as its attributes say.
    pub(super) fn usages(&mut self, locator: &Locator) -> Result<Usages, Failure> {
        let handle = self.find(locator)?;
        let wanted = [
            AttributeType::Encrypt,
            AttributeType::Decrypt,
            AttributeType::ValueLen,
        ];
        let (mut encrypts, mut decrypts) = (false, false);
        for attribute in self.session.get_attributes(handle, &wanted)? {
            match attribute {
                Attribute::Encrypt(value) => encrypts = value,
                Attribute::Decrypt(value) => decrypts = value,
                Attribute::ValueLen(bytes) if u64::from(bytes) != KEY_BYTES => {
                    let bits = u64::from(bytes) * 8;
                    return Err(Failure::KeySize(locator.clone(), bits));
                }
                _ => {}
            }
        }
        self.remember(locator, handle);
        Ok(match (encrypts, decrypts) {
            (false, false) => Usages::None,
            (true, false) => Usages::Encrypt,
            (false, true) => Usages::Decrypt,
            (true, true) => Usages::EncryptDecrypt,
        })
    }

    pub(super) fn encrypt(
        &mut self,
        locator: &Locator,
        source: IvSource,
        plaintext: &Plaintext,
        aad: &[u8],
    ) -> Result<Encrypted, Failure> {
        let handle = self.handle(locator)?;
        let mut buffer = [0; IV_LEN];
        let iv = match source {
            IvSource::Proxy => {
                SystemRandom::new()
                    .fill(&mut buffer)
                    .map_err(|_| Failure::Output("no random bytes"))?;
                &mut buffer[..]
            }
            IvSource::DeviceInPlace => &mut buffer[..],
            IvSource::DeviceAppended => &mut [],
        };
        let parameters = GcmParams::new(iv, aad, TAG_BITS.into())?;
        let mechanism = Mechanism::AesGcm(parameters);
        let output = self
            .session
            .encrypt(&mechanism, handle, plaintext.expose())?;
        drop(mechanism);
        split(output, plaintext.expose().len(), source, buffer)
    }

    /// Decrypts `ciphertext ‖ tag`.
    pub(super) fn decrypt(
        &mut self,
        locator: &Locator,
        iv: &[u8],
        ciphertext_and_tag: &[u8],
        aad: &[u8],
    ) -> Result<Plaintext, Failure> {
        let handle = self.handle(locator)?;
        let mut iv = iv.to_vec();
        let parameters = GcmParams::new(&mut iv, aad, TAG_BITS.into())?;
        let output =
            self.session
                .decrypt(&Mechanism::AesGcm(parameters), handle, ciphertext_and_tag)?;
        Ok(Zeroizing::new(output).into())
    }

    /// The handle of a key, found not long ago.
    fn handle(&mut self, locator: &Locator) -> Result<ObjectHandle, Failure> {
        match self.handles.get(locator) {
            Some((found, handle)) if found.elapsed() < self.handles_count_for => Ok(*handle),
            _ => {
                let handle = self.find(locator)?;
                self.remember(locator, handle);
                Ok(handle)
            }
        }
    }

    fn remember(&mut self, locator: &Locator, handle: ObjectHandle) {
        if self.handles.len() >= MAX_HANDLES {
            self.handles.clear();
        }
        self.handles
            .insert(locator.clone(), (Instant::now(), handle));
    }

    fn find(&self, locator: &Locator) -> Result<ObjectHandle, Failure> {
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            match locator {
                Locator::Label(label) => Attribute::Label(label.as_bytes().to_vec()),
                Locator::Id(id) => Attribute::Id(id.clone()),
            },
        ];
        match &*self.session.find_objects(&template)? {
            [] => Err(Failure::NoKey(locator.clone())),
            [handle] => Ok(*handle),
            _ => Err(Failure::SeveralKeys(locator.clone())),
        }
    }
}

/// Takes apart `ciphertext ‖ tag`, or `ciphertext ‖ tag ‖ iv`. PKCS#11 leaves lengths to the device; we do not.
fn split(
    mut output: Vec<u8>,
    len: usize,
    source: IvSource,
    mut iv: [u8; IV_LEN],
) -> Result<Encrypted, Failure> {
    let rest = match output.len() >= len {
        true => output.split_off(len),
        false => {
            return Err(Failure::Output(
                "the token gave less ciphertext than plaintext",
            ));
        }
    };
    let Some((tag, rest)) = rest.split_first_chunk::<TAG_LEN>() else {
        return Err(Failure::Output(
            "the token gave no authentication tag of 128 bits",
        ));
    };
    match (source, <[u8; IV_LEN]>::try_from(rest)) {
        (IvSource::DeviceAppended, Ok(appended)) => iv = appended,
        (IvSource::DeviceAppended, Err(_)) => {
            return Err(Failure::Output(
                "the token appended no initialization vector of 12 bytes: is iv = \"device-appended\" right for it?",
            ));
        }
        (_, _) if !rest.is_empty() => {
            return Err(Failure::Output(
                "the token appended something to the tag: is iv = \"device-appended\" right for it?",
            ));
        }
        (IvSource::DeviceInPlace, _) if iv == [0; IV_LEN] => {
            return Err(Failure::Output(
                "the token left the initialization vector zero: is iv = \"device-in-place\" right for it?",
            ));
        }
        (IvSource::DeviceInPlace | IvSource::Proxy, _) => {}
    }
    Ok(Encrypted {
        iv,
        ciphertext: output,
        tag: AuthenticationTag(*tag),
    })
}

const IV_LEN: usize = 12;
const TAG_LEN: usize = 16;
const TAG_BITS: u64 = 128;
const KEY_BYTES: u64 = 32;
const MAX_HANDLES: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_taken_apart_by_its_lengths_alone() {
        let iv = [9; IV_LEN];
        let whole: Vec<u8> = (0..32).collect();
        let ok = split(whole[..20].to_vec(), 4, IvSource::Proxy, iv);
        let ok = ok.ok().unwrap();
        assert_eq!((ok.ciphertext, ok.iv), (vec![0, 1, 2, 3], iv));
        assert_eq!(ok.tag.0[..], whole[4..20]);
        let ok = split(whole.clone(), 4, IvSource::DeviceAppended, [0; IV_LEN]);
        assert_eq!(ok.ok().unwrap().iv[..], whole[20..]);
        for (len, source, iv) in [
            (3, IvSource::Proxy, iv),
            (19, IvSource::Proxy, iv),
            (21, IvSource::Proxy, iv),
            (20, IvSource::DeviceAppended, iv),
            (31, IvSource::DeviceAppended, iv),
            (20, IvSource::DeviceInPlace, [0; IV_LEN]),
        ] {
            let result = split(whole[..len].to_vec(), 4, source, iv);
            assert!(result.is_err(), "{len} {source:?}");
        }
    }
}
