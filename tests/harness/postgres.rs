//! A PostgreSQL server of its own on loopback: started, stopped, killed, frozen, and gone on drop.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::process::{Process, run};
use crate::small_disk::SmallDisk;
use crate::{certificates, free_port, wait_for};

/// A server with one database, and a user whose password is in a file.
pub struct Postgres {
    server: Mutex<Option<Process>>,
    disk: Option<SmallDisk>,
    folder: TempDir,
    binaries: PathBuf,
    port: u16,
}

impl Postgres {
    /// User and database.
    pub const NAME: &'static str = "xks";

    /// Makes a database and starts its server.
    ///
    /// # Errors
    /// What is missing on this machine.
    pub fn start() -> Result<Self, String> {
        Self::start_on(|_| Ok(None))
    }

    /// The same with all its files on a disk of its own, which has room for little more.
    ///
    /// # Errors
    /// What is missing on this machine, or why nothing can be mounted here.
    pub fn start_on_small_disk() -> Result<Self, String> {
        let owner = is_root().then_some("postgres");
        Self::start_on(|data| SmallDisk::mount(data, 96, owner).map(Some))
    }

    fn start_on(
        disk: impl FnOnce(&Path) -> Result<Option<SmallDisk>, String>,
    ) -> Result<Self, String> {
        let binaries = binaries()?;
        let folder = crate::temp_dir();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).map_err(|e| e.to_string())?;
        let postgres = Self {
            server: Mutex::new(None),
            disk: disk(&data)?,
            folder,
            binaries,
            port: free_port(),
        };
        postgres.prepare()?;
        postgres.launch();
        Ok(postgres)
    }

    /// A second server that follows every change of this one, and takes none until it is [promoted](Self::promote).
    ///
    /// # Errors
    /// Why there cannot be one.
    pub fn standby(&self) -> Result<Self, String> {
        let folder = crate::temp_dir();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).map_err(|e| e.to_string())?;
        let standby = Self {
            server: Mutex::new(None),
            disk: None,
            folder,
            binaries: self.binaries.clone(),
            port: free_port(),
        };
        run_well(Command::new("chmod").arg("700").arg(&data))?;
        if is_root() {
            run_well(Command::new("chmod").arg("711").arg(standby.folder.path()))?;
            run_well(Command::new("chown").arg("postgres").arg(&data))?;
        }
        let mut copy = self.as_owner(&self.binaries.join("pg_basebackup"));
        copy.args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync"])
            .arg("--pgdata")
            .arg(&data)
            .arg(format!(
                "--dbname=host=127.0.0.1 port={} user={} password={PASSWORD}",
                self.port,
                Self::NAME
            ));
        run_well(&mut copy)?;
        standby.launch();
        Ok(standby)
    }

    /// Waits until a standby has everything that this one has.
    pub fn wait_until_followed_by(&self, standby: &Self) {
        let written = self.sql("SELECT pg_current_wal_lsn()");
        let followed = format!("SELECT pg_last_wal_replay_lsn() >= '{}'", written.trim());
        wait_for("the standby to follow", START_LIMIT, || {
            (standby.sql(&followed).trim() == "t").then_some(())
        });
    }

    /// Makes a standby the server that takes changes.
    pub fn promote(&self) {
        assert_eq!(self.sql("SELECT pg_promote()").trim(), "t");
    }

    /// The server that other tests use at the same time; it ends with the last of them.
    ///
    /// # Errors
    /// What is missing on this machine.
    pub fn shared() -> Result<Arc<Self>, String> {
        static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(postgres) = shared.upgrade() {
            return Ok(postgres);
        }
        let postgres = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&postgres);
        Ok(postgres)
    }

    /// Without the password.
    pub fn url(&self) -> String {
        self.url_at(self.port)
    }

    /// The same through another port.
    pub fn url_at(&self, port: u16) -> String {
        format!("postgres://{0}@127.0.0.1:{port}/{0}", Self::NAME)
    }

    /// Where it listens on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Holds the password.
    pub fn password_file(&self) -> PathBuf {
        self.folder.path().join("client-password")
    }

    /// The CA of the server's certificate, whose name is `localhost`.
    pub fn ca_file(&self) -> PathBuf {
        certificates::path("root-ca.crt.pem")
    }

    /// What `psql` prints for a statement: rows without decoration.
    ///
    /// # Panics
    /// If it fails.
    pub fn sql(&self, statement: &str) -> String {
        self.sql_with(PASSWORD, statement)
    }

    /// The same with another password.
    ///
    /// # Panics
    /// If it fails.
    pub fn sql_with(&self, password: &str, statement: &str) -> String {
        let mut psql = Command::new(self.binaries.join("psql"));
        psql.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            statement,
        ])
        .arg(self.url())
        .env("PGPASSWORD", password)
        .env("PGCONNECT_TIMEOUT", "10");
        let (status, stdout, stderr) = run(&mut psql, Duration::from_secs(30));
        assert!(status.success(), "{statement}: {stderr}");
        stdout
    }

    /// Kills the server and all its processes, as a crash of the machine would.
    pub fn kill(&self) {
        let mut server = self.server();
        let process = server.as_mut().expect("it runs");
        kill_all(process);
        *server = None;
    }

    /// Starts the server again on the same port.
    pub fn launch(&self) {
        let mut command = self.as_owner(&self.binaries.join("postgres"));
        command
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "ssl=on"])
            .arg("-c")
            .arg(format!("unix_socket_directories={}", self.data().display()))
            // The machine does not crash, only the server does.
            .args(["-c", "fsync=off", "-c", "max_connections=200"]);
        let mut process = Process::start(&mut command);
        process.wait_until("PostgreSQL to take connections", START_LIMIT, |_| {
            let mut ready = Command::new(self.binaries.join("pg_isready"));
            ready.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
            let (status, _, _) = run(&mut ready, Duration::from_secs(10));
            status.success().then_some(())
        });
        *self.server() = Some(process);
    }

    /// Stops the server and every process of it in the middle of whatever they do.
    pub fn freeze(&self) {
        self.signal_all(Signal::STOP);
    }

    /// Lets them go on.
    pub fn thaw(&self) {
        self.signal_all(Signal::CONT);
    }

    /// The disk of [`start_on_small_disk`](Self::start_on_small_disk).
    ///
    /// # Panics
    /// If it is on none.
    pub fn disk(&self) -> &SmallDisk {
        self.disk.as_ref().expect("it is on a small disk")
    }

    /// Whether it gave up by itself.
    pub fn is_gone(&self) -> bool {
        let mut server = self.server();
        server
            .as_mut()
            .is_none_or(|process| process.exited().is_some())
    }

    /// Takes another certificate for new connections; PEM, for the same key.
    pub fn replace_certificate(&self, certificate: &str) {
        let path = self.data().join("server.crt");
        std::fs::write(path, certificate).expect("a file in a folder of ours");
        let server = self.server();
        server.as_ref().expect("it runs").signal(Signal::HUP);
    }

    fn signal_all(&self, what: Signal) {
        let server = self.server();
        let id = server.as_ref().expect("it runs").id();
        // The first one first, so that it starts no others meanwhile.
        signal(id, what);
        for id in family(id) {
            signal(id, what);
        }
    }

    fn prepare(&self) -> Result<(), String> {
        let folder = self.folder.path();
        let write = |name: &str, content: &[u8]| {
            std::fs::write(folder.join(name), content).map_err(|e| format!("{name}: {e}"))
        };
        write("server-password", PASSWORD.as_bytes())?;
        write("client-password", format!("{PASSWORD}\n").as_bytes())?;
        run_well(Command::new("chmod").arg("600").arg(self.password_file()))?;
        if is_root() {
            let mode = run_well(Command::new("chmod").arg("711").arg(folder));
            mode?;
            let mut chown = Command::new("chown");
            chown.arg("postgres").arg(self.data());
            run_well(chown.arg(folder.join("server-password")))?;
        }
        let mut initdb = self.as_owner(&self.binaries.join("initdb"));
        initdb
            .arg("-D")
            .arg(self.data())
            .args(["-U", Self::NAME, "-A", "scram-sha-256", "-E", "UTF8"])
            // Small files of the log, so that a small disk has room for a few.
            .args(["--locale=C.UTF-8", "--no-sync", "--wal-segsize=1"])
            .arg(format!("--pwfile={}/server-password", folder.display()));
        run_well(&mut initdb)?;
        for (from, to) in [
            ("server-ecdsa.crt.pem", "server.crt"),
            ("server-ecdsa.test-key.pem", "server.key"),
        ] {
            let to = self.data().join(to);
            std::fs::copy(certificates::path(from), &to).map_err(|e| e.to_string())?;
            run_well(Command::new("chmod").arg("600").arg(&to))?;
            if is_root() {
                run_well(Command::new("chown").arg("postgres").arg(&to))?;
            }
        }
        // The database that clients name.
        let mut single = self.as_owner(&self.binaries.join("postgres"));
        single
            .arg("--single")
            .arg("-D")
            .arg(self.data())
            .arg("postgres");
        let statement = format!("CREATE DATABASE {}\n", Self::NAME);
        let (status, _, stderr) =
            crate::process::run_with_input(&mut single, statement.as_bytes(), START_LIMIT);
        match status.success() {
            true => Ok(()),
            false => Err(format!("CREATE DATABASE: {stderr}")),
        }
    }

    /// A command as a user that PostgreSQL runs as, which is anyone but root.
    fn as_owner(&self, program: &Path) -> Command {
        if !is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
            .arg(program)
            .current_dir("/");
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn server(&self) -> std::sync::MutexGuard<'_, Option<Process>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let Some(mut process) = self.server().take() else {
            return;
        };
        kill_all(&mut process);
    }
}

