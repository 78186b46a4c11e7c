//! Threads that own sessions: each takes one call after the other from the queue, with the session that it keeps.
//!
//! Nothing here waits for a caller, and no caller waits here: a call that outlives its deadline has been answered
//! already, and what comes of it is dropped. A call into the library cannot be broken off; a thread in it is lost to the
//! others until the library returns.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout_at;
use xks_api::fields::Plaintext;

use super::connection::Connection;
use super::failure::Failure;
use super::library::Entered;
use super::queue::{Full, Queue};
use super::rv::{Again, Meaning};
use super::token::Token;
use crate::key_manager::KeyManagerError;
use crate::key_manager::Load;
use crate::key_manager::circuit::{self, BreakerConfig, Circuit, CircuitConfig, Outcome};

/// Something to do with a session.
pub(super) trait Task: Send + 'static {
    type Output: Send + 'static;

    /// Does it; more than once if a session fails for reasons of its own.
    fn run(&self, token: &Token, connection: &mut Connection) -> Result<Self::Output, Failure>;

    /// What the caller reads if the token has no such key.
    fn without_key(&self) -> KeyManagerError {
        KeyManagerError::UnknownKey
    }
}

/// The threads of a token and the queue in front of them.
pub(super) struct Workers {
    token: Arc<Token>,
    queue: Arc<Queue<Job>>,
    threads: Vec<JoinHandle<()>>,
    circuit: Circuit,
}

