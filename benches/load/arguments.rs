//! The command line of `xks-load`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{
    Arg, Command, CommandFactory as _, FromArgMatches as _, Parser, ValueEnum, value_parser,
};
use clap_complete::Shell;

use crate::objective::Objective;
use crate::workload::{Mix, Operation};

/// Puts load on an XKS proxy, or on a KMS API, and tells what it answered and how soon.
///
/// With --rate, requests start on a schedule of their own, however late answers are, and latency counts from the moment
/// that a request was due: a server that stalls cannot hide it. Without, each connection sends its next request
/// as soon as the last is answered, which finds the highest throughput.
#[derive(Debug, Parser)]
#[command(name = "xks-load", version, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// https://HOST[:PORT]; with --kms also http://
    #[arg(long, value_name = "URL", env = "XKS_PROXY_ENDPOINT")]
    pub(crate) endpoint: String,
    /// Dial this address instead of the endpoint's name
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) connect: Option<SocketAddr>,
    /// A certificate authority, in PEM; may be repeated. Without one, those that the system trusts
    #[arg(long, value_name = "FILE", env = "XKS_CA_FILE")]
    pub(crate) trust_ca: Vec<PathBuf>,
    /// A client certificate with its issuers, in PEM, for a proxy that asks for one
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub(crate) client_cert: Option<PathBuf>,
    /// The key of --client-cert, in PEM
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    pub(crate) client_key: Option<PathBuf>,

    /// The XksProxyUriPath, such as /tenant-a/kms/xks/v1
    #[arg(long, value_name = "PATH", env = "XKS_PROXY_URI_PATH")]
    pub(crate) uri_path: Option<String>,
    /// Whose key signs; its secret is taken from the variable XKS_SECRET_ACCESS_KEY
    #[arg(long, value_name = "ID", env = "XKS_ACCESS_KEY_ID")]
    pub(crate) access_key_id: Option<String>,
    /// A credential file as `xks-proxy credential create` writes it: path, access key and secret. Repeat it to load several
    /// external key stores
    #[arg(long, value_name = "FILE")]
    pub(crate) credential: Vec<PathBuf>,
    /// The Region in the signature's scope
    #[arg(long, default_value = "us-east-1")]
    pub(crate) region: String,
    /// External keys (with --kms: KMS keys) to use in turn; may be repeated
    #[arg(
        long = "key-id",
        value_name = "ID",
        env = "XKS_KEY_ID",
        required = true
    )]
    pub(crate) key_ids: Vec<String>,
    /// The server is the KMS API; any credentials, from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
    #[arg(long, conflicts_with = "credential")]
    pub(crate) kms: bool,

    /// What to send, with weights. For a proxy encrypt, decrypt, get-key-metadata, health; with --kms encrypt, decrypt,
    /// generate-data-key, describe-key
    #[arg(long, value_name = "OPERATION[=N],…", default_value = "encrypt", value_parser = str::parse::<Mix>)]
    pub(crate) mix: Mix,
    /// Plaintext sizes to use in turn
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "32",
          value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) plaintext_bytes: Vec<u16>,
    /// Additional authenticated data of each request; with --kms the size of an encryption context
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(0..=8192))]
    pub(crate) aad_bytes: u16,

    /// Requests per second; without it, as many as the connections carry
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate: Option<u32>,
    /// Connections
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub(crate) connections: u32,
    /// The HTTP version
    #[arg(long, value_enum, default_value = "1.1")]
    pub(crate) http: HttpVersion,
    /// Requests at a time on each connection, with --http 2
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) streams: u32,
    /// Replace a connection after N requests
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) new_connection_every: Option<u32>,
    /// Sign each body once a minute and send it many times, instead of each request anew: finds what a server can do
    /// that is faster than this tool signs
    #[arg(long)]
    pub(crate) presigned: bool,
    /// How long an answer may take before it counts as an error and its connection is given up. A request that finds no
    /// connection within that time is not sent
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub(crate) timeout: Duration,

    /// How long to measure
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(crate) duration: Duration,
    /// Load before that, which is not counted
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    pub(crate) warm_up: Duration,
    /// Threads of this tool; as many as there are processors without it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,

    /// Exit with status 1 unless it holds: p50, p90, p99, p99.9, p99.99, max, mean as times; errors as a number or a
    /// percentage, at most; rate in requests per second, at least
    #[arg(long, value_name = "p99=1ms,errors=0,…", value_parser = str::parse::<Objective>)]
    pub(crate) slo: Option<Objective>,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the report as a page with plots, which needs no other file
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// What the program is to do.
pub(crate) enum Task {
    /// Put load on a server.
    Load(Box<Arguments>),
    /// Print a completion script.
    Completions(Shell),
    /// Write the manual page to a folder.
    Manual(PathBuf),
}

