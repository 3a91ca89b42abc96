//! Connects a writer's core to the log and the clock: one task per partition.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::FuturesUnordered;
use roomlog_eventlog::{EventLog, LogError, LogIdentity, LogReader, LogRecord, TopicPartition};
use roomlog_schemas::RoomId;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};
use uuid::Uuid;

use super::checkpoints::{Checkpoints, Schedule};
use super::core::{Core, Effect, Options};
use super::ownership::{Duty, Status, UNANSWERED_MS};
use super::request::{Millis, Outcome, Request, RequestId};
use super::snapshots::Snapshots;
use super::trace::append_spans;

/// While anything waits, deadlines and retries are looked at this often.
const TICK: Duration = Duration::from_millis(25);
/// How long a stopping writer waits for what is in flight.
const DRAIN: Duration = Duration::from_secs(3);
/// Between attempts to read a log that does not answer.
const READ_RETRY: Duration = Duration::from_millis(200);
/// Messages taken from the queue before the log is looked at again.
const BURST: usize = 256;

enum Message {
    Run(Request, oneshot::Sender<Outcome>),
    Imported { room: RoomId, source: String, answer: oneshot::Sender<Option<u64>> },
}

/// How a writer stands, for readiness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Standing {
    Following = 0,
    Owning = 1,
    Stopped = 2,
}

/// Asks one partition's writer; cheap to clone.
#[derive(Clone)]
pub struct Handle {
    partition: TopicPartition,
    messages: mpsc::Sender<Message>,
    standing: Arc<AtomicU8>,
    duty: watch::Sender<Duty>,
    status: watch::Receiver<Status>,
}

impl Handle {
    pub fn partition(&self) -> TopicPartition {
        self.partition
    }

    /// Runs one command to its outcome. Dropping the future does not stop the command.
    pub async fn run(&self, request: Request) -> Outcome {
        let (sender, outcome) = oneshot::channel();
        match self.messages.try_send(Message::Run(request, sender)) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => return Outcome::Overloaded,
            Err(mpsc::error::TrySendError::Closed(_)) => return Outcome::Unavailable,
        }
        // A writer that ends without an answer may have sent the record.
        outcome.await.unwrap_or(Outcome::Unknown)
    }

    /// How far a source has been imported into a room, as far as has been read back.
    pub async fn imported(&self, room: RoomId, source: String) -> Option<u64> {
        let (answer, answered) = oneshot::channel();
        self.messages.send(Message::Imported { room, source, answer }).await.ok()?;
        answered.await.ok()?
    }

    pub fn standing(&self) -> Standing {
        match self.standing.load(Ordering::Relaxed) {
            0 => Standing::Following,
            1 => Standing::Owning,
            _ => Standing::Stopped,
        }
    }

    /// What the writer knows of its place, as of its last step.
    pub fn status(&self) -> Status {
        *self.status.borrow()
    }

    /// Says what the writer is to do where processes share the partitions.
    pub fn set_duty(&self, duty: Duty) {
        self.duty.send_if_modified(|current| std::mem::replace(current, duty) != duty);
    }
}

pub fn clock_ms() -> Millis {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as Millis)
}

/// What a writer keeps outside the log, if anything.
#[derive(Clone, Default)]
pub struct Outside {
    pub snapshots: Option<Snapshots>,
    pub checkpoints: Option<Checkpoints>,
}

/// Starts the writer of a partition, with [`Duty::ALONE`] or, where others may own it, [`Duty::WAIT`]. It runs until `shutdown`, and then until what is in flight has
/// an outcome or three seconds have passed.
pub fn spawn(
    log: Arc<dyn EventLog>,
    partition: TopicPartition,
    identity: LogIdentity,
    options: Options,
    duty: Duty,
    outside: Outside,
    shutdown: CancellationToken,
) -> (Handle, tokio::task::JoinHandle<()>) {
    let Outside { snapshots, checkpoints } = outside;
    let (messages, inbox) = mpsc::channel(options.max_waiting);
    let (duty, told) = watch::channel(duty);
    let (status_sender, status) = watch::channel(Status::default());
    let standing = Arc::new(AtomicU8::new(Standing::Following as u8));
    let core = Core::new(partition, identity, options.clone(), Box::new(Uuid::new_v4));
    // Any number from 0 to 1 that differs between partitions and processes will do.
    let spread = f64::from(Uuid::new_v4().as_bytes()[0]) / 255.0;
    let driver = Driver {
        log,
        partition,
        identity,
        options,
        core,
        told,
        warm: false,
        started: false,
        catching_up: None,
        snapshots,
        saved_at: 0,
        saving: None,
        checkpoints: checkpoints.map(|checkpoints| Schedule::new(checkpoints, spread)),
        inbox,
        standing: standing.clone(),
        status: status_sender,
        next_request: 0,
        responders: HashMap::new(),
        pending: FuturesUnordered::new(),
        sent: VecDeque::new(),
        gauges: Gauges::new(partition),
    };
    let task = tokio::spawn(driver.run(shutdown));
    (Handle { partition, messages, standing, duty, status }, task)
}

