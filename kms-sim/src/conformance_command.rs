//! `kms-sim conformance`: the suite for any XKS proxy as a program.

use std::error::Error;
use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use kms_sim::Resolve;
use kms_sim::conformance::report::{ReportFile, html, json, junit, list, text};
use kms_sim::conformance::{Credential, More, Results, Selection, Target, run as run_suite};
use xks_api::ids::{ExternalKeyId, InvalidExternalKeyId, UriPathPrefix};

use crate::trust;

/// Arguments of `kms-sim conformance`.
#[derive(Args, Debug)]
pub(crate) struct ConformanceArgs {
    /// The XksProxyUriEndpoint; a port may follow, which AWS KMS does not know.
    #[arg(
        long,
        value_name = "https://HOST",
        env = "XKS_PROXY_ENDPOINT",
        required_unless_present = "list"
    )]
    endpoint: Option<Endpoint>,

    /// The XksProxyUriPath, which ends with /kms/xks/v1.
    #[arg(
        long,
        value_name = "PATH",
        env = "XKS_PROXY_URI_PATH",
        required_unless_present = "list",
        value_parser = uri_path
    )]
    uri_path: Option<String>,

    /// The access key id of the store.
    #[arg(
        long,
        value_name = "ID",
        env = "XKS_ACCESS_KEY_ID",
        required_unless_present = "list"
    )]
    access_key_id: Option<String>,

    /// Its secret. Other users of the machine see what stands on a command line: the variable, or
    /// --secret-access-key-file, keeps it to yourself.
    #[arg(
        long,
        value_name = "SECRET",
        env = "XKS_SECRET_ACCESS_KEY",
        hide_env_values = true
    )]
    secret_access_key: Option<String>,

    /// A file whose first line is the secret; counts before --secret-access-key.
    #[arg(long, value_name = "FILE")]
    secret_access_key_file: Option<PathBuf>,

    /// An external key that is enabled and has both usages. The suite encrypts and decrypts with it, and changes nothing.
    #[arg(
        long,
        value_name = "ID",
        env = "XKS_KEY_ID",
        required_unless_present = "list",
        value_parser = key_id
    )]
    key_id: Option<String>,

    /// Where the host of --endpoint is found, if DNS does not know it. May be repeated.
    #[arg(long, value_name = "HOST=IP:PORT")]
    resolve: Vec<Resolve>,

    /// A certificate authority, in PEM, that the proxy's certificate may come from, beside those that the system trusts.
    /// May be repeated.
    #[arg(long, value_name = "FILE", env = "XKS_CA_FILE")]
    trust_ca: Vec<PathBuf>,

    /// For a proxy with mTLS: a certificate with the subject CN=cks.kms.<region>.amazonaws.com, in PEM, of the authority
    /// that the proxy trusts. The cases of mTLS run with it.
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,

    /// The key of --client-cert, in PEM.
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,

    /// A certificate of the same authority as --client-cert with another subject, which the proxy must not take.
    #[arg(long, value_name = "FILE", requires_all = ["client_cert", "other_subject_key"])]
    other_subject_cert: Option<PathBuf>,

    /// The key of --other-subject-cert, in PEM.
    #[arg(long, value_name = "FILE", requires = "other_subject_cert")]
    other_subject_key: Option<PathBuf>,

    /// A second key with both usages.
    #[arg(long, value_name = "ID", value_parser = key_id)]
    other_key_id: Option<String>,

    /// A key for ENCRYPT alone.
    #[arg(long, value_name = "ID", value_parser = key_id)]
    encrypt_only_key: Option<String>,

    /// A key for DECRYPT alone.
    #[arg(long, value_name = "ID", value_parser = key_id)]
    decrypt_only_key: Option<String>,

    /// A key that is disabled in the external key manager.
    #[arg(long, value_name = "ID", value_parser = key_id)]
    disabled_key: Option<String>,

    /// An id that no key has. [default: one that is made up]
    #[arg(long, value_name = "ID", value_parser = key_id)]
    unknown_key: Option<String>,

    /// A second credential of the store, as while one is rotated; its secret comes from XKS_SECOND_SECRET_ACCESS_KEY.
    #[arg(long, value_name = "ID", requires = "second_secret_access_key")]
    second_access_key_id: Option<String>,

    /// The secret of --second-access-key-id.
    #[arg(
        long,
        value_name = "SECRET",
        env = "XKS_SECOND_SECRET_ACCESS_KEY",
        hide_env_values = true
    )]
    second_secret_access_key: Option<String>,

    /// The XksProxyUriPath of another store of the same proxy, with another credential.
    #[arg(long, value_name = "PATH", value_parser = uri_path)]
    other_uri_path: Option<String>,

    /// The path on the same port that load balancers ask with GET.
    #[arg(long, value_name = "PATH")]
    load_balancer_path: Option<String>,

    /// The Region in signatures, from which KMS would call.
    #[arg(long, value_name = "REGION", default_value = "us-east-1", value_parser = crate::cli::region)]
    region: String,

    /// The awsPrincipalArn of requests, for a proxy that authorizes callers.
    #[arg(
        long,
        value_name = "ARN",
        default_value = "arn:aws:iam::123456789012:user/conformance"
    )]
    principal_arn: String,

    /// The kmsKeyArn of requests, for a proxy that authorizes callers. [default: a key in --region]
    #[arg(long, value_name = "ARN")]
    kms_key_arn: Option<String>,

    /// How long an answer is waited for; whether it comes within KMS's 250 ms is a matter of cases of their own.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    patience: u64,

    /// Runs the cases whose names have this in them; * stands for any characters. May be repeated.
    #[arg(long, value_name = "PATTERN")]
    only: Vec<String>,

    /// A SHOULD that is not met is a failure, and not a warning.
    #[arg(long)]
    strict: bool,

    /// Lists the cases and what each requires, and runs none.
    #[arg(long, conflicts_with_all = ["junit", "html"])]
    list: bool,

    /// The results as JSON, or with --list the cases: in a file, or without one in place of the lines for people.
    #[arg(long, value_name = "FILE")]
    json: Option<Option<PathBuf>>,

    /// A file for the results as JUnit XML, which CI systems read.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// A file for the results as a page for people.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// 0 if all passed, 1 if some failed, 2 if nothing could be tried.
