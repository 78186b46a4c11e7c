//! `xks-load`: puts load on any XKS proxy, or on a KMS API, and reports what it answered and how soon.

mod arguments;
#[path = "../../proxy/src/cli/completion.rs"]
mod completion;
mod connection;
mod drive;
#[path = "../../proxy/src/cli/manual.rs"]
mod manual;
mod objective;
#[path = "../plot/plot.rs"]
mod plot;
mod progress;
mod report;
mod signing;
mod tally;
mod target;
mod workload;

use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use clap_complete::Shell;
use http::StatusCode;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::arguments::{Arguments, HttpVersion, Task, command};
use crate::connection::Connection;
use crate::drive::{Load, Shape, refusal, run};
use crate::progress::Progress;
use crate::report::{Report, Run, Text, page};
use crate::tally::Counts;
use crate::target::{Target, credentials};
use crate::workload::{KmsRequests, Operation, ProxyRequests, Template};

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Load(arguments) => load(&arguments),
        Task::Completions(shell) => completions(shell),
        Task::Manual(folder) => manual(&folder),
    };
    match done {
        Ok(missed) if missed.is_empty() => ExitCode::SUCCESS,
        Ok(missed) => {
            for line in missed {
                eprintln!("xks-load: {line}");
            }
            ExitCode::from(1)
        }
        Err(problem) => {
            eprintln!("xks-load: {problem}");
            ExitCode::from(2)
        }
    }
}

fn completions(shell: Shell) -> Result<Vec<String>, String> {
    let written = std::io::stdout().write_all(&completion::script(shell, command()));
    match written {
        // `| head` has enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Vec::new()),
        Err(error) => Err(format!("standard output: {error}")),
        Ok(()) => Ok(Vec::new()),
    }
}

fn manual(folder: &Path) -> Result<Vec<String>, String> {
    let written = manual::write(command(), &["xks-proxy", "kms-sim"], folder);
    written.map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(Vec::new())
}

/// Gives which objectives were missed.
fn load(arguments: &Arguments) -> Result<Vec<String>, String> {
    arguments.check()?;
    let target = Target::new(arguments)?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = arguments.threads {
        runtime.worker_threads(threads.into());
    }
    let runtime = runtime
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let report = runtime.block_on(measure(arguments, target))?;
    let shown = if arguments.json {
        serde_json::to_string_pretty(&report).map_err(|error| error.to_string())? + "\n"
    } else {
        Text(&report).to_string()
    };
    // A reader that has seen enough is no failure.
    drop(std::io::stdout().write_all(shown.as_bytes()));
    if let Some(file) = &arguments.html {
        std::fs::write(file, page(&report))
            .map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(arguments
        .slo
        .as_ref()
        .map(|objective| objective.missed(&report))
        .unwrap_or_default())
}

async fn measure(arguments: &Arguments, target: Target) -> Result<Report, String> {
    let credentials = credentials(arguments)?;
    let uri_paths: Vec<_> = credentials
        .iter()
        .map(|credential| credential.uri_path.clone())
        .collect();
    let workers = usize::try_from(arguments.connections.saturating_mul(arguments.streams))
        .unwrap_or(usize::MAX);
    let mut load = Load {
        target,
        signers: credentials
            .into_iter()
            .map(|credential| credential.signer)
            .collect(),
        templates: Vec::new(),
        presigned: None,
        timeout: arguments.timeout,
        new_connection_every: arguments.new_connection_every,
        counts: Counts::new(workers),
    };
    load.templates = prepare(arguments, &load, &uri_paths).await?;
    if arguments.presigned {
        load.presign()?;
    }
    let shape = Shape {
        rate: arguments.rate,
        connections: arguments.connections,
        streams: arguments.streams,
        warm_up: arguments.warm_up,
        duration: arguments.duration,
    };
    let load = Arc::new(load);
    let progress = Progress::start(Arc::clone(&load), shape);
    let started = SystemTime::now() + arguments.warm_up;
    run(Arc::clone(&load), shape).await;
    progress.finish();
    let counts = &load.counts;
    let (tally, seconds) = counts.total();
    let run = Run {
        started: OffsetDateTime::from(started)
            .format(&Rfc3339)
            .map_err(|error| error.to_string())?,
        endpoint: arguments.endpoint.clone(),
        load: described(arguments),
        duration: arguments.duration,
        offered_rate: arguments.rate,
        unsent: counts.unsent.load(Ordering::Relaxed),
        worst_schedule: Duration::from_nanos(counts.worst_schedule.load(Ordering::Relaxed)),
    };
    Ok(Report::new(run, &tally, &seconds))
}

/// The requests, each tried once: a load of wrong requests would measure nothing.
async fn prepare(
    arguments: &Arguments,
    load: &Load,
    uri_paths: &[String],
) -> Result<Vec<Template>, String> {
    let mut templates = Vec::new();
    for operation in arguments.mix.round() {
        for (credential, uri_path) in uri_paths.iter().enumerate() {
            for key_id in &arguments.key_ids {
                for plaintext_bytes in &arguments.plaintext_bytes {
                    let requests = Requests {
                        kms: arguments.kms,
                        proxy: ProxyRequests {
                            credential,
                            uri_path,
                            key_id,
                            region: &arguments.region,
                            plaintext_bytes: (*plaintext_bytes).into(),
                            aad_bytes: arguments.aad_bytes.into(),
                        },
                    };
                    templates.push(requests.template(load, operation).await?);
                }
            }
        }
    }
    Ok(templates)
}

/// Requests of one key and size, in either API.
struct Requests<'a> {
    kms: bool,
    proxy: ProxyRequests<'a>,
}