enum Completed {
    Appended { token: u64 },
    AppendFailed { token: u64, error: String },
    End { query: u64, end: Option<u64> },
}

struct Waiter {
    respond: oneshot::Sender<Outcome>,
    command: &'static str,
    since: Instant,
}

/// What waits at this writer, as metrics.
struct Gauges {
    requests: metrics::Gauge,
    records: metrics::Gauge,
}

impl Gauges {
    fn new(partition: TopicPartition) -> Self {
        let partition = partition.to_string();
        Self {
            requests: metrics::gauge!("roomlog_writer_queue_requests", "partition" => partition.clone()),
            records: metrics::gauge!("roomlog_writer_in_flight_records", "partition" => partition),
        }
    }
}

struct Driver {
    log: Arc<dyn EventLog>,
    partition: TopicPartition,
    identity: LogIdentity,
    options: Options,
    core: Core,
    told: watch::Receiver<Duty>,
    /// Whether it follows the log.
    warm: bool,
    /// Whether it has begun to follow the log.
    started: bool,
    /// When it began to, and from which offset, until it has read to the log's end.
    catching_up: Option<(Instant, u64)>,
    snapshots: Option<Snapshots>,
    /// The next offset of the last snapshot that this writer started from or made.
    saved_at: u64,
    /// The snapshot that is being saved.
    saving: Option<tokio::task::JoinHandle<()>>,
    checkpoints: Option<Schedule>,
    inbox: mpsc::Receiver<Message>,
    standing: Arc<AtomicU8>,
    status: watch::Sender<Status>,
    next_request: RequestId,
    responders: HashMap<RequestId, Waiter>,
    pending: FuturesUnordered<BoxFuture<'static, Completed>>,
    /// When each record that has not been read back was sent.
    sent: VecDeque<(u64, Instant, Span)>,
    gauges: Gauges,
}

impl Driver {
    async fn run(mut self, shutdown: CancellationToken) {
        let mut reader: Option<Box<dyn LogReader>> = None;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut draining: Option<tokio::time::Instant> = None;
        let mut alone = false;
        self.obey();
        loop {
            if !self.warm {
                reader = None;
            } else if !std::mem::replace(&mut self.started, true) {
                self.start_from_snapshot().await;
                self.catching_up = Some((Instant::now(), self.core.follower().next_offset()));
            }
            if let Some(until) = draining
                && (self.core.waiting() == 0 || tokio::time::Instant::now() >= until)
            {
                return self.finish().await;
            }
            let from = self.core.follower().next_offset();
            let next = next_records(&self.log, self.partition, &mut reader, from);
            tokio::select! {
                biased;
                told = self.told.changed(), if !alone => match told {
                    Ok(()) => self.obey(),
                    Err(_) => alone = true,
                },
                records = next, if self.warm => match records {
                    Ok(records) => {
                        self.core.records(clock_ms(), &records);
                        self.measure_read_back();
                        self.save_snapshot();
                    }
                    Err(error) => {
                        tracing::warn!(partition = %self.partition, %error, "the writer cannot read the log");
                        reader = None;
                        // Commands go on queueing; their deadlines are kept by the ticks below.
                        self.rest(&mut tick).await;
                    }
                },
                Some(completed) = self.pending.next() => self.completed(completed),
                message = self.inbox.recv(), if draining.is_none() => match message {
                    Some(message) => self.take(message),
                    None => draining = Some(tokio::time::Instant::now() + DRAIN),
                },
                _ = tick.tick(), if !self.core.is_idle() => self.core.tick(clock_ms()),
                () = Schedule::tick(&mut self.checkpoints) => self.keep_checkpoint(),
                () = shutdown.cancelled(), if draining.is_none() => {
                    self.inbox.close();
                    while let Ok(message) = self.inbox.try_recv() {
                        self.take_one(message);
                    }
                    draining = Some(tokio::time::Instant::now() + DRAIN);
                }
            }
            self.act();
        }
    }

