//! Runs the load: workers that send, and the schedule that they follow in an open loop.
//!
//! In an open loop latency counts from the moment a request was due, whoever was late: the time that it waited for a
//! free connection is in it, so that a stalled server is charged for all that should have been sent meanwhile.
//!
//! Connections are opened beforehand, a few at a time: a load that begins with a thousand handshakes measures those.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::Value;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::{timeout, timeout_at};

use crate::connection::{Broken, Connection};
use crate::signing::Signer;
use crate::tally::Counts;
use crate::target::Target;
use crate::workload::Template;

/// Everything that workers share.
pub(crate) struct Load {
    pub(crate) target: Target,
    pub(crate) signers: Vec<Signer>,
    /// Sent in this order, again and again.
    pub(crate) templates: Vec<Template>,
    /// The signed requests of the templates, unless each is signed anew.
    pub(crate) presigned: Option<Vec<ArcSwap<Request<Full<Bytes>>>>>,
    pub(crate) timeout: Duration,
    pub(crate) new_connection_every: Option<u32>,
    pub(crate) counts: Counts,
}

/// How the load is spread over time and connections.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) rate: Option<u32>,
    pub(crate) connections: u32,
    pub(crate) streams: u32,
    pub(crate) warm_up: Duration,
    pub(crate) duration: Duration,
}

impl Load {
    /// Signs a template now.
    ///
    /// # Errors
    /// A request that cannot be.
    pub(crate) fn request(&self, template: &Template) -> Result<Request<Full<Bytes>>, String> {
        let mut body = template.body.clone();
        if let Some(at) = template.request_id_at {
            let mut changed = body.to_vec();
            let id = uuid::Uuid::new_v4().to_string();
            changed[at..at + id.len()].copy_from_slice(id.as_bytes());
            body = changed.into();
        }
        self.signers[template.credential].request(template, body, &self.target)
    }

    /// Signs all templates, to be sent many times each.
    ///
    /// # Errors
    /// A request that cannot be.
    pub(crate) fn presign(&mut self) -> Result<(), String> {
        let signed: Result<Vec<_>, _> = self
            .templates
            .iter()
            .map(|template| self.request(template))
            .collect();
        self.presigned = Some(signed?.into_iter().map(ArcSwap::from_pointee).collect());
        Ok(())
    }

    /// Signatures live for five minutes: signs anew every minute.
    async fn keep_signed(&self) {
        let mut ticks = tokio::time::interval(Duration::from_mins(1));
        ticks.tick().await;
        loop {
            ticks.tick().await;
            for (template, signed) in self.templates.iter().zip(self.presigned.iter().flatten()) {
                if let Ok(request) = self.request(template) {
                    signed.store(Arc::new(request));
                }
            }
        }
    }

    fn next_request(&self, index: usize) -> Result<Request<Full<Bytes>>, String> {
        match &self.presigned {
            Some(signed) => Ok(signed[index].load().as_ref().clone()),
            None => self.request(&self.templates[index]),
        }
    }
}

