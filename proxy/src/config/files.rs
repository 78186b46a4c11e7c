//! The files that a configuration names: certificates, keys, CRLs, credentials.

use std::cell::RefCell;
use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ring::digest;
use rustix::fs::OFlags;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use serde::Deserialize;
use xks_api::ids::{AccessKeyId, SecretAccessKey};
use zeroize::Zeroizing;

use crate::os_error::Advised;

/// A file that was read, and what it held: its content tells whether it changed, whatever a mount does to its links.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    digest: [u8; 32],
}

impl Source {
    fn new(path: &Path, content: &[u8]) -> Self {
        let digest = digest::digest(&digest::SHA256, content);
        Self {
            path: path.to_owned(),
            digest: digest
                .as_ref()
                .try_into()
                .expect("32 bytes: SHA-256 output"),
        }
    }

    /// Whether the file now holds something else, or cannot be read.
    pub fn changed(&self) -> bool {
        match content(&self.path) {
            Ok((content, _)) => Self::new(&self.path, &content) != *self,
            Err(_) => true,
        }
    }
}

/// Reads files, and keeps what it takes to notice that one changes.
#[derive(Default)]
pub(super) struct Files {
    sources: RefCell<Vec<Source>>,
    warnings: RefCell<Vec<String>>,
}

/// What was found in a file instead of what was expected.
pub(super) struct Unusable {
    pub(super) found: String,
    pub(super) expected: &'static str,
}

impl Files {
    pub(super) fn into_parts(self) -> (Vec<Source>, Vec<String>) {
        (self.sources.into_inner(), self.warnings.into_inner())
    }

    /// The configuration file itself, already read.
    pub(super) fn add(&self, path: &Path, content: &[u8]) {
        self.sources.borrow_mut().push(Source::new(path, content));
    }