    /// Takes over what it has been told.
    fn obey(&mut self) {
        let duty = *self.told.borrow_and_update();
        let now = clock_ms();
        if self.warm && !duty.warm && self.core.waiting() == 0 && self.core.in_flight() == 0 {
            // The state is given up; whoever needs it again reads the log.
            self.core =
                Core::new(self.partition, self.identity, self.options.clone(), Box::new(Uuid::new_v4));
            self.pending.clear();
            self.sent.clear();
            (self.warm, self.started) = (false, false);
        }
        self.warm |= duty.warm;
        self.core.set_permit(now, duty.permit);
        self.core.set_yielding(now, duty.yielding);
    }

    /// Instead of the log's start, if there is a snapshot. Nothing has been asked of the core until now.
    async fn start_from_snapshot(&mut self) {
        let Some(snapshots) = &self.snapshots else { return };
        let Some(snapshot) = snapshots.load(&self.log, self.partition, self.identity).await else { return };
        let next_offset = snapshot.cursor.next_offset;
        match Core::from_snapshot(snapshot, self.options.clone(), Box::new(Uuid::new_v4)) {
            Ok(core) => {
                self.core = core;
                self.pending.clear();
                self.saved_at = next_offset;
                self.obey();
            }
            Err(error) => {
                tracing::warn!(partition = %self.partition, %error, "a snapshot's schemas do not parse: the partition is replayed");
            }
        }
    }

    /// Only the owner's: others that keep the state need not.
    fn save_snapshot(&mut self) {
        let Some(snapshots) = &self.snapshots else { return };
        let next_offset = self.core.follower().next_offset();
        let is_saving = self.saving.as_ref().is_some_and(|saving| !saving.is_finished());
        if is_saving || !self.core.is_owner() || !snapshots.is_due(self.saved_at, next_offset) {
            return;
        }
        self.saved_at = next_offset;
        let (snapshots, snapshot) = (snapshots.clone(), self.core.snapshot());
        self.saving = Some(tokio::spawn(async move { snapshots.save(snapshot).await }));
    }

    /// Only the owner's, as a snapshot.
    fn keep_checkpoint(&mut self) {
        if let Some(checkpoints) = self.checkpoints.as_mut().filter(|_| self.core.is_owner()) {
            let follower = self.core.follower();
            checkpoints.keep_if_due(follower.chain(), follower.next_offset());
        }
    }

    /// Says where the log stood when this owner stopped.
    async fn finish(mut self) {
        if let Some(checkpoints) = self.checkpoints.take() {
            let follower = self.core.follower();
            checkpoints.finish(self.core.is_owner(), follower.chain(), follower.next_offset()).await;
        }
    }

    /// Goes on keeping deadlines while the log rests.
    async fn rest(&mut self, tick: &mut tokio::time::Interval) {
        let until = tokio::time::Instant::now() + READ_RETRY;
        while tokio::time::Instant::now() < until {
            tick.tick().await;
            self.core.tick(clock_ms());
            self.act();
        }
    }

    /// One message and those that wait behind it.
    fn take(&mut self, message: Message) {
        self.take_one(message);
        for _ in 1..BURST {
            match self.inbox.try_recv() {
                Ok(message) => self.take_one(message),
                Err(_) => return,
            }
        }
    }

    fn take_one(&mut self, message: Message) {
        match message {
            Message::Run(request, respond) => {
                self.next_request += 1;
                let waiter = Waiter { respond, command: request.command.name(), since: Instant::now() };
                self.responders.insert(self.next_request, waiter);
                self.core.request(clock_ms(), self.next_request, request);
            }
            Message::Imported { room, source, answer } => {
                let _ = answer.send(self.core.imported(room, &source));
            }
        }
    }

    fn completed(&mut self, completed: Completed) {
        let now = clock_ms();
        match completed {
            Completed::Appended { token } => self.core.appended(now, token),
            Completed::AppendFailed { token, error } => {
                tracing::warn!(partition = %self.partition, error, "an append was not confirmed");
                metrics::counter!("roomlog_writer_append_failures_total").increment(1);
                self.core.append_failed(now, token);
            }
            Completed::End { query, end } => self.core.end(now, query, end),
        }
    }

