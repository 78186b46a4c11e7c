//! `xks-proxy serve`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::admin_sockets::AdminSockets;
use super::{Failure, File, LogFormatArgument, telemetry};
use crate::assemble::KeyManagers;
use crate::config::Config;
use crate::health;
use crate::runtime::Runtime;
use crate::server::{self, Listeners};

/// Serve the external key stores of a configuration.
///
/// SIGTERM and SIGINT begin a drain, a second one ends at once.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "XKS_PROXY_CONFIG")]
    config: File,
    /// How log lines look; text on a terminal and JSON elsewhere, unless the configuration says otherwise
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<LogFormatArgument>,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut config = Config::load(&arguments.config)?;
    if let Some(format) = arguments.log_format {
        config.log.format = Some(format.into());
    }
    let address = config.listen;
    let started = |address: SocketAddr| {
        tracing::info!(%address, config = %arguments.config.display(), "serving");
        Ok(())
    };
    serve(config, address, started)
}

/// Serves until a signal. `started` is called with the real address when connections are taken.
pub(super) fn serve(
    config: Config,
    address: SocketAddr,
    started: impl FnOnce(SocketAddr) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (log, _log_guard) = telemetry::start(&config.log)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let key_managers = KeyManagers::default()
        .with(&config)
        .map_err(|e| Failure::of("cannot start", &e))?;
    let snapshot = key_managers
        .snapshot(&config)
        .map_err(|e| Failure::of("cannot start", &e))?;
    let runtime = Arc::new(Runtime::new(snapshot, log, SystemTime::now));
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::of("cannot start threads", &e))?
        .block_on(async {
            let listeners = Listeners {
                api: bind("listen", address).await?,
                health: match config.health_listen {
                    Some(address) => Some(bind("health_listen", address).await?),
                    None => None,
                },
            };
            let admin_sockets = AdminSockets::open(&key_managers);
            let mut signals = Signals::new()?;
            let mut second_signals = Signals::new()?;
            let local = listeners.api.local_addr();
            started(local.map_err(|e| Failure::of("listen", &e))?)?;
            let first = async {
                signals.next().await;
            };
            let serving = server::run(listeners, Arc::clone(&runtime), config.drain, first);
            tokio::select! {
                () = serving => {}
                () = health::watch(&runtime, config.health.probe_interval) => {}
                () = async { second_signals.next().await; second_signals.next().await } => {
                    tracing::warn!("a second signal: the drain is cut short");
                }
            }
            admin_sockets.close().await;
            Ok(())
        })
}

async fn bind(field: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address)
        .await
        .map_err(|e| Failure::of(format_args!("{field}: cannot listen on {address}"), &e))
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let take = |kind| signal(kind).map_err(|e| Failure::of("signals", &e));
        Ok(Self {
            terminate: take(SignalKind::terminate())?,
            interrupt: take(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