/// Runs the load to its end; gives when the measured time began.
pub(crate) async fn run(load: Arc<Load>, shape: Shape) -> Instant {
    let slots: Vec<_> = (0..shape.connections)
        .map(|_| Arc::new(Slot::default()))
        .collect();
    connect(&load, &slots).await;
    let start = Instant::now() + HEAD_START;
    let measured = Window {
        from: start + shape.warm_up,
        until: start + shape.warm_up + shape.duration,
    };
    let (schedule, pacer) = match shape.rate {
        None => (None, None),
        Some(rate) => {
            let (sender, receiver) = mpsc::unbounded_channel();
            let pacer = pace(Arc::clone(&load), sender, rate, start, measured.until);
            (Some(Arc::new(Mutex::new(receiver))), Some(pacer))
        }
    };
    let signing = load.presigned.is_some().then(|| {
        let load = Arc::clone(&load);
        tokio::spawn(async move { load.keep_signed().await })
    });
    let stop = Arc::new(AtomicBool::new(false));
    let mut workers = JoinSet::new();
    let slots = slots
        .iter()
        .flat_map(|slot| (0..shape.streams).map(move |_| slot));
    for (number, slot) in slots.enumerate() {
        let worker = Worker {
            load: Arc::clone(&load),
            slot: Arc::clone(slot),
            schedule: schedule.clone(),
            stop: Arc::clone(&stop),
            measured,
            number,
        };
        workers.spawn(worker.run());
    }
    tokio::time::sleep_until(measured.until.into()).await;
    // What was due but waits for a connection has as long as an answer may take.
    let grace = Instant::now() + load.timeout;
    if schedule.is_none() {
        stop.store(true, Ordering::Relaxed);
    }
    while let Ok(Some(_)) = timeout_at(grace.into(), workers.join_next()).await {}
    stop.store(true, Ordering::Relaxed);
    while workers.join_next().await.is_some() {}
    if let Some(schedule) = schedule {
        let mut schedule = schedule.lock().await;
        while let Ok(due) = schedule.try_recv() {
            if measured.contains(due) {
                load.counts.unsent.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    if let Some(pacer) = pacer {
        pacer.join().expect("the schedule's thread");
    }
    if let Some(signing) = signing {
        signing.abort();
    }
    measured.from
}

/// Opens all connections. Those that cannot be are left to the requests that need them, which tell what is wrong.
async fn connect(load: &Arc<Load>, slots: &[Arc<Slot>]) {
    let opened = async {
        let mut opening = JoinSet::new();
        for slot in slots {
            if opening.len() >= OPENED_AT_A_TIME && opening.join_next().await.is_none() {
                break;
            }
            let (load, slot) = (Arc::clone(load), Arc::clone(slot));
            opening.spawn(async move {
                let connection = Connection::open(&load.target).await.ok();
                slot.0.lock().await.connection = connection;
            });
        }
        while opening.join_next().await.is_some() {}
    };
    drop(timeout(TIME_TO_OPEN, opened).await);
}

/// The measured time.
#[derive(Clone, Copy)]
struct Window {
    from: Instant,
    until: Instant,
}

impl Window {
    fn contains(&self, due: Instant) -> bool {
        self.from <= due && due < self.until
    }
}

type Schedule = Arc<Mutex<mpsc::UnboundedReceiver<Instant>>>;

/// Says when each request is due, on a thread of its own: the executor's timers are too coarse.
fn pace(
    load: Arc<Load>,
    sender: mpsc::UnboundedSender<Instant>,
    rate: u32,
    start: Instant,
    until: Instant,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let interval = Duration::from_secs(1) / rate;
        for index in 0_u32.. {
            // Multiplied, not added up: the error of one interval must not grow.
            let due = start + interval_of(index, rate).unwrap_or(interval * index);
            if due >= until {
                break;
            }
            let now = Instant::now();
            if now < due {
                std::thread::sleep(due - now);
            }
            let late = u64::try_from(due.elapsed().as_nanos()).unwrap_or(u64::MAX);
            load.counts
                .worst_schedule
                .fetch_max(late, Ordering::Relaxed);
            if sender.send(due).is_err() {
                break;
            }
        }
    })
}

fn interval_of(index: u32, rate: u32) -> Option<Duration> {
    let nanos = u64::from(index).checked_mul(1_000_000_000)? / u64::from(rate);
    Some(Duration::from_nanos(nanos))
}

/// The connection that the streams of one worker share.
#[derive(Default)]
struct Slot(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    connection: Option<Connection>,
    used: u32,
    /// Requests in a row.
    timed_out: u32,
    /// Which connection this is: one that broke takes its successor for itself.
    number: u64,
}

struct Worker {
    load: Arc<Load>,
    slot: Arc<Slot>,
    schedule: Option<Schedule>,
    stop: Arc<AtomicBool>,
    measured: Window,
    number: usize,
}

impl Worker {
    async fn run(self) {
        let mut next = self.number;
        while let Some(due) = self.due().await {
            if due.elapsed() >= self.load.timeout {
                // Nobody waits for its answer any more.
                if self.measured.contains(due) {
                    self.load.counts.unsent.fetch_add(1, Ordering::Relaxed);
                }
                continue;
            }
            let index = next % self.load.templates.len();
            next = index + 1;
            let outcome = self.send(index).await;
            let latency = due.elapsed();
            let counted = self.measured.contains(due);
            let at = due.saturating_duration_since(self.measured.from);
            match outcome {
                Ok(()) => {
                    self.load.counts.answered.fetch_add(1, Ordering::Relaxed);
                    if counted {
                        self.load.counts.answered(
                            self.number,
                            self.load.templates[index].operation,
                            at,
                            latency,
                        );
                    }
                }
                Err(what) => {
                    self.load.counts.errors.fetch_add(1, Ordering::Relaxed);
                    if counted {
                        self.load.counts.failed(self.number, at, &what);
                    }
                    if self.schedule.is_none() {
                        // A server that refuses everything is not asked in a tight loop.
                        tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                    }
                }
            }
        }
    }

    /// When the next request is due; `None` when there is none.
    async fn due(&self) -> Option<Instant> {
        if self.stop.load(Ordering::Relaxed) {
            return None;
        }
        match &self.schedule {
            None => Some(Instant::now()),
            Some(schedule) => schedule.lock().await.recv().await,
        }
    }

    async fn send(&self, index: usize) -> Result<(), String> {
        let request = self.load.next_request(index)?;
        let load = Arc::clone(&self.load);
        let exchange = async {
            let (mut connection, number) = self.connection().await?;
            let answer = connection.exchange(request).await;
            match &answer {
                Ok(_) => self.slot.give_back(connection, number).await,
                Err(_) => self.slot.forget(number).await,
            }
            answer
        };
        match timeout(load.timeout, exchange).await {
            Err(_) => {
                self.slot.timed_out().await;
                Err(format!("no answer within {:?}", load.timeout))
            }
            Ok(Err(broken)) => Err(broken.text().to_owned()),
            Ok(Ok((StatusCode::OK, body))) => {
                load.templates[index].check(&body).map_err(str::to_owned)
            }
            Ok(Ok((status, body))) => Err(refusal(status, &body)),
        }
    }

    async fn connection(&self) -> Result<(Connection, u64), Broken> {
        let mut kept = self.slot.0.lock().await;
        if self
            .load
            .new_connection_every
            .is_some_and(|limit| kept.used >= limit)
        {
            kept.connection = None;
        }
        if kept.connection.is_none() {
            let start = Instant::now();
            kept.connection = Some(Connection::open(&self.load.target).await?);
            kept.used = 0;
            kept.number += 1;
            if self.measured.contains(start) {
                self.load.counts.connected(self.number, start.elapsed());
            }
        }
        kept.used += 1;
        let number = kept.number;
        let shared = kept.connection.as_ref().and_then(Connection::share);
        let connection = shared.or_else(|| kept.connection.take());
        connection
            .map(|connection| (connection, number))
            .ok_or(Broken::Closed)
    }
}

impl Slot {
    /// Over HTTP/1.1, the connection went with its request. Over HTTP/2 others share it, until none is answered any more.
    async fn timed_out(&self) {
        let mut kept = self.0.lock().await;
        kept.timed_out += 1;
        if kept.timed_out > MAX_TIMED_OUT {
            kept.timed_out = 0;
            kept.connection = None;
        }
    }

    async fn give_back(&self, connection: Connection, number: u64) {
        let mut kept = self.0.lock().await;
        if kept.number == number {
            kept.timed_out = 0;
            kept.connection.get_or_insert(connection);
        }
    }

    async fn forget(&self, number: u64) {
        let mut kept = self.0.lock().await;
        if kept.number == number {
            kept.connection = None;
        }
    }
}

/// How an error answer is counted: by its status and the API's own name of the error.
pub(crate) fn refusal(status: StatusCode, body: &[u8]) -> String {
    let answer: Option<Value> = serde_json::from_slice(body).ok();
    let name = answer.as_ref().and_then(|answer| {
        let name = answer.get("errorName").or_else(|| answer.get("__type"));
        name.and_then(Value::as_str)
    });
    // A name is short; a body that pretends otherwise does not fill the report.
    let name: String = name
        .unwrap_or("without an error name")
        .chars()
        .take(64)
        .collect();
    format!("{} {name}", status.as_u16())
}

/// Time for the workers to be there when the first request is due.
const HEAD_START: Duration = Duration::from_millis(50);
/// Beforehand; few enough for the first to be served before the last gives up.
const OPENED_AT_A_TIME: usize = 16;
/// Over one HTTP/2 connection, before it is given up.
const MAX_TIMED_OUT: u32 = 100;
const TIME_TO_OPEN: Duration = Duration::from_secs(10);
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(1);