    fn act(&mut self) {
        for effect in self.core.effects() {
            match effect {
                Effect::Append { token, record } => {
                    let (span, read_back) = append_spans(self.partition, &record);
                    self.sent.push_back((token, Instant::now(), read_back));
                    let appended = self.log.append(self.partition, record);
                    self.pending.push(
                        async move {
                            match appended.await {
                                Ok(_) => Completed::Appended { token },
                                Err(error) => Completed::AppendFailed { token, error: error.to_string() },
                            }
                        }
                        .instrument(span)
                        .boxed(),
                    );
                }
                Effect::QueryEnd { query } => {
                    let (log, partition) = (self.log.clone(), self.partition);
                    self.pending.push(
                        async move { Completed::End { query, end: log.end(partition).await.ok() } }.boxed(),
                    );
                }
                Effect::Respond { request, outcome } => self.respond(request, outcome),
                Effect::Alarm(reason) => {
                    metrics::counter!("roomlog_writer_alarms_total").increment(1);
                    tracing::error!(partition = %self.partition, reason, "the writer has stopped");
                }
            }
        }
        self.notice_end();
        self.gauges.requests.set((self.responders.len() + self.inbox.len()) as f64);
        self.gauges.records.set(self.core.in_flight() as f64);
        let status = Status {
            owns: self.core.is_owner(),
            holds_claim: self.core.holds_claim() && !self.core.is_stopped(),
            epoch: self.core.follower().chain().epoch(),
            caught_up: self.warm && self.core.is_caught_up(),
            stopped: self.core.is_stopped(),
            in_flight: self.core.in_flight() > 0,
            unanswered: self.core.unanswered_for() >= UNANSWERED_MS,
        };
        self.status.send_if_modified(|current| std::mem::replace(current, status) != status);
        let standing = match (self.core.is_stopped(), self.core.is_owner()) {
            (true, _) => Standing::Stopped,
            (false, true) => Standing::Owning,
            (false, false) => Standing::Following,
        };
        let before = self.standing.swap(standing as u8, Ordering::Relaxed);
        if before == Standing::Owning as u8
            && standing == Standing::Following
            && let Some(checkpoints) = &mut self.checkpoints
        {
            let follower = self.core.follower();
            checkpoints.keep_now(follower.chain(), follower.next_offset());
        }
        if before != standing as u8 {
            tracing::info!(partition = %self.partition, ?standing, epoch = self.core.follower().chain().epoch(), "the writer's standing changed");
            metrics::counter!("roomlog_writer_ownership_changes_total").increment(1);
        }
    }

    /// Says how long the way to the log's end took: it bounds how fast this process can take the partition on.
    fn notice_end(&mut self) {
        if !self.core.is_caught_up() {
            return;
        }
        let Some((since, from)) = self.catching_up.take() else { return };
        let (seconds, records) = (since.elapsed().as_secs_f64(), self.core.follower().next_offset() - from);
        metrics::histogram!("roomlog_writer_replay_seconds").record(seconds);
        tracing::info!(partition = %self.partition, records, seconds, "the log has been read to its end");
    }

    fn respond(&mut self, request: RequestId, outcome: Outcome) {
        let Some(waiter) = self.responders.remove(&request) else { return };
        metrics::counter!("roomlog_commands_total", "command" => waiter.command, "outcome" => outcome.name())
            .increment(1);
        metrics::histogram!("roomlog_command_seconds", "outcome" => outcome.name())
            .record(waiter.since.elapsed().as_secs_f64());
        // Whoever asked may have gone.
        let _ = waiter.respond.send(outcome);
    }

    fn measure_read_back(&mut self) {
        let read_back = self.core.read_back();
        while let Some(&(token, since, _)) = self.sent.front()
            && token <= read_back
        {
            self.sent.pop_front();
            metrics::histogram!("roomlog_writer_read_back_seconds").record(since.elapsed().as_secs_f64());
        }
    }
}

/// The next records, from a reader that is opened where there is none.
async fn next_records(
    log: &Arc<dyn EventLog>,
    partition: TopicPartition,
    reader: &mut Option<Box<dyn LogReader>>,
    from: u64,
) -> Result<Vec<LogRecord>, LogError> {
    match reader {
        Some(reader) => reader.next().await,
        None => {
            *reader = Some(log.read(partition, from).await?);
            Ok(Vec::new())
        }
    }
}
