//! `xks-proxy serve`, and what `dev` shares with it: a server from its start to its last signal.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use super::admin_sockets::AdminSockets;
use super::sockets::{Purpose, Sockets};
use super::supervisor::{State, Supervisor};
use super::{Failure, File, LogFormatArgument, telemetry};
use crate::admin;
use crate::assemble::{KeyManagers, Patience};
use crate::audit::AuditLog;
use crate::check;
use crate::config::Config;
use crate::descriptor_limit;
use crate::health;
use crate::metrics;
use crate::process_memory;
use crate::reload::Reloader;
use crate::runtime::Runtime;
use crate::server::{self, Leave, Listeners};
#[cfg(feature = "otel")]
use crate::traces::Traces;

/// Serve the external key stores of a configuration.
///
/// SIGHUP reloads the configuration. SIGTERM and SIGINT begin a drain, a second one ends at once.
///
/// Sockets that systemd opened (xks-proxy.socket) are taken in place of those of the configuration. They stay open across a
/// restart, so that connections wait for the next process for a moment: there is no drain then.
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
    let sockets = Sockets::inherited()?;
    let mut config = Config::load(&arguments.config)?;
    if let Some(format) = arguments.log_format {
        config.log.format = Some(format.into());
    }
    let shown = arguments.config.display().to_string();
    serve(&arguments.config, config, sockets, |address| {
        tracing::info!(%address, config = shown, "serving");
        Ok(())
    })
}

