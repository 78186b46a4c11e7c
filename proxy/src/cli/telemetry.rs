//! Where lines go: requests to standard output, operational events to standard error.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, filter};

use super::Failure;
use crate::config::LogConfig;
use crate::request_log::{LogFormat, RequestLog, RequestLogGuard};

/// Starts both. Lines of requests are complete when the guard is dropped.
pub(super) fn start(config: &LogConfig) -> Result<(RequestLog, RequestLogGuard), Failure> {
    let format = |terminal| match config.format {
        Some(format) => format,
        None if terminal => LogFormat::Text,
        None => LogFormat::Json,
    };
    let level = filter::LevelFilter::from_level(config.level);
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let layer = match format(io::stderr().is_terminal()) {
        LogFormat::Json => layer.json().with_filter(level).boxed(),
        LogFormat::Text => layer.with_target(false).with_filter(level).boxed(),
    };
    tracing_subscriber::registry()
        .with(layer)
        .try_init()
        .map_err(|e| Failure::of("the log", &e))?;
    std::panic::set_hook(Box::new(|panic| {
        // Its message may hold a part of what was being worked on.
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "a defect of the proxy: please report it");
    }));
    let stdout = io::stdout();
    let format = format(stdout.is_terminal());
    RequestLog::start(Box::new(stdout), format).map_err(|e| Failure::of("the request log", &e))
}