pub(crate) fn run(arguments: ConformanceArgs) -> ExitCode {
    match tried(arguments) {
        Ok(code) => code,
        Err(error) => {
            // There is nowhere left to say that standard error is closed.
            let _ = writeln!(io::stderr(), "kms-sim conformance: {error}");
            ExitCode::from(UNUSABLE)
        }
    }
}

fn tried(arguments: ConformanceArgs) -> Result<ExitCode, Box<dyn Error>> {
    let selection = Selection {
        only: arguments.only.clone(),
        strict: arguments.strict,
    };
    let (as_json, json_file) = match arguments.json.clone() {
        None => (false, None),
        Some(None) => (true, None),
        Some(Some(file)) => (false, Some(file)),
    };
    if arguments.list {
        if json_file.is_some() {
            return Err("--list cannot be used with --json FILE: the list goes to standard output, with --json alone as \
                        JSON".into());
        }
        let cases = selection.cases()?;
        let text = match as_json {
            true => format!("{:#}\n", list::document(&cases)),
            false => list::lines(&cases),
        };
        io::stdout().write_all(text.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let files = [
        (json_file, Format::Json),
        (arguments.junit.clone(), Format::Junit),
        (arguments.html.clone(), Format::Html),
    ];
    let reports = reports(files)?;
    let target = target(arguments)?;
    let mut progress = Progress::new();
    let results = run_suite(&target, &selection, |done, all, case| {
        progress.show(done, all, case.name);
    });
    progress.finish();
    let results = results?;
    for report in &reports {
        let written = report.file.write(&report.format.document(&results));
        written.map_err(|error| format!("{}: {error}", report.path.display()))?;
    }
    tell(&results, as_json)?;
    if results.passed() + results.failed() == 0 {
        // What nobody tried has not passed.
        return Err("no case was tried: each of those that are selected was skipped, for the reason that is told".into());
    }
    Ok(match results.failed() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn tell(results: &Results, as_json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if as_json {
        return out.write_all(Format::Json.document(results).as_bytes());
    }
    let colours = match out.is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        true => text::Colours::Yes,
        false => text::Colours::No,
    };
    text::write(results, colours, &mut out)
}

/// A report that is to be written after the run.
struct Report {
    path: PathBuf,
    file: ReportFile,
    format: Format,
}

/// Whether they can be written is known before the run, not after it.
fn reports(files: [(Option<PathBuf>, Format); 3]) -> Result<Vec<Report>, String> {
    let mut reports: Vec<Report> = Vec::new();
    for (path, format) in files {
        let Some(path) = path else { continue };
        let file = ReportFile::check(&path);
        let file = file.map_err(|error| format!("{}: {error}", path.display()))?;
        if reports.iter().any(|other| other.file.collides(&file)) {
            return Err(format!(
                "{}: two reports cannot have one file; give each a name of its own",
                path.display()
            ));
        }
        reports.push(Report { path, file, format });
    }
    Ok(reports)
}

fn target(arguments: ConformanceArgs) -> Result<Target, Box<dyn Error>> {
    let missing = |option: &str| format!("{option} is missing");
    let endpoint = arguments.endpoint.ok_or_else(|| missing("--endpoint"))?;
    let secret = match (
        &arguments.secret_access_key_file,
        arguments.secret_access_key,
    ) {
        (Some(file), _) => first_line(file)?,
        (None, Some(secret)) => secret,
        (None, None) => {
            return Err(
                "the secret is missing: set XKS_SECRET_ACCESS_KEY, or name a file with --secret-access-key-file"
                    .into(),
            );
        }
    };
    let identity = |options, certificate: Option<PathBuf>, key: Option<PathBuf>| {
        let named = certificate.zip(key);
        named
            .map(|(certificate, key)| trust::client_identity(options, &certificate, &key))
            .transpose()
    };
    let kms_key_arn = arguments.kms_key_arn.unwrap_or_else(|| {
        format!(
            "arn:aws:kms:{}:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            arguments.region
        )
    });
    Ok(Target {
        addresses: endpoint.addresses(&arguments.resolve)?,
        host: endpoint.host,
        port: endpoint.port,
        uri_path: arguments.uri_path.ok_or_else(|| missing("--uri-path"))?,
        credential: Credential {
            access_key_id: arguments
                .access_key_id
                .ok_or_else(|| missing("--access-key-id"))?,
            secret_access_key: secret,
        },
        region: arguments.region,
        key_id: arguments.key_id.ok_or_else(|| missing("--key-id"))?,
        trust: trust::authorities(&arguments.trust_ca).map_err(|error| error.of("--trust-ca"))?,
        client: identity(trust::CLIENT, arguments.client_cert, arguments.client_key)?,
        more: More {
            other_key: arguments.other_key_id,
            encrypt_only_key: arguments.encrypt_only_key,
            decrypt_only_key: arguments.decrypt_only_key,
            disabled_key: arguments.disabled_key,
            unknown_key: arguments.unknown_key,
            second_credential: arguments
                .second_access_key_id
                .zip(arguments.second_secret_access_key)
                .map(|(access_key_id, secret_access_key)| Credential {
                    access_key_id,
                    secret_access_key,
                }),
            other_uri_path: arguments.other_uri_path,
            other_subject: identity(
                ["--other-subject-cert", "--other-subject-key"],
                arguments.other_subject_cert,
                arguments.other_subject_key,
            )?,
            load_balancer_path: arguments.load_balancer_path,
        },
        principal_arn: arguments.principal_arn,
        kms_key_arn,
        patience: Duration::from_secs(arguments.patience),
    })
}

fn first_line(file: &Path) -> Result<String, String> {
    let text = fs::read_to_string(file).map_err(|error| {
        format!(
            "--secret-access-key-file {}: {error}; expected a file whose first line is the secret",
            file.display()
        )
    })?;
    let line = text.lines().next().unwrap_or_default().trim();
    match line.is_empty() {
        true => Err(format!(
            "{}: expected the secret in the first line",
            file.display()
        )),
        false => Ok(line.to_owned()),
    }
}

/// An `XksProxyUriPath`.
fn uri_path(text: &str) -> Result<String, &'static str> {
    let prefix = text.strip_suffix(API_PATH).map(UriPathPrefix::try_from);
    match prefix {
        Some(Ok(prefix)) => Ok(prefix.uri_path()),
        Some(Err(_)) | None => Err(
            "expected /kms/xks/v1, or a prefix before it as in /example/kms/xks/v1: at most 128 of A-Z a-z 0-9 - _ and /, \
             which begin with one / and do not end with one",
        ),
    }
}

/// An external key id.
fn key_id(text: &str) -> Result<String, InvalidExternalKeyId> {
    ExternalKeyId::try_from(text).map(|id| id.as_str().to_owned())
}

/// `https://HOST` with or without a port.
#[derive(Clone, Debug)]
struct Endpoint {
    host: String,
    port: Option<u16>,
}

impl std::str::FromStr for Endpoint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "expected https:// and a host, such as https://xks.example.com; the path goes to --uri-path";
        let rest = text.strip_prefix("https://").ok_or(expected)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.split_once(':') {
            Some((host, port)) => (host, Some(port.parse().map_err(|_| expected)?)),
            None => (rest, None),
        };
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
        match !host.is_empty() && host.bytes().all(allowed) {
            true => Ok(Self {
                host: host.to_owned(),
                port,
            }),
            false => Err(expected),
        }
    }
}

