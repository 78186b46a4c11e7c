//! `xks-proxy dev`: a proxy to try things with. Makes what is missing in its folder and keeps what is there.

mod certificate;

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf, absolute};

use clap::Args;
use xks_api::ids::{AccessKeyId, ExternalKeyId, SecretAccessKey, UriPathPrefix};
use zeroize::Zeroizing;

use super::sockets::Sockets;
use super::{Failure, File, LogFormatArgument, serve};
use crate::config::Config;
use crate::key_manager::embedded::{Embedded, RootKeySource, StoreError, Usages, durable};

/// A certificate for localhost and xks.test, and its key, in PEM.
pub(crate) fn dev_certificate() -> Result<(String, Zeroizing<String>), rcgen::Error> {
    certificate::make().map(|made| (made.chain, made.key))
}

/// Serve a key store to try things with, for people and tests; not for keys of value.
///
/// Makes a CA and a certificate for localhost and xks.test, a credential, and the keys demo, encrypt-only, decrypt-only
/// and no-usage; serves them under /dev/tenant-a and writes what a client needs to DIR/env. A second start with the same
/// folder uses everything again.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Where everything is kept
    #[arg(long, value_name = "DIR", default_value = "xks-dev")]
    data_dir: File,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// How log lines look; text on a terminal and JSON elsewhere
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<LogFormatArgument>,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let folder = Folder::prepare(&arguments.data_dir)?;
    folder.prepare_certificate()?;
    let credential = folder.prepare_store()?;
    folder.write_config(arguments.listen)?;
    let mut config = Config::load(&folder.config())?;
    config.log.format = arguments.log_format.map(Into::into);
    let sockets = Sockets::default();
    serve::serve(&folder.config(), config, sockets, |address| {
        let endpoint = Endpoint::of(address);
        folder.write_env(&endpoint, &credential)?;
        introduce(&folder, &endpoint).map_err(|e| Failure::of("standard error", &e))
    })
}

type Credential = (AccessKeyId, SecretAccessKey);

/// The folder of a `dev` proxy; all paths are absolute.
struct Folder(PathBuf);

impl Folder {
    fn prepare(path: &Path) -> Result<Self, Failure> {
        let prepare = || {
            let path = absolute(path)?;
            durable::create_dir(&path)?;
            Ok(Self(path))
        };
        prepare().map_err(|e: io::Error| {
            let path = path.display();
            let what = format!("{path} cannot be the data folder, give another --data-dir");
            Failure::of(what, &e)
        })
    }

    fn config(&self) -> PathBuf {
        self.0.join("xks-proxy.toml")
    }

    fn ca(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    fn write(&self, path: &Path, content: &[u8]) -> Result<(), Failure> {
        durable::replace(path, content).map_err(|e| Failure::of(path.display(), &e))
    }

    /// Makes a CA and a certificate unless they are there. The CA file is written last: with it, all of them are there.
    fn prepare_certificate(&self) -> Result<(), Failure> {
        if self.ca().exists() {
            return Ok(());
        }
        let made = certificate::make().map_err(|e| Failure::of("cannot make a certificate", &e))?;
        self.write(&self.0.join(KEY_FILE), made.key.as_bytes())?;
        self.write(&self.0.join(CHAIN_FILE), made.chain.as_bytes())?;
        self.write(&self.ca(), made.ca.as_bytes())
    }

    /// Makes store, keys and credential unless they are there.
    fn prepare_store(&self) -> Result<Credential, Failure> {
        let failure = |e: &dyn std::error::Error| Failure::of(self.0.display(), e);
        let root_key = RootKeySource::File(self.0.join("root.key"));
        match Embedded::init(&self.0, &root_key) {
            Ok(()) | Err(StoreError::AlreadyInitialised { .. }) => {}
            Err(e) => return Err(failure(&e)),
        }
        let embedded = Embedded::open(&self.0, root_key).map_err(|e| failure(&e))?;
        let administration = embedded.administration();
        for (name, usages) in KEYS {
            let id = ExternalKeyId::try_from(name).expect("a key id");
            if administration.key(&id).is_err() {
                administration
                    .create_key(&id, usages)
                    .map_err(|e| failure(&e))?;
            }
        }
        let prefix = UriPathPrefix::try_from(PREFIX).expect("a prefix");
        let credentials = embedded.credentials().snapshot();
        let oldest = credentials
            .iter()
            .filter(|(_, credential)| credential.uri_path_prefix == prefix)
            .min_by_key(|(id, credential)| (credential.created, id.as_str().to_owned()));
        if let Some((id, credential)) = oldest {
            return Ok((id.clone(), credential.secret.clone()));
        }
        let new = administration
            .create_credential(&prefix)
            .map_err(|e| failure(&e))?;
        Ok((new.access_key_id, new.secret))
    }

    /// So that `serve --config` and the key commands know the folder, too.
    fn write_config(&self, listen: SocketAddr) -> Result<(), Failure> {
        let text = format!(
            "# Written anew at each start of `xks-proxy dev`.\n\
             listen = \"{listen}\"\n\
             # The start says at which port.\n\
             metrics_listen = \"127.0.0.1:0\"\n\n\
             [tls]\n\
             certificate_file = \"{CHAIN_FILE}\"\n\
             private_key_file = \"{KEY_FILE}\"\n\n\
             # Whoever tries things does not wait for load balancers.\n\
             [drain]\n\
             delay = \"0s\"\n\
             timeout = \"2s\"\n\n\
             [key_managers.embedded]\n\
             type = \"embedded\"\n\
             data_dir = \".\"\n\n\
             [[key_stores]]\n\
             uri_path_prefix = \"{PREFIX}\"\n\
             key_manager = \"embedded\"\n"
        );
        self.write(&self.config(), text.as_bytes())
    }

    /// What a client needs, for a shell to source.
    fn write_env(&self, endpoint: &Endpoint, (id, secret): &Credential) -> Result<(), Failure> {
        let ca = self.ca().display().to_string();
        let mut text = Zeroizing::new(String::with_capacity(1_024 + 5 * ca.len()));
        for (name, value) in [
            ("XKS_PROXY_ENDPOINT", &*endpoint.url()),
            ("XKS_PROXY_URI_PATH", &format!("{PREFIX}/kms/xks/v1")),
            ("XKS_ACCESS_KEY_ID", id.as_str()),
            ("XKS_SECRET_ACCESS_KEY", secret.expose()),
            ("XKS_KEY_ID", DEMO_KEY),
            ("XKS_CA_FILE", &ca),
        ] {
            text.push_str(name);
            text.push('=');
            push_shell_word(&mut text, value);
            text.push('\n');
        }
        self.write(&self.0.join("env"), text.as_bytes())
    }
}

/// A word of a POSIX shell, quoted only where it must be.
fn push_shell_word(text: &mut String, word: &str) {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:+=@,%".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        text.push_str(word);
        return;
    }
    text.push('\'');
    for c in word.chars() {
        match c {
            '\'' => text.push_str("'\\''"),
            c => text.push(c),
        }
    }
    text.push('\'');
}