impl Requests<'_> {
    async fn template(&self, load: &Load, operation: Operation) -> Result<Template, String> {
        let template = match operation {
            Operation::Decrypt => {
                let encrypted = self.answer(load, &self.plain(Operation::Encrypt)).await?;
                self.decrypt(&encrypted)
                    .map_err(|problem| format!("the answer to an Encrypt is unusable: {problem}"))?
            }
            operation => self.plain(operation),
        };
        self.answer(load, &template).await?;
        Ok(template)
    }

    fn plain(&self, operation: Operation) -> Template {
        if self.kms {
            self.of_kms().template(operation)
        } else {
            self.proxy.template(operation)
        }
    }

    fn decrypt(&self, encrypted: &[u8]) -> Result<Template, String> {
        if self.kms {
            self.of_kms().decrypt(encrypted)
        } else {
            self.proxy.decrypt(encrypted)
        }
    }

    fn of_kms(&self) -> KmsRequests<'_> {
        let ProxyRequests {
            key_id,
            plaintext_bytes,
            aad_bytes,
            ..
        } = self.proxy;
        KmsRequests {
            key_id,
            plaintext_bytes,
            aad_bytes,
        }
    }

    /// Sends a request on a connection of its own; gives the right answer's body.
    async fn answer(&self, load: &Load, template: &Template) -> Result<Vec<u8>, String> {
        let name = template.operation.name();
        let failed = |problem: &str| format!("a first {name} of {}: {problem}", self.proxy.key_id);
        let request = load.request(template).map_err(|problem| failed(&problem))?;
        let exchange = async {
            Connection::open(&load.target)
                .await?
                .exchange(request)
                .await
        };
        let limit = load.timeout.max(LEAST_FIRST_TIMEOUT);
        let answer = tokio::time::timeout(limit, exchange)
            .await
            .map_err(|_| failed("no answer"))?;
        let (status, body) = answer.map_err(|broken| failed(broken.text()))?;
        if status != StatusCode::OK {
            return Err(failed(&format!(
                "the server answered {}",
                refusal(status, &body)
            )));
        }
        template.check(&body).map_err(failed)?;
        Ok(body.to_vec())
    }
}

fn described(arguments: &Arguments) -> Vec<(&'static str, String)> {
    let mix: Vec<_> = arguments
        .mix
        .round()
        .iter()
        .map(|operation| operation.name())
        .collect();
    let sizes: Vec<_> = arguments
        .plaintext_bytes
        .iter()
        .map(ToString::to_string)
        .collect();
    let mut described = vec![
        ("mix", mix.join("+")),
        ("plaintext", format!("{} B", sizes.join("/"))),
        ("AAD", format!("{} B", arguments.aad_bytes)),
        ("connections", arguments.connections.to_string()),
        (
            "HTTP",
            if arguments.http == HttpVersion::Http2 {
                "2".into()
            } else {
                "1.1".to_owned()
            },
        ),
    ];
    if arguments.streams > 1 {
        described.push(("streams", arguments.streams.to_string()));
    }
    if let Some(every) = arguments.new_connection_every {
        described.push(("new connection every", format!("{every} requests")));
    }
    described.push((
        "signatures",
        if arguments.presigned {
            "made before".into()
        } else {
            "live".to_owned()
        },
    ));
    described.push(("keys", arguments.key_ids.len().to_string()));
    if arguments.credential.len() > 1 {
        described.push(("key stores", arguments.credential.len().to_string()));
    }
    described
}

/// A first request may have to wake things up.
const LEAST_FIRST_TIMEOUT: Duration = Duration::from_secs(5);