impl Endpoint {
    fn addresses(&self, resolve: &[Resolve]) -> Result<Vec<SocketAddr>, String> {
        let mut mapped = resolve.iter().rev();
        let mapped = mapped.find(|mapping| mapping.host.eq_ignore_ascii_case(&self.host));
        if let Some(mapping) = mapped {
            return Ok(vec![mapping.address]);
        }
        let found = (&*self.host, self.port.unwrap_or(HTTPS)).to_socket_addrs();
        let found = found.map_err(|error| {
            format!(
                "{} has no address: {error}. --resolve {}=IP:PORT says where it is.",
                self.host, self.host
            )
        })?;
        Ok(found.collect())
    }
}

enum Format {
    Json,
    Junit,
    Html,
}

impl Format {
    fn document(&self, results: &Results) -> String {
        match self {
            Self::Json => format!("{:#}\n", json::document(results)),
            Self::Junit => junit::document(results),
            Self::Html => html::page(results),
        }
    }
}

/// A bar on a terminal, a line now and then elsewhere.
struct Progress {
    bar: Option<ProgressBar>,
    start: Instant,
    told: Instant,
}

impl Progress {
    fn new() -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len}, {eta} left: {msg}")
                .expect("a template that indicatif knows");
            ProgressBar::new(0).with_style(style)
        });
        Self {
            bar,
            start: Instant::now(),
            told: Instant::now(),
        }
    }

    fn show(&mut self, done: usize, all: usize, name: &str) {
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        match &self.bar {
            Some(bar) => {
                bar.set_length(number(all));
                bar.set_position(number(done));
                bar.set_message(name.to_owned());
            }
            None if done > 0 && self.told.elapsed() >= TELL => {
                self.told = Instant::now();
                let each = self.start.elapsed().as_secs_f64()
                    / f64::from(u32::try_from(done).unwrap_or(1));
                let left = each * f64::from(u32::try_from(all - done).unwrap_or_default());
                // The run matters more than a reader of this line.
                let _ = writeln!(
                    io::stderr(),
                    "kms-sim conformance: {done} of {all} cases, about {left:.0} s left"
                );
            }
            None => {}
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// How often a line is written where there is no terminal.
const TELL: Duration = Duration::from_secs(5);
const HTTPS: u16 = 443;
const API_PATH: &str = "/kms/xks/v1";
/// The exit status when nothing could be tried, which is also that of wrong arguments.
const UNUSABLE: u8 = 2;

pub(crate) const EXAMPLES: &str = "\
The last line is \"N passed, N failed, N skipped\". Exit status: 0 all passed, 1 some failed, 2 nothing could be tried.

Examples:
  A proxy on this machine, with what `xks-proxy dev` wrote for shells:
    set -a; . ./xks-dev/env; set +a
    kms-sim conformance

  A proxy in the network, with reports for people and for CI:
    export XKS_SECRET_ACCESS_KEY=...
    kms-sim conformance --endpoint https://xks.example.com --uri-path /kms/xks/v1 \\
      --access-key-id ABCDEFGHIJKLMNOPQRST --key-id my-key --html report.html --junit report.xml

  What a case requires, and that case alone:
    kms-sim conformance --list --only cdiv-over-all-fields
    kms-sim conformance --only cdiv-over-all-fields";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_and_a_key_id_are_as_the_specification_has_them() {
        for good in ["/kms/xks/v1", "/a_b/c-1/kms/xks/v1"] {
            assert_eq!(uri_path(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "kms/xks/v1",
            "/kms/xks/v1/",
            "/kms/xks",
            "//kms/xks/v1",
            "/a b/kms/xks/v1",
        ] {
            assert!(uri_path(bad).is_err(), "{bad}");
        }
        assert_eq!(key_id("a-B_1.2").as_deref(), Ok("a-B_1.2"));
        for bad in ["", "a/b", "a b", &"a".repeat(129)] {
            assert!(key_id(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_endpoint_is_a_host_with_or_without_a_port() {
        let with = "https://localhost:8443".parse::<Endpoint>().unwrap();
        assert_eq!((&*with.host, with.port), ("localhost", Some(8443)));
        let without = "https://xks.example.com/".parse::<Endpoint>().unwrap();
        assert_eq!((&*without.host, without.port), ("xks.example.com", None));
        for bad in [
            "xks.example.com",
            "http://a",
            "https://",
            "https://a/kms",
            "https://a:b",
        ] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
    }
}
