//! `kms-sim stub-proxy`: the scriptable proxy as a program.

use std::error::Error;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::Args;
use kms_sim::stub_proxy::{Script, StubProxy};
use tokio::runtime::Runtime;

use crate::cli::stop_signal;

/// Arguments of `kms-sim stub-proxy`.
#[derive(Args, Debug)]
pub(crate) struct StubProxyArgs {
    /// What the proxy does: TOML, or JSON in a file that ends in .json; kms-sim/docs/stub-proxy.example.toml explains
    /// every field. Without it the proxy does all as the specification says.
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,

    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,

    /// A folder that gets ca.pem, the authority of the proxy's certificate, and env, the settings for a shell; it is
    /// made if it is not there.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

/// Serves until SIGTERM or Ctrl-C.
pub(crate) fn run(arguments: &StubProxyArgs) -> Result<(), Box<dyn Error>> {
    let script = match &arguments.script {
        Some(file) => Script::load(file)?,
        None => Script::default(),
    };
    let listener = TcpListener::bind(arguments.listen).map_err(|error| {
        format!(
            "cannot listen on {}: {error}. Another program may have the port; choose one with --listen, port 0 for any \
             that is free.",
            arguments.listen
        )
    })?;
    let proxy = StubProxy::with_script(script.clone(), listener)?;
    let ca = write_files(&arguments.dir, &script, &proxy).map_err(|error| {
        format!(
            "--dir {}: {error}; expected a folder that this user may write to",
            arguments.dir.display()
        )
    })?;
    let mut out = io::stdout();
    let host = script.uri_endpoint();
    let host = host.trim_start_matches("https://");
    // Serving matters more than a reader of these lines.
    let _ = writeln!(
        out,
        "stub proxy for {}{} listens on {}\n\
         kms-sim serve --resolve {host}={} --trust-ca {}",
        script.uri_endpoint(),
        script.uri_path(),
        proxy.address(),
        proxy.address(),
        ca.display()
    );
    Runtime::new()?.block_on(async {
        stop_signal()?.await;
        Ok(())
    })
}

/// `ca.pem` and `env`, whose lines a POSIX shell can source; the path of the former.
fn write_files(dir: &Path, script: &Script, proxy: &StubProxy) -> io::Result<PathBuf> {
    fs::create_dir_all(dir)?;
    let dir = dir.canonicalize()?;
    let ca = dir.join("ca.pem");
    fs::write(&ca, proxy.ca_pem())?;
    let key_id = script.key_id().map(|id| format!("XKS_KEY_ID={id}\n"));
    let env = format!(
        "XKS_PROXY_URI_ENDPOINT={}\nXKS_PROXY_ENDPOINT={}:{}\nXKS_PROXY_ADDRESS={}\nXKS_PROXY_URI_PATH={}\nXKS_ACCESS_KEY_ID={}\n\
         XKS_SECRET_ACCESS_KEY={}\nXKS_CA_FILE={}\n{}",
        script.uri_endpoint(),
        script.uri_endpoint(),
        proxy.address().port(),
        proxy.address(),
        script.uri_path(),
        script.access_key_id(),
        script.secret_access_key(),
        quoted(&ca),
        key_id.unwrap_or_default()
    );
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(dir.join("env"))?;
    file.write_all(env.as_bytes())?;
    Ok(ca)
}

/// A path as one word of a POSIX shell.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-._+".contains(c);
    match path.chars().all(plain) {
        true => path,
        false => format!("'{}'", path.replace('\'', r"'\''")),
    }
}

pub(crate) const EXAMPLES: &str = "\
Examples:
  A proxy that is slow once and then refuses, and a simulator that finds it:
    kms-sim stub-proxy --script slow.toml --dir stub
    kms-sim serve --resolve xks.test=127.0.0.1:8443 --trust-ca stub/ca.pem

  The script slow.toml:
    [[rules]]
    on = [\"encrypt\"]
    times = 1
    delay-ms = 400

    [[rules]]
    on = [\"encrypt\"]
    error-name = \"ThrottlingException\"";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_for_a_shell_is_one_that_does_all() {
        let folder = harness::temp_dir();
        let script = |text: &str| {
            let file = folder.path().join("script.toml");
            std::fs::write(&file, text).unwrap();
            Script::load(&file).unwrap()
        };
        assert_eq!(script("").key_id(), Some("demo"));
        let keys = "[[keys]]\nid = \"off\"\nstatus = \"DISABLED\"\n";
        assert_eq!(script(keys).key_id(), None);
        let more = format!("{keys}[[keys]]\nid = \"on\"\n");
        assert_eq!(script(&more).key_id(), Some("on"));
    }

    #[test]
    fn a_path_is_one_word_for_a_shell() {
        assert_eq!(quoted(Path::new("/tmp/stub/ca.pem")), "/tmp/stub/ca.pem");
        assert_eq!(quoted(Path::new("/tmp/a b's/x")), r"'/tmp/a b'\''s/x'");
    }
}