impl Workers {
    /// `name` is for the log.
    pub(super) fn start(name: &str, token: Token) -> std::io::Result<Self> {
        let token = Arc::new(token);
        let config = CircuitConfig {
            // The bulkhead is the queue, which knows deadlines; the breaker is what counts here.
            max_concurrent: token.settings.sessions + token.settings.queue,
            max_waiting: 0,
            breaker: BreakerConfig::default(),
        };
        let queue = Arc::new(Queue::new(token.settings.queue));
        let mut workers = Self {
            token: Arc::clone(&token),
            queue: Arc::clone(&queue),
            threads: Vec::new(),
            circuit: Circuit::new(name, &config),
        };
        for number in 1..=token.settings.sessions {
            let mut worker = Worker {
                token: Arc::clone(&token),
                queue: Arc::clone(&queue),
                connection: None,
            };
            let thread = thread::Builder::new()
                .name(format!("pkcs11-{number}"))
                .spawn(move || worker.work())?;
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    pub(super) fn token(&self) -> &Token {
        &self.token
    }

    /// How much the threads have to do.
    pub(super) fn load(&self) -> Load {
        let waiting = self.queue.len();
        let load = self.circuit.load();
        Load {
            waiting,
            // The bulkhead has room for those that wait, too.
            running: load.running.saturating_sub(waiting),
            circuit_open: load.circuit_open,
        }
    }

    /// Has a worker do it, within the time that a call has, unless too many calls have failed lately.
    pub(super) async fn execute<T: Task>(&self, task: T) -> Result<T::Output, KeyManagerError> {
        let deadline = Instant::now() + self.token.settings.timeout;
        let pass = self.circuit.enter(deadline.into()).await?;
        let result = self.perform(task, deadline).await;
        match &result {
            // It says something of the load, nothing of the token.
            Err(KeyManagerError::Overloaded) => drop(pass),
            Err(KeyManagerError::TimedOut) => {
                pass.end(Outcome::Failed(circuit::Failure::TimedOut));
            }
            Err(KeyManagerError::Unavailable(cause)) if is_of_the_token(&**cause) => {
                pass.end(Outcome::Failed(circuit::Failure::Broken));
            }
            Ok(_) | Err(_) => pass.end(Outcome::Answered),
        }
        result
    }

    async fn perform<T: Task>(
        &self,
        task: T,
        deadline: Instant,
    ) -> Result<T::Output, KeyManagerError> {
        let (reply, answer) = oneshot::channel();
        let job = Job {
            deadline,
            work: Box::new(Pending {
                task,
                reply: Some(reply),
            }),
        };
        if let Err(Full { last_taken }) = self.queue.push(job) {
            // A full queue that nobody takes from is not load, but a library that does not return.
            return Err(match last_taken.elapsed() > self.token.settings.timeout {
                true => KeyManagerError::TimedOut,
                false => KeyManagerError::Overloaded,
            });
        }
        match timeout_at(deadline.into(), answer).await {
            Ok(Ok(result)) => result,
            // Nobody does it any more: the key manager is being closed.
            Ok(Err(_)) | Err(_) => Err(KeyManagerError::TimedOut),
        }
    }
}

/// Whether a failure is one of the token, not of a single key in it.
fn is_of_the_token(cause: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    cause
        .downcast_ref::<Failure>()
        .is_none_or(Failure::is_of_the_token)
}

impl Drop for Workers {
    /// Waits for the threads, but not for a library that does not return: in the middle of a call, the end of the process
    /// would take the library away under it.
    fn drop(&mut self) {
        self.queue.close();
        let deadline = Instant::now() + FAREWELL;
        while Instant::now() < deadline && self.threads.iter().any(|t| !t.is_finished()) {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

struct Job {
    deadline: Instant,
    work: Box<dyn Work>,
}

/// A task and who waits for it, without their types.
trait Work: Send {
    /// Does it and answers; without an answer if it failed.
    fn attempt(&mut self, token: &Token, connection: &mut Connection) -> Result<(), Failure>;

    fn refuse(&mut self, failure: Failure);

    fn is_awaited(&self) -> bool;
}

struct Pending<T: Task> {
    task: T,
    reply: Option<oneshot::Sender<Result<T::Output, KeyManagerError>>>,
}

impl<T: Task> Pending<T> {
    fn answer(&mut self, result: Result<T::Output, KeyManagerError>) {
        if let Some(reply) = self.reply.take() {
            // Whoever is gone needs no answer.
            drop(reply.send(result));
        }
    }
}

impl<T: Task> Work for Pending<T> {
    fn attempt(&mut self, token: &Token, connection: &mut Connection) -> Result<(), Failure> {
        let output = self.task.run(token, connection)?;
        self.answer(Ok(output));
        Ok(())
    }

    fn refuse(&mut self, failure: Failure) {
        let error = match failure {
            Failure::NoKey(_) => self.task.without_key(),
            failure => failure.into_error(),
        };
        self.answer(Err(error));
    }

    fn is_awaited(&self) -> bool {
        self.reply.as_ref().is_some_and(|reply| !reply.is_closed())
    }
}

struct Worker {
    token: Arc<Token>,
    queue: Arc<Queue<Job>>,
    connection: Option<Connection>,
}

impl Worker {
    fn work(&mut self) {
        let token = Arc::clone(&self.token);
        // Before the first call, so that it need not wait; whoever calls finds out why it failed.
        if let Ok(entered) = token.library().enter() {
            self.connection = token.connect(&entered).ok();
        }
        while let Some(mut job) = self.queue.pop() {
            if job.deadline <= Instant::now() || !job.work.is_awaited() {
                continue;
            }
            let Err(failure) = self.perform(&mut job) else {
                continue;
            };
            match failure.verdict().meaning {
                // Others of this token have sessions, if the token has any for us.
                Meaning::NoSession if self.is_one_of_several() => {
                    self.queue.put_back(job);
                    thread::sleep(NO_SESSION_PAUSE);
                }
                _ => job.work.refuse(failure),
            }
        }
        if let (Ok(entered), Some(connection)) = (token.library().enter(), self.connection.take()) {
            connection.close(&entered);
        }
    }

    /// Does a job, with a second attempt where that can help.
    fn perform(&mut self, job: &mut Job) -> Result<(), Failure> {
        let token = Arc::clone(&self.token);
        let mut is_second = false;
        loop {
            let entered = token.library().enter()?;
            let Err(failure) = self.attempt(&entered, job) else {
                return Ok(());
            };
            let again = failure.verdict().again;
            let generation = entered.generation;
            drop(entered);
            if again == Again::NewLibrary {
                token.library().initialize_again(generation)?;
            }
            if again == Again::Never || is_second || job.deadline <= Instant::now() {
                return Err(failure);
            }
            is_second = true;
        }
    }

    /// With the session there is, or a new one; any failure ends it.
    fn attempt(&mut self, entered: &Entered<'_>, job: &mut Job) -> Result<(), Failure> {
        let kept = self.connection.take();
        let mut connection = match kept.filter(|connection| connection.is_of(entered)) {
            Some(connection) => connection,
            None => self.token.connect(entered)?,
        };
        match job.work.attempt(&self.token, &mut connection) {
            Ok(()) => {
                self.connection = Some(connection);
                Ok(())
            }
            // Not the session's failure, nor a call's.
            Err(failure @ Failure::SeveralKeys(_)) => {
                self.connection = Some(connection);
                Err(failure)
            }
            Err(Failure::NoKey(locator)) => match self.token.lacks(locator, &connection, entered) {
                failure @ Failure::NoKey(_) => {
                    self.connection = Some(connection);
                    Err(failure)
                }
                failure => {
                    connection.close(entered);
                    Err(failure)
                }
            },
            Err(failure) => {
                connection.close(entered);
                if failure.verdict().meaning == Meaning::PerhapsInvalidCiphertext {
                    return Err(self.judge_by_test_key(entered, failure));
                }
                Err(failure)
            }
        }
    }

    /// A ciphertext is called invalid only by a token that encrypts and decrypts: else an outage would pass for it.
    fn judge_by_test_key(&mut self, entered: &Entered<'_>, failure: Failure) -> Failure {
        let proof = self.token.connect(entered).and_then(|mut connection| {
            let result = round_trip(&self.token, &mut connection);
            match result {
                Ok(()) => self.connection = Some(connection),
                Err(_) => connection.close(entered),
            }
            result
        });
        match proof {
            Ok(()) => Failure::InvalidCiphertext,
            Err(proof) => Failure::Unproven(Arc::new(failure), Arc::new(proof)),
        }
    }

    fn is_one_of_several(&self) -> bool {
        // This thread and the queue's owner have the token; so has every other thread.
        self.token.settings.sessions > 1
    }
}

/// Encrypts and decrypts with the test key.
fn round_trip(token: &Token, connection: &mut Connection) -> Result<(), Failure> {
    let locator = token.test_key();
    let plaintext = Plaintext::from(&[0x5a; 32][..]);
    let aad = b"xks-proxy test";
    let sealed = connection.encrypt(&locator, token.settings.device.iv, &plaintext, aad)?;
    let input = [&sealed.ciphertext[..], &sealed.tag.0].concat();
    if connection.decrypt(&locator, &sealed.iv, &input, aad)? != plaintext {
        return Err(Failure::Output("what it decrypts is not what it encrypted"));
    }
    Ok(())
}

/// How long the threads have to close their sessions.
const FAREWELL: Duration = Duration::from_secs(1);
const NO_SESSION_PAUSE: Duration = Duration::from_millis(20);