    pub(super) fn certificates(
        &self,
        path: &Path,
    ) -> Result<Vec<CertificateDer<'static>>, Unusable> {
        let expected = "a PEM file with one or more CERTIFICATE sections";
        let (content, _) = self.read(path, expected)?;
        let list: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&content).collect();
        match list {
            Ok(list) if !list.is_empty() => Ok(list),
            Ok(_) => Err(unusable(path, "holds no certificate", expected)),
            Err(e) => Err(unusable(path, &format!("is no PEM: {e}"), expected)),
        }
    }

    pub(super) fn private_key(&self, path: &Path) -> Result<PrivateKeyDer<'static>, Unusable> {
        let expected = "a PEM file with one unencrypted private key";
        let (content, mode) = self.read(path, expected)?;
        self.warn_if_public(path, mode);
        PrivateKeyDer::from_pem_slice(&content).map_err(|e| {
            let found = match e {
                rustls_pki_types::pem::Error::NoItemsFound => "holds no private key".to_owned(),
                e => format!("is no PEM: {e}"),
            };
            unusable(path, &found, expected)
        })
    }

    pub(super) fn crls(
        &self,
        path: &Path,
    ) -> Result<Vec<CertificateRevocationListDer<'static>>, Unusable> {
        let expected = "a PEM file with one or more X509 CRL sections";
        let (content, _) = self.read(path, expected)?;
        let list: Result<Vec<_>, _> =
            CertificateRevocationListDer::pem_slice_iter(&content).collect();
        match list {
            Ok(list) if !list.is_empty() => Ok(list),
            Ok(_) => Err(unusable(path, "holds no CRL", expected)),
            Err(e) => Err(unusable(path, &format!("is no PEM: {e}"), expected)),
        }
    }

    /// The JSON file that the KMS console takes, and `credential create` prints.
    //= xks §Console configuration R41
    pub(super) fn credential(
        &self,
        path: &Path,
        uri_path: &str,
    ) -> Result<(AccessKeyId, SecretAccessKey), Unusable> {
        let expected = "the JSON that `xks-proxy credential create` prints, for this prefix";
        let (content, mode) = self.read(path, expected)?;
        self.warn_if_public(path, mode);
        // The error of the parser is left out: it might show a part of the secret.
        let file: ConsoleFile<'_> = serde_json::from_slice(&content)
            .map_err(|_| unusable(path, "holds other JSON, or none", expected))?;
        if file.xks_proxy_uri_path != uri_path {
            let found = format!("is for {}", file.xks_proxy_uri_path);
            return Err(unusable(path, &found, expected));
        }
        let credential = file.xks_proxy_authentication_credential;
        let id = AccessKeyId::try_from(credential.access_key_id)
            .map_err(|e| unusable(path, &format!("AccessKeyId: {e}"), expected))?;
        let secret = SecretAccessKey::try_from(credential.raw_secret_access_key)
            .map_err(|e| unusable(path, &format!("RawSecretAccessKey: {e}"), expected))?;
        Ok((id, secret))
    }

    /// A file of text, nothing secret.
    pub(super) fn text(&self, path: &Path) -> Result<String, Unusable> {
        let expected = "a file with text in UTF-8";
        let (content, _) = self.read(path, expected)?;
        let text = str::from_utf8(&content)
            .map_err(|_| unusable(path, "holds something else than text", expected))?;
        Ok(text.to_owned())
    }

    /// A file that holds one secret: its text, without the end of the line.
    #[cfg(feature = "pkcs11")]
    pub(super) fn secret_line(&self, path: &Path) -> Result<String, Unusable> {
        let expected = "a file that holds the secret and nothing else";
        let (content, mode) = self.read(path, expected)?;
        self.warn_if_public(path, mode);
        let text = str::from_utf8(&content)
            .map_err(|_| unusable(path, "holds something else than text", expected))?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        match text.strip_suffix('\r').unwrap_or(text) {
            "" => Err(unusable(path, "is empty", expected)),
            text if text.contains(['\n', '\r']) => {
                Err(unusable(path, "holds more than one line", expected))
            }
            text => Ok(text.to_owned()),
        }
    }

    /// A file with a secret that is read later, again and again: it may not be there yet.
    #[cfg(feature = "transit")]
    pub(super) fn later_secret(&self, path: &Path) {
        if let Ok(metadata) = std::fs::metadata(path) {
            self.warn_if_public(path, metadata.mode());
        }
    }

    fn read(
        &self,
        path: &Path,
        expected: &'static str,
    ) -> Result<(Zeroizing<Vec<u8>>, u32), Unusable> {
        let (content, mode) = content(path).map_err(|e| {
            let found = format!("cannot be read: {}", Advised(&e));
            unusable(path, &found, expected)
        })?;
        self.add(path, &content);
        Ok((content, mode))
    }

    fn warn_if_public(&self, path: &Path, mode: u32) {
        if mode & 0o007 != 0 {
            self.warnings.borrow_mut().push(format!(
                "{} holds a secret, and every user of this machine can open it (mode {:04o}): chmod o-rwx it",
                path.display(),
                mode & 0o7777
            ));
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ConsoleFile<'a> {
    #[serde(borrow)]
    xks_proxy_uri_path: &'a str,
    #[serde(borrow)]
    xks_proxy_authentication_credential: ConsoleCredential<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ConsoleCredential<'a> {
    access_key_id: &'a str,
    raw_secret_access_key: &'a str,
}

fn content(path: &Path) -> io::Result<(Zeroizing<Vec<u8>>, u32)> {
    // Or a pipe that nobody writes to would hold up a start, and a reload.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let most = match usize::try_from(metadata.len()) {
        // Files that the kernel makes do not say how long they are.
        Ok(len @ 1..=MAX_FILE_BYTES) => len,
        _ => MAX_FILE_BYTES,
    };
    // Room for all of it, since a buffer that grows leaves copies behind; and no more, since all of it is wiped. The margin is
    // what `read_to_end` wants to find free.
    let mut content = Zeroizing::new(Vec::with_capacity(most + READ_MARGIN));
    let limit = u64::try_from(most + 1).unwrap_or(u64::MAX);
    file.take(limit).read_to_end(&mut content)?;
    if content.len() > MAX_FILE_BYTES {
        return Err(io::Error::other("it is larger than 4 MiB"));
    }
    if content.len() > most {
        return Err(io::Error::other("it grows while it is read"));
    }
    Ok((content, metadata.mode()))
}

fn unusable(path: &Path, found: &str, expected: &'static str) -> Unusable {
    Unusable {
        found: format!("{} {found}", path.display()),
        expected,
    }
}

/// CRLs can be long; nothing else is.
const MAX_FILE_BYTES: usize = 4 << 20;
const READ_MARGIN: usize = 64;

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn a_file_takes_the_room_that_it_needs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for len in [0, 1, 31, 32, 33, 5_000, MAX_FILE_BYTES] {
            std::fs::write(&path, vec![b'x'; len]).unwrap();
            let (read, _) = content(&path).unwrap();
            assert_eq!(read.len(), len);
            // It has not grown, which would leave a copy behind.
            assert!(len == 0 || read.capacity() == len + READ_MARGIN, "{len}");
        }
        std::fs::write(&path, vec![b'x'; MAX_FILE_BYTES + 1]).unwrap();
        let error = content(&path).unwrap_err();
        assert_eq!(error.to_string(), "it is larger than 4 MiB");
        // It says that it is empty, and is not.
        let (read, _) = content(Path::new("/proc/self/status")).unwrap();
        assert!(read.starts_with(b"Name:"));
    }

    #[test]
    fn a_pipe_that_nobody_writes_to_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let (tell, told) = channel();
        std::thread::spawn(move || {
            let read = content(&path).map(|_| ()).map_err(|e| e.to_string());
            tell.send(read).unwrap();
        });
        let read = told.recv_timeout(Duration::from_secs(10));
        assert_eq!(read, Ok(Err("it is no regular file".to_owned())));
    }
}
