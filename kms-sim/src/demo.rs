//! `kms-sim demo`: a real proxy, a simulator, and the story of a disconnect, told with real calls.

mod client;
mod proxy;
mod screen;
mod story;

use std::error::Error;
use std::fs::DirBuilder;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use kms_sim::{Config, Listeners, Resolve};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::cli::stop_signal;
use crate::trust;
use client::KmsClient;
use proxy::Proxy;
use screen::Screen;

/// Arguments of `kms-sim demo`.
#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// Ends after the story; without it the servers stay up for your own calls until Ctrl-C.
    #[arg(long)]
    exit: bool,

    /// Where the simulator listens; without it 127.0.0.1:4599, or a free port if that one is taken.
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<SocketAddr>,

    /// The xks-proxy to start; without it the one that Cargo builds, the one beside kms-sim, or the one in PATH.
    #[arg(long, value_name = "FILE")]
    xks_proxy: Option<PathBuf>,
}

/// Runs the demo; any step that does not do what it says is an error.
pub(crate) fn run(arguments: DemoArgs) -> Result<(), Box<dyn Error>> {
    Runtime::new()?.block_on(async {
        let stop = stop_signal()?;
        let told = AtomicBool::new(false);
        tokio::select! {
            biased;
            // With its future the demo is dropped, and ends its proxy.
            () = stop => match told.load(Ordering::Relaxed) {
                true => Ok(()),
                false => Err("stopped before the end of the story".into()),
            },
            result = tell(arguments, &told) => result,
        }
    })
}

async fn tell(arguments: DemoArgs, told: &AtomicBool) -> Result<(), Box<dyn Error>> {
    let screen = Screen::new();
    screen.title("A custom key store, disconnected and connected again");
    let program = proxy::find(arguments.xks_proxy.as_deref(), &screen).await?;
    let folder = TemporaryFolder::create()?;
    let mut proxy = Proxy::start(&program, folder.path()).await?;
    screen.note(&format!(
        "xks-proxy runs as process {} on {}, and logs to {}.",
        proxy.process_id().unwrap_or_default(),
        proxy.address(),
        proxy.log_file().display()
    ));

    let api = listen(arguments.listen, USUAL_PORT).await?;
    let address = api.local_addr()?;
    let control = listen(None, USUAL_CONTROL_PORT).await?;
    let control_address = control.local_addr()?;
    let resolve = |host: &str| Resolve {
        host: host.to_owned(),
        address: proxy.address(),
    };
    let config = Config {
        resolve: vec![resolve(story::HOST), resolve(story::SECOND_HOST)],
        trust_ca: trust::authorities(std::slice::from_ref(&proxy.env().ca_file))?,
        transition: TRANSITION,
        ..Config::default()
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let listeners = Listeners {
        api,
        control: Some(control),
    };
    let server = tokio::spawn(kms_sim::serve(listeners, config, async {
        // Sent, or dropped with the demo: both mean the end.
        let _ = stopped.await;
    }));
    screen.note(&format!(
        "kms-sim listens on http://{address}. AWS KMS would dial https://{}:443; kms-sim was told \
         to find it on {}.",
        story::HOST,
        proxy.address()
    ));
    screen.note(&format!(
        "Faults, time and transitions on demand: kms-sim ctl --control http://{control_address} --help"
    ));
    let client = KmsClient::new(address);
    let environment = format!(
        "export AWS_ENDPOINT_URL_KMS=http://{address} AWS_DEFAULT_REGION={}\n\
         export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test\n. {}",
        client::REGION,
        proxy.env_file().display()
    );
    screen.note("The commands below are for a shell with");
    screen.code(&environment);

    let result = story::tell(&client, &mut proxy, &screen).await;
    if let Ok(ids) = &result {
        screen.invitation(&environment, address, control_address, ids);
        told.store(true, Ordering::Relaxed);
        if !arguments.exit {
            screen.note("Everything stays up until Ctrl-C.");
            std::future::pending::<()>().await;
        }
    }
    proxy.kill().await?;
    drop(stop);
    server.await??;
    result.map(drop).map_err(Into::into)
}

/// The address that was asked for, or the usual one, or a free port in its place.
async fn listen(wanted: Option<SocketAddr>, usual_port: u16) -> Result<TcpListener, String> {
    let address = wanted.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, usual_port).into());
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(error) if wanted.is_none() && error.kind() == io::ErrorKind::AddrInUse => {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
            free.map_err(|error| format!("no free port on 127.0.0.1: {error}"))
        }
        Err(error) => Err(format!("cannot listen on {address}: {error}")),
    }
}

/// A folder that only this user can read; removed on drop.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn create() -> io::Result<Self> {
        let name = format!("kms-sim-demo-{}", uuid::Uuid::new_v4().simple());
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever cleans the folder of temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const USUAL_PORT: u16 = 4599;
const USUAL_CONTROL_PORT: u16 = 4600;

/// Long enough for people to see CONNECTING and DISCONNECTING.
const TRANSITION: Duration = Duration::from_millis(600);
