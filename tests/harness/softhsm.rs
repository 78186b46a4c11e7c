//! SoftHSM with tokens in a folder of its own.
//!
//! SoftHSM finds its tokens through `SOFTHSM2_CONF`, which a process can only be started with.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A token of SoftHSM.
pub struct SoftHsm {
    folder: TempDir,
    library: PathBuf,
}

impl SoftHsm {
    /// The label of the token.
    pub const TOKEN: &'static str = "xks";
    /// The user's PIN.
    pub const PIN: &'static str = "1234-user";
    /// The security officer's PIN.
    pub const SO_PIN: &'static str = "5678-officer";

    /// Makes a folder with one token in it.
    ///
    /// # Errors
    /// What is missing on this machine.
    pub fn prepare() -> Result<Self, String> {
        let library = library()?;
        let folder = crate::temp_dir();
        let softhsm = Self { folder, library };
        std::fs::create_dir(softhsm.tokens()).map_err(|e| e.to_string())?;
        let configuration = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            softhsm.tokens().display()
        );
        std::fs::write(softhsm.configuration(), configuration).map_err(|e| e.to_string())?;
        softhsm.init_token(Self::TOKEN)?;
        Ok(softhsm)
    }

    /// Makes a token.
    ///
    /// # Errors
    /// What `softhsm2-util` said.
    pub fn init_token(&self, label: &str) -> Result<(), String> {
        let mut command = Command::new("softhsm2-util");
        command
            .args(["--init-token", "--free", "--label", label])
            .args(["--pin", Self::PIN, "--so-pin", Self::SO_PIN])
            .env("SOFTHSM2_CONF", self.configuration());
        let output = command
            .output()
            .map_err(|e| format!("softhsm2-util: {e}"))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// Makes an AES-256 key, as its owner does.
    ///
    /// # Panics
    /// If `pkcs11-tool` does not.
    pub fn make_key(&self, label: &str) {
        let mut tool = self.tool();
        tool.args(["--keygen", "--key-type", "AES:32", "--sensitive", "--label"]);
        let output = tool.arg(label).output().expect("pkcs11-tool");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}");
    }

    /// What `SOFTHSM2_CONF` must name.
    pub fn configuration(&self) -> PathBuf {
        self.folder.path().join("softhsm2.conf")
    }

    /// Where the tokens are, each in a folder.
    pub fn tokens(&self) -> PathBuf {
        self.folder.path().join("tokens")
    }

    /// The folder that is gone with this.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The PKCS#11 library.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// `pkcs11-tool`, logged in to the token.
    pub fn tool(&self) -> Command {
        let mut command = Command::new("pkcs11-tool");
        command
            .env("SOFTHSM2_CONF", self.configuration())
            .arg("--module")
            .arg(&self.library)
            .args(["--token-label", Self::TOKEN, "--login", "--pin", Self::PIN]);
        command
    }
}

/// The PKCS#11 library of SoftHSM.
///
/// # Errors
/// Where it is not.
pub fn library() -> Result<PathBuf, String> {
    let places = [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib64/pkcs11/libsofthsm2.so",
    ];
    let found = places.iter().map(PathBuf::from).find(|path| path.exists());
    found.ok_or_else(|| format!("no libsofthsm2.so in {}", places.join(", ")))
}