/// Serves until a signal. `started` is called with the real address when connections are taken.
pub(super) fn serve(
    file: &Path,
    config: Config,
    mut sockets: Sockets,
    started: impl FnOnce(SocketAddr) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (log, mut log_guard) = telemetry::start(&config.log)?;
    let handed_over = sockets.are_handed_over();
    if handed_over {
        log_guard.hasten();
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    for warning in check::dates(&config, SystemTime::now()) {
        tracing::warn!("{warning}");
    }
    for unprotected in process_memory::protect() {
        tracing::warn!("{unprotected}");
    }
    if let Err(too_few) = descriptor_limit::raise(config.limits.max_connections) {
        tracing::warn!("{too_few}");
    }
    let cannot_start = |e: &dyn std::error::Error| Failure::of("cannot start", e);
    let supervisor = Arc::new(Supervisor::of_environment());
    let executor = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| cannot_start(&e))?;
    let (leave, patience) = match handed_over {
        true => (Leave::HandOver(config.drain.clone()), Patience::ForHandOver),
        false => (Leave::Drain(config.drain.clone()), Patience::ForCommands),
    };
    let key_managers = KeyManagers::default()
        .opened(&config, patience)
        .map_err(|e| cannot_start(&e))?;
    let snapshot = key_managers
        .snapshot(&config)
        .map_err(|e| cannot_start(&e))?;
    let (audit, _audit_guard) = match &config.audit {
        None => (None, None),
        Some(settings) => {
            let (audit, mut guard) =
                AuditLog::open(settings.clone()).map_err(|e| cannot_start(&e))?;
            if handed_over {
                guard.hasten();
            }
            (Some(audit), Some(guard))
        }
    };
    let mut runtime = Runtime::new(snapshot, log, SystemTime::now).audited(audit);
    #[cfg(feature = "otel")]
    let _traces_guard = match &config.traces {
        None => None,
        Some(settings) => {
            let (traces, mut guard) =
                Traces::start(settings.clone()).map_err(|e| cannot_start(&e))?;
            if handed_over {
                guard.hasten();
            }
            runtime = runtime.traced(Some(traces));
            Some(guard)
        }
    };
    // The status page tells of requests, too.
    if config.metrics_listen.is_some() || config.admin_listen.is_some() {
        runtime = runtime.measured();
    }
    let runtime = Arc::new(runtime);
    let health_is_closed = config.health_listen.is_some() && !sockets.has(Purpose::Health);
    let served = executor.block_on(async {
        let listeners = Listeners {
            api: sockets.open(Purpose::Api, config.listen).await?,
            health: match config.health_listen {
                Some(address) => Some(sockets.open(Purpose::Health, address).await?),
                None => None,
            },
        };
        let metrics = match config.metrics_listen {
            Some(address) => Some(sockets.open(Purpose::Metrics, address).await?),
            None => None,
        };
        let admin = match config.admin_listen {
            Some(address) => Some(sockets.open(Purpose::Admin, address).await?),
            None => None,
        };
        sockets.all_taken()?;
        if handed_over && health_is_closed {
            tracing::warn!(
                "health_listen has no inherited socket: in a restart, connections to it are refused for a moment, since \
                 /ping does not say that this process ends; give it a socket unit named health"
            );
        }
        let mut signals = Signals::new()?;
        let address = listeners.api.local_addr().map_err(|e| cannot_start(&e))?;
        let mut tasks = JoinSet::new();
        {
            let (runtime, interval) = (Arc::clone(&runtime), config.health.probe_interval);
            tasks.spawn(async move { health::watch(&runtime, interval).await });
        }
        {
            let runtime = Arc::clone(&runtime);
            tasks.spawn(async move { metrics::hour::keep(&runtime).await });
        }
        let poll_interval = config.poll_interval;
        let reloader = Arc::new(Reloader::new(
            file.to_owned(),
            config,
            Arc::clone(&runtime),
            key_managers,
        ));
        if let Some(listener) = metrics {
            let address = listener.local_addr().map_err(|e| cannot_start(&e))?;
            tracing::info!("metrics at http://{address}/metrics");
            tasks.spawn(metrics::listener::serve(listener, Arc::clone(&reloader)));
        }
        if let Some(interval) = poll_interval {
            tasks.spawn(Arc::clone(&reloader).poll(interval));
        }
        tasks.spawn(reload_at_hangup(
            hangup()?,
            Arc::clone(&reloader),
            Arc::clone(&supervisor),
        ));
        if let Some(listener) = admin {
            let address = listener.local_addr().map_err(|e| cannot_start(&e))?;
            tracing::info!("status page at https://{address}/status, for admins with a token");
            let runtime = Arc::clone(&runtime);
            let server = Arc::<Reloader>::clone(&reloader);
            let tls = move || runtime.snapshot().admin_tls.clone();
            tasks.spawn(admin::listen(listener, server, tls));
        }
        let open = reloader.key_managers();
        let mut admin_sockets = AdminSockets::open(reloader);
        started(address)?;
        supervisor.tell(State::Ready);

        let (first, mut second) = (signals.next(), Signals::new()?);
        let shutdown = async {
            first.await;
            supervisor.tell(State::Stopping);
            match handed_over {
                // While connections are still taken: a command under way is waited for by no request.
                true => admin_sockets.closed().await,
                false => admin_sockets.stop(),
            }
        };
        tokio::select! {
            () = server::run(listeners, runtime, leave, shutdown) => {}
            // The first signal, and another one.
            () = async { second.next().await; second.next().await } => {
                tracing::warn!("a second signal: the drain is cut short");
            }
        }
        admin_sockets.closed().await;
        tasks.shutdown().await;
        // A panic was reported where it happened.
        let _ = tokio::task::spawn_blocking(move || open.borrow().close()).await;
        Ok(())
    });
    // Before the logs that its tasks write to.
    drop(executor);
    served
}

fn hangup() -> Result<Signal, Failure> {
    signal(SignalKind::hangup()).map_err(|e| Failure::of("signals", &e))
}

async fn reload_at_hangup(
    mut hangup: Signal,
    reloader: Arc<Reloader>,
    supervisor: Arc<Supervisor>,
) {
    while hangup.recv().await.is_some() {
        supervisor.tell(State::Reloading);
        let reloader = Arc::clone(&reloader);
        // What came of it is logged, and there is no one else to tell.
        let _ = tokio::task::spawn_blocking(move || reloader.reload_at_signal()).await;
        supervisor.tell(State::Ready);
    }
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
