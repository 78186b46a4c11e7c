//! The command line: what each argument means, and how the program starts and stops.

use std::error::Error;
use std::io::{self, ErrorKind, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use kms_sim::{Accounts, ClientLimits, Config, Listeners, Resolve, Seed, Server, WebOrigin};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::completion;
use crate::conformance_command::{self, ConformanceArgs};
use crate::ctl::{self, CtlArgs};
use crate::demo::{self, DemoArgs};
use crate::descriptor_limit;
use crate::log_output::{LogOutput, LogOutputGuard};
use crate::manual;
use crate::stub_command::{self, StubProxyArgs};
use crate::trust;

/// A simulator of the AWS KMS API whose external key stores talk to a real XKS proxy.
#[derive(Debug, Parser)]
#[command(name = "kms-sim", version, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves the KMS API until SIGTERM or Ctrl-C.
    Serve(Box<ServeArgs>),
    /// Starts an XKS proxy and a simulator, tells the story of a disconnect, and stays up for your own calls.
    Demo(DemoArgs),
    /// Makes a running simulator misbehave on purpose: faults, time, state.
    #[command(after_help = ctl::EXAMPLES)]
    Ctl(CtlArgs),
    /// Serves an XKS proxy that answers as a script says, for testing a KMS and its clients.
    #[command(after_help = stub_command::EXAMPLES)]
    StubProxy(StubProxyArgs),
    /// Tries whether an XKS proxy, of whatever vendor, does what the specification requires.
    #[command(after_help = conformance_command::EXAMPLES)]
    Conformance(Box<ConformanceArgs>),
    /// Prints a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Writes the manual pages, one for each command, to a folder.
    #[command(hide = true)]
    Man {
        /// The folder, which is made if it is not there.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

#[derive(Args, Debug)]
struct ServeArgs {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:4599")]
    listen: SocketAddr,

    /// Where the host of an XksProxyUriEndpoint is found; AWS KMS itself dials port 443 of the host. May be repeated.
    #[arg(long, value_name = "HOST=IP:PORT")]
    resolve: Vec<Resolve>,

    /// A certificate authority, in PEM, that proxies' certificates may come from, beside those that the system trusts.
    /// May be repeated.
    #[arg(long, value_name = "FILE")]
    trust_ca: Vec<PathBuf>,

    /// How long CONNECTING and DISCONNECTING of stores, and Creating and Updating of multi-Region keys, last at least; 0: the
    /// answer comes after the change.
    #[arg(long, value_name = "N", default_value_t = 200)]
    transition_ms: u64,

    /// What one attempt to get an answer of a proxy may take. AWS KMS gives 250 ms and tries once more; give more on a
    /// machine that is busy, or to debug a proxy.
    #[arg(long, value_name = "N", default_value_t = 250, value_parser = clap::value_parser!(u64).range(1..))]
    proxy_timeout_ms: u64,

    /// How often a connected proxy is asked how it is, as KMS does every few minutes.
    #[arg(long, value_name = "SECONDS", default_value_t = 180, value_parser = clap::value_parser!(u64).range(1..))]
    health_interval: u64,

    /// How many keys an account may have in a Region, as AWS raises the quota on request. Keys of --seed do not ask.
    #[arg(long, value_name = "N", default_value_t = Config::default().max_keys)]
    max_keys: u32,

    /// The Region of requests whose signature names none.
    #[arg(long, value_name = "REGION", default_value = "us-east-1", value_parser = region)]
    region: String,

    /// Serves requests that are not signed, such as `curl`'s or `aws --no-sign-request`, as the root of account
    /// 123456789012 in --region; without this they get MissingAuthenticationTokenException.
    #[arg(long)]
    allow_anonymous: bool,

    /// Lets the web pages of this origin call the API from a browser, such as http://localhost:5173 for a development
    /// server. May be repeated; without it no page may.
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<WebOrigin>,

    /// Who can call and what each may do: access keys, principals and their identity-based policies, which
    /// kms-sim/docs/accounts.md explains. With it signatures are verified, and nothing is allowed that no policy or
    /// grant allows; without it every caller is allowed what no key policy denies.
    #[arg(long, value_name = "FILE", conflicts_with = "allow_anonymous")]
    accounts: Option<PathBuf>,

    /// The simulator's own certificate chain, in PEM: HTTPS instead of HTTP.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The key of --tls-cert, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// What a proxy that asks for a client certificate is shown, in PEM; KMS's has the subject
    /// CN=cks.kms.<region>.amazonaws.com.
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,

    /// The key of --client-cert, in PEM.
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,

    /// Where the state is kept: what was acknowledged survives a crash. In memory alone without it. The folder is made if
    /// it is not there; what is in it is test material, with key material in clear.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// A file to which every event is appended, as a line of JSON like CloudTrail's; kms-sim/docs/observation.md explains
    /// them. A file that cannot keep up, or a full disk, delays no request.
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,

    /// The keys, stores and clusters to start with, with fixed ids; kms-sim/docs/seed.example.toml explains the file. Stores
    /// that it wants connected are connected before requests are served. Not used if --data-dir has a state already.
    #[arg(long, value_name = "FILE")]
    seed: Option<PathBuf>,

    /// How long the stores of --seed may take to connect, for a proxy that is still starting.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, requires = "seed", value_parser = clap::value_parser!(u64).range(..=86_400))]
    seed_connect_timeout: u64,

    /// Where the control API listens, for `kms-sim ctl`: faults, time and state on demand. Off without it.
    #[arg(long, value_name = "IP:PORT")]
    control: Option<SocketAddr>,

    /// Lets the control API listen on an address that other machines reach; whoever reaches it can do anything.
    #[arg(long, requires = "control")]
    control_remote: bool,

    /// Another name that the control API answers to, beside localhost and addresses; a service's name in a
    /// container network, for example. May be repeated.
    #[arg(long, value_name = "NAME", requires = "control")]
    control_host: Vec<String>,

    /// Connections of clients at a time, of the KMS API and of the control API each. Further ones wait for one to end.
    #[arg(long, value_name = "N", default_value_t = ClientLimits::DEFAULT_MAX_CONNECTIONS, value_parser = at_least_one)]
    max_connections: usize,

    /// What to log, to standard error: error, warn, info, debug, or a filter like kms_sim=debug,warn.
    #[arg(
        long,
        value_name = "FILTER",
        env = "KMS_SIM_LOG",
        default_value = "info"
    )]
    log: String,

    /// One line of text, or one JSON object, for each event.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// Runs what the command line says.
pub(crate) fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(arguments) => serve(*arguments),
        Command::Demo(arguments) => demo::run(arguments),
        Command::Ctl(arguments) => ctl::run(arguments),
        Command::StubProxy(arguments) => stub_command::run(&arguments),
        Command::Conformance(arguments) => return conformance_command::run(*arguments),
        Command::Completions { shell } => {
            print(&completion::script(shell, Cli::command())).map_err(Into::into)
        }
        Command::Man { folder } => {
            manual::write(Cli::command(), &["xks-proxy", "xks-load"], &folder)
                .map_err(|error| format!("{}: {error}", folder.display()).into())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nowhere left to say that standard error is closed.
            let _ = writeln!(io::stderr(), "kms-sim: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes to standard output all that somebody reads: `| head` has enough at some time.
pub(crate) fn print(text: &[u8]) -> io::Result<()> {
    let mut output = io::stdout().lock();
    match output.write_all(text).and_then(|()| output.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn at_least_one(text: &str) -> Result<usize, &'static str> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a number from 1 on"),
        Ok(number) => Ok(number),
    }
}

pub(crate) fn region(text: &str) -> Result<String, &'static str> {
    match kms_sim::is_region(text) {
        true => Ok(text.to_owned()),
        false => Err("expected a Region: 1 to 32 of a-z 0-9 -, such as us-east-1"),
    }
}

fn serve(arguments: ServeArgs) -> Result<(), Box<dyn Error>> {
    if let Some(address) = arguments.control
        && !address.ip().is_loopback()
        && !arguments.control_remote
    {
        return Err(format!(
            "--control {address}: other machines could reach it, and whoever does can do anything with the \
             simulator. Use a loopback address such as 127.0.0.1:4600, or say --control-remote as well."
        )
        .into());
    }
    let _log = start_log(&arguments.log, arguments.log_format)?;
    if let Err(too_few) = descriptor_limit::raise(arguments.max_connections) {
        tracing::warn!("{too_few}");
    }
    let identity = |certificate: Option<PathBuf>, key: Option<PathBuf>| certificate.zip(key);
    let connect_timeout = Duration::from_secs(arguments.seed_connect_timeout);
    let seed = match &arguments.seed {
        Some(file) => Some(Seed::load(file, &arguments.region, connect_timeout)?),
        None => None,
    };
    let config = Config {
        region: arguments.region,
        allow_anonymous: arguments.allow_anonymous,
        allow_origins: arguments.allow_origin,
        accounts: arguments
            .accounts
            .as_deref()
            .map(Accounts::load)
            .transpose()?,
        transition: Duration::from_millis(arguments.transition_ms),
        resolve: arguments.resolve,
        trust_ca: trust::authorities(&arguments.trust_ca)
            .map_err(|error| error.of("--trust-ca"))?,
        client_certificate: identity(arguments.client_cert, arguments.client_key)
            .map(|(certificate, key)| trust::client_identity(trust::CLIENT, &certificate, &key))
            .transpose()?,
        proxy_timeout: Duration::from_millis(arguments.proxy_timeout_ms),
        health_interval: Duration::from_secs(arguments.health_interval),
        max_keys: arguments.max_keys,
        tls: identity(arguments.tls_cert, arguments.tls_key)
            .map(|(certificate, key)| trust::server_identity(&certificate, &key))
            .transpose()?,
        control_hosts: arguments.control_host,
        data_dir: arguments.data_dir,
        events: arguments.events,
        limits: ClientLimits {
            max_connections: arguments.max_connections,
            ..ClientLimits::default()
        },
        seed,
        ..Config::default()
    };
    Runtime::new()?.block_on(async {
        let api = listen(arguments.listen, "--listen").await?;
        let control = match arguments.control {
            Some(address) => Some(listen(address, "--control").await?),
            None => None,
        };
        let stop = stop_signal()?;
        let region = config.region.clone();
        let scheme = if config.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let address = api.local_addr()?;
        let is_known = config.accounts.is_some();
        let server = Server::start(config).await?;
        // Serving matters more than a reader of this line.
        let _ = writeln!(
            io::stdout(),
            "kms-sim listens on {scheme}://{address} (Region {region})"
        );
        if let Some(control) = &control {
            let address = control.local_addr()?;
            let _ = writeln!(
                io::stdout(),
                "kms-sim's control API listens on http://{address}\nLook at it in a browser: http://{address}/"
            );
        }
        if control.is_none() {
            let _ = writeln!(io::stdout(), "{}", next_step(scheme, address, &region, is_known));
        }
        server.run(Listeners { api, control }, stop).await?;
        Ok(())
    })
}

/// A first call, for a shell.
fn next_step(scheme: &str, address: SocketAddr, region: &str, is_known: bool) -> String {
    let call = format!("aws kms create-key --endpoint-url {scheme}://{address} --region {region}");
    match is_known {
        true => format!("Next, with an access key of --accounts: {call}"),
        false => format!("Next: AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test {call}"),
    }
}

async fn listen(address: SocketAddr, option: &str) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| {
        format!(
            "cannot listen on {address}: {error}. Another program may have the port; choose one with {option}, port \
             0 for any that is free."
        )
    })
}

