//! One child process: its output is kept, its readiness has a deadline, its end is certain.

use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A running child; killed and reaped on drop, by its own handle.
pub struct Process {
    name: String,
    child: Child,
    stdout: Output,
    stderr: Output,
}

impl Process {
    /// Starts `command` with both outputs captured and no standard input.
    pub fn start(command: &mut Command) -> Self {
        Self::start_reading(command, Stdio::null())
    }

    fn start_reading(command: &mut Command, input: Stdio) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let stdout = Output::read(child.stdout.take().expect("stdout is piped"));
        let stderr = Output::read(child.stderr.take().expect("stderr is piped"));
        Self {
            name,
            child,
            stdout,
            stderr,
        }
    }

    /// Polls until `ready` gives a value; panics with the output when the process ends first or the limit is over.
    pub fn wait_until<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut ready: impl FnMut(&Self) -> Option<T>,
    ) -> T {
        let start = Instant::now();
        loop {
            if let Some(value) = ready(self) {
                return value;
            }
            if let Some(status) = self.exited() {
                panic!(
                    "{} ended ({status}) before {what}\n{}",
                    self.name,
                    self.outputs()
                );
            }
            if start.elapsed() >= limit {
                panic!(
                    "{}: waited {limit:?} for {what}\n{}",
                    self.name,
                    self.outputs()
                );
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Both outputs so far, for a failure's message.
    pub fn outputs(&self) -> String {
        format!(
            "--- stdout\n{}\n--- stderr\n{}",
            self.stdout(),
            self.stderr()
        )
    }

    /// The status, if it has ended.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends a signal; a process that is gone already gets none. After SIGSTOP, none of its threads runs any more.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        // ESRCH cannot mean another process: ours stays a zombie until it is reaped.
        let sent = kill_process(pid, signal);
        if sent.is_ok() && signal == Signal::STOP {
            crate::wait_for("a stopped process", STOP_LIMIT, || {
                (!runs(self.id())).then_some(())
            });
        }
    }

    /// Waits for the end; panics when `limit` is over.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.exited() {
                self.stdout.join();
                self.stderr.join();
                return status;
            }
            assert!(
                start.elapsed() < limit,
                "{} still runs after {limit:?}\n{}",
                self.name,
                self.outputs()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Whether a thread of a process is not stopped, and will not be at once.
fn runs(process: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{process}/task"));
    let mut states = threads.into_iter().flatten().filter_map(|thread| {
        let stat = std::fs::read_to_string(thread.ok()?.path().join("stat")).ok()?;
        let (_, after_name) = stat.rsplit_once(')')?;
        after_name.trim_start().chars().next()
    });
    states.any(|state| !matches!(state, 'T' | 'Z' | 'X'))
}

const STOP_LIMIT: Duration = Duration::from_secs(5);

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs `command` to its end with a limit; the status and both outputs.
pub fn run(command: &mut Command, limit: Duration) -> (ExitStatus, String, String) {
    let mut process = Process::start(command);
    let status = process.wait(limit);
    (status, process.stdout(), process.stderr())
}

/// [`run`] with these bytes as standard input.
pub fn run_with_input(
    command: &mut Command,
    input: &[u8],
    limit: Duration,
) -> (ExitStatus, String, String) {
    // A file, so that no pipe fills up while the child writes.
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(input)
        .and_then(|()| file.rewind())
        .expect("a temporary file takes bytes");
    let mut process = Process::start_reading(command, file.into());
    let status = process.wait(limit);
    (status, process.stdout(), process.stderr())
}

/// What a child writes, collected by a thread that ends with the pipe.
struct Output {
    text: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Output {
    fn read(pipe: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&text);
        let reader = std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            loop {
                let mut line = Vec::new();
                match pipe.read_until(b'\n', &mut line) {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {
                        sink.lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .extend(line);
                    }
                }
            }
        });
        Self {
            text,
            reader: Some(reader),
        }
    }

    fn text(&self) -> String {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).into_owned()
    }

    fn join(&mut self) {
        if let Some(reader) = self.reader.take() {
            drop(reader.join());
        }
    }
}