/// How clients on this machine reach the listener.
struct Endpoint {
    host: String,
    port: u16,
}

impl Endpoint {
    /// By the name in the certificate, where that name leads to the address.
    fn of(address: SocketAddr) -> Self {
        let ip = address.ip();
        let by_name = ip.is_unspecified() || ip == Ipv4Addr::LOCALHOST;
        let host = match ip {
            _ if by_name => "localhost".to_owned(),
            std::net::IpAddr::V4(ip) => ip.to_string(),
            std::net::IpAddr::V6(ip) => format!("[{ip}]"),
        };
        Self {
            host,
            port: address.port(),
        }
    }

    fn url(&self) -> String {
        format!("https://{}:{}", self.host, self.port)
    }
}

fn introduce(folder: &Folder, endpoint: &Endpoint) -> io::Result<()> {
    let mut env = String::new();
    push_shell_word(&mut env, &folder.0.join("env").display().to_string());
    write!(
        io::stderr(),
        "\
xks-proxy dev listens at {url}; keys demo, encrypt-only, decrypt-only and no-usage under {PREFIX}
What a client needs is in {file}. To ask for the health with curl 7.75 or later:

  . {env}
  curl --cacert \"$XKS_CA_FILE\" --user \"$XKS_ACCESS_KEY_ID:$XKS_SECRET_ACCESS_KEY\" \\
    --aws-sigv4 aws:amz:us-east-1:kms-xks-proxy -H 'content-type: application/json' \\
    -d '{{\"requestMetadata\":{{\"kmsRequestId\":\"1\",\"kmsOperation\":\"KmsHealthCheck\"}}}}' \\
    \"$XKS_PROXY_ENDPOINT$XKS_PROXY_URI_PATH/health\"

Nothing here protects anything of value. Ctrl-C ends it.
",
        url = endpoint.url(),
        file = folder.0.join("env").display(),
    )
}

const PREFIX: &str = "/dev/tenant-a";
const DEMO_KEY: &str = "demo";
const KEYS: [(&str, Usages); 4] = [
    (DEMO_KEY, Usages::EncryptDecrypt),
    ("encrypt-only", Usages::Encrypt),
    ("decrypt-only", Usages::Decrypt),
    ("no-usage", Usages::None),
];
const CHAIN_FILE: &str = "tls-chain.pem";
const KEY_FILE: &str = "tls-key.pem";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_a_shell() {
        for word in [
            "",
            "plain/path.pem",
            "a b",
            "it's",
            "$HOME `x` \"y\" \\ ;",
            "ä\n",
        ] {
            let mut text = String::from("printf %s ");
            push_shell_word(&mut text, word);
            let output = std::process::Command::new("sh")
                .args(["-c", &text])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }

    #[test]
    fn a_second_preparation_keeps_everything() {
        let folder = tempfile::tempdir().unwrap();
        let prepare = || {
            let folder = Folder::prepare(&folder.path().join("a b")).unwrap();
            folder.prepare_certificate().unwrap();
            let (id, secret) = folder.prepare_store().unwrap();
            folder.write_config("127.0.0.1:0".parse().unwrap()).unwrap();
            Config::load(&folder.config()).unwrap();
            let ca = std::fs::read_to_string(folder.ca()).unwrap();
            (id, secret.expose().to_owned(), ca)
        };
        assert_eq!(prepare(), prepare());
    }
}