/// Completes at SIGTERM, SIGINT and SIGHUP.
pub(crate) fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

fn start_log(filter: &str, format: LogFormat) -> Result<LogOutputGuard, Box<dyn Error>> {
    // aws-sigv4 would write the canonical request at trace.
    let filter = EnvFilter::try_new(format!("{filter},aws_sigv4=info"))
        .map_err(|error| format!("--log {filter}: {error}"))?;
    let (output, guard) = LogOutput::start(io::stderr())?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || output.clone());
    let started = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|error| error.to_string())?;
    Ok(guard)
}

const EXAMPLES: &str = "\
Examples:
  See a custom key store connect, disconnect, and what fails then:
    kms-sim demo

  Serve the KMS API, with the proxy of xks.test on port 8443 of this machine:
    kms-sim serve --resolve xks.test=127.0.0.1:8443 --trust-ca ca.pem

  Say who may do what, and verify signatures:
    kms-sim serve --accounts kms-sim/docs/accounts.example.toml

  Use it from the AWS CLI:
    export AWS_ENDPOINT_URL_KMS=http://127.0.0.1:4599 AWS_DEFAULT_REGION=us-east-1
    export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
    aws kms describe-custom-key-stores";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_that_prints_facts_prints_them_as_json() {
        let reasons = [
            (
                "serve",
                "serves; its log lines are JSON with --log-format json",
            ),
            ("demo", "tells a story to people"),
            ("stub-proxy", "serves; DIR/env says what a client needs"),
            ("completions", "prints a script for a shell"),
            ("man", "writes pages for people"),
        ];
        let without = manual::without_json(Cli::command());
        assert_eq!(without, reasons.map(|(command, _)| command));
    }

    #[test]
    fn pairs_of_files_belong_together() {
        for lone in ["--tls-cert", "--tls-key", "--client-cert", "--client-key"] {
            assert!(
                Cli::try_parse_from(["kms-sim", "serve", lone, "x"]).is_err(),
                "{lone}"
            );
        }
        let both = ["kms-sim", "serve", "--tls-cert", "x", "--tls-key", "y"];
        assert!(Cli::try_parse_from(both).is_ok());
    }

    #[test]
    fn a_region_is_one_that_a_signature_can_name() {
        let parse = |region| Cli::try_parse_from(["kms-sim", "serve", "--region", region]);
        assert!(parse("eu-central-1").is_ok());
        for bad in ["", "eu west", "EU-WEST-1", "eu:west:1"] {
            let text = parse(bad).unwrap_err().to_string();
            assert!(text.contains("such as us-east-1"), "{text}");
        }
    }

    #[test]
    fn a_wrong_mapping_is_explained() {
        let error = Cli::try_parse_from(["kms-sim", "serve", "--resolve", "xks.test:8443"]);
        let text = error.unwrap_err().to_string();
        assert!(text.contains("expected HOST=IP:PORT"), "{text}");
    }
}