impl Task {
    /// Of the command line; ends the program where that is wrong, or asks for help.
    pub(crate) fn parse() -> Self {
        let matches = command().get_matches();
        if let Some(shell) = matches.get_one::<Shell>(COMPLETIONS) {
            return Self::Completions(*shell);
        }
        if let Some(folder) = matches.get_one::<PathBuf>(MANUAL) {
            return Self::Manual(folder.clone());
        }
        match Arguments::from_arg_matches(&matches) {
            Ok(arguments) => Self::Load(Box::new(arguments)),
            Err(error) => error.format(&mut command()).exit(),
        }
    }
}

/// The whole command line. What is asked for in place of a load stands alone, without what a load requires.
pub(crate) fn command() -> Command {
    let completions = Arg::new(COMPLETIONS)
        .long(COMPLETIONS)
        .value_name("SHELL")
        .value_parser(value_parser!(Shell))
        .exclusive(true)
        .help("Print a completion script for a shell, and do nothing else");
    let manual = Arg::new(MANUAL)
        .long(MANUAL)
        .value_name("DIR")
        .value_parser(value_parser!(PathBuf))
        .exclusive(true)
        .hide(true)
        .help("Write the manual page to a folder, and do nothing else");
    Arguments::command().args([completions, manual])
}

const COMPLETIONS: &str = "completions";
const MANUAL: &str = "man";

/// `1.1` or `2`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum HttpVersion {
    #[value(name = "1.1")]
    Http1,
    #[value(name = "2")]
    Http2,
}

impl Arguments {
    /// What the types alone do not rule out.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub(crate) fn check(&self) -> Result<(), String> {
        for operation in self.mix.operations() {
            if operation.is_of_kms() != self.kms
                && operation != Operation::Encrypt
                && operation != Operation::Decrypt
            {
                let place = if self.kms {
                    "a KMS API"
                } else {
                    "a proxy (--kms is for KMS APIs)"
                };
                return Err(format!(
                    "--mix: {} is no operation of {place}",
                    operation.name()
                ));
            }
        }
        if self.streams > 1 && self.http == HttpVersion::Http1 {
            return Err(
                "--streams: several requests at a time on one connection need --http 2".into(),
            );
        }
        if self.duration.is_zero() {
            return Err("--duration: nothing can be measured in no time".into());
        }
        if !self.kms
            && self.credential.is_empty()
            && (self.uri_path.is_none() || self.access_key_id.is_none())
        {
            return Err("which external key store? Give --credential FILE, or --uri-path and --access-key-id with \
                 XKS_SECRET_ACCESS_KEY set, or --kms"
                .into());
        }
        Ok(())
    }
}

/// A number with `us`, `ms`, `s` or `m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let split = text
        .find(|c: char| c.is_ascii_alphabetic() || c == 'µ')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let nanos = match unit {
        "us" | "µs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        _ => return Err("a number with us, ms, s or m was expected, such as 500ms".into()),
    };
    let number: f64 = number
        .parse()
        .map_err(|_| format!("{number:?} is no number"))?;
    Duration::try_from_secs_f64(number * nanos / 1e9).map_err(|error| error.to_string())
}

const EXAMPLES: &str = "\
Examples:
  `xks-proxy dev --data-dir /tmp/xks` on this machine, as fast as it goes:
    set -a; . /tmp/xks/env; set +a
    xks-load --presigned

  KMS's default quota, a page with plots, and an objective:
    xks-load --endpoint https://xks.example.com --credential credential.json --key-id payroll \\
        --rate 1800 --duration 60s --mix encrypt,decrypt --slo p99=50ms,errors=0 --html load.html

  kms-sim, or anything with KMS's API:
    xks-load --kms --endpoint http://127.0.0.1:4599 --key-id alias/payroll \\
        --mix encrypt,describe-key

  Complete options in bash:
    . <(xks-load --completions bash)

Exit status: 0, 1 when --slo is missed, 2 when the load could not be made.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
        let without = crate::manual::without_json(command());
        assert!(without.is_empty(), "{without:?}");
    }

    #[test]
    fn what_stands_alone_needs_nothing_of_a_load() {
        for alone in ["--completions=bash", "--man=folder"] {
            assert!(command().try_get_matches_from(["xks-load", alone]).is_ok());
            let with_more = ["xks-load", alone, "--json"];
            assert!(command().try_get_matches_from(with_more).is_err());
        }
    }
}