/// Kills a server and everything that it has started, and waits until all of it is gone: what is left has files in the
/// folder, and keeps another server from starting.
fn kill_all(server: &mut Process) {
    // None is started any more.
    server.signal(Signal::STOP);
    let all = family(server.id());
    server.kill();
    for &id in &all {
        signal(id, Signal::KILL);
    }
    wait_for("PostgreSQL to be gone", Duration::from_secs(10), || {
        // One that its new parent does not reap has nothing any more.
        let gone = |id: &u32| {
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat"));
            stat.map_or(true, |stat| stat.contains(") Z "))
        };
        all.iter().all(gone).then_some(())
    });
}

/// The processes that a server has started.
fn family(server: u32) -> Vec<u32> {
    let path = format!("/proc/{server}/task/{server}/children");
    let children = std::fs::read_to_string(path).unwrap_or_default();
    let children = children.split_whitespace();
    children.filter_map(|id| id.parse().ok()).collect()
}

fn signal(id: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        // It may be gone by now.
        let _ = kill_process(pid, signal);
    }
}

fn run_well(command: &mut Command) -> Result<(), String> {
    let (status, stdout, stderr) = run(command, START_LIMIT);
    match status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {stdout}{stderr}")),
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The newest of Debian's.
fn binaries() -> Result<PathBuf, String> {
    let place = Path::new("/usr/lib/postgresql");
    let versions = std::fs::read_dir(place).map_err(|e| format!("{}: {e}", place.display()))?;
    let mut versions: Vec<_> = versions
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|folder| folder.join("initdb").exists())
        .collect();
    versions.sort();
    let newest = versions.pop();
    newest.ok_or_else(|| format!("there is no initdb below {}", place.display()))
}

const PASSWORD: &str = "correct-horse-battery-staple";
const START_LIMIT: Duration = Duration::from_secs(60);
