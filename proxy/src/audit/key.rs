//! The secret that the chain is made with: 32 random bytes in a file, and the keys that are derived of it.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

/// What lines and heads are signed with.
#[derive(Clone)]
pub struct AuditKey {
    lines: hmac::Key,
    heads: hmac::Key,
    id: String,
}

impl AuditKey {
    /// Derives the keys: HMAC-SHA-256 of a label each.
    pub fn from_bytes(bytes: &[u8; LEN]) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, bytes);
        let derive = |label: &[u8]| {
            let tag = hmac::sign(&root, label);
            hmac::Key::new(hmac::HMAC_SHA256, tag.as_ref())
        };
        let id = hmac::sign(&root, b"xks-proxy audit: key id");
        let id = id.as_ref().iter().take(8);
        Self {
            lines: derive(b"xks-proxy audit: lines"),
            heads: derive(b"xks-proxy audit: heads"),
            id: id.map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// What is wrong with it, and what to do.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        let mut bytes = Zeroizing::new([0; LEN]);
        if metadata.len() != u64::try_from(LEN).unwrap_or(u64::MAX) {
            let found = format!("it holds {} bytes, not the {LEN} of a key", metadata.len());
            return Err(io::Error::other(found));
        }
        if metadata.mode() & 0o007 != 0 {
            let mode = metadata.mode() & 0o7777;
            let found =
                format!("every user of this machine can open it (mode {mode:04o}): chmod o-rwx it");
            return Err(io::Error::other(found));
        }
        file.read_exact(&mut *bytes)?;
        Ok(Self::from_bytes(&bytes))
    }

    /// Makes a key file of random bytes, mode 0600.
    ///
    /// # Errors
    /// Also if there is one already.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut bytes = Zeroizing::new([0; LEN]);
        SystemRandom::new()
            .fill(&mut *bytes)
            .map_err(|_| io::Error::other("the system gives no random bytes"))?;
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(&*bytes)?;
        file.sync_all()?;
        Ok(Self::from_bytes(&bytes))
    }

    /// Names the key without telling anything of it.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn of_lines(&self) -> &hmac::Key {
        &self.lines
    }

    pub(super) fn of_heads(&self) -> &hmac::Key {
        &self.heads
    }
}

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditKey({})", self.id)
    }
}

const LEN: usize = 32;
