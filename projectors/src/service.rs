//! The service that keeps the projections up to date.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use roomlog_eventlog::{Broadcast, EventLog, LogIdentity};
use roomlog_stores::progress::{Progress, Projection};
use roomlog_stores::quarantine::Quarantine;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::batch::Bounds;
use crate::identity::wait_for_identity;
use crate::projector::projector;
use crate::status::{Cell, Handle};
use crate::task::Task;
use crate::{Error, Stores, charge, lag};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// A batch takes no more reads once it has this many records. One read may exceed it.
    pub batch_records: usize,
    /// The same in bytes of records.
    pub batch_bytes: usize,
    /// From one batch to the next, unless a reader of this process waits: under a steady load many
    /// records share the cost of a write: its round trips, and the pages of indexes that each batch
    /// writes anew. The first after a rest is not held back, nor is what follows a batch that was as
    /// large as it may be.
    pub batch_interval: Duration,
    /// Before the second attempt, where log or store are away; doubles with each failure.
    pub shortest_pause: Duration,
    pub longest_pause: Duration,
    /// How often the log is asked for its end, for the metric of the lag.
    pub lag_interval: Duration,
    /// How often a process asks the store how far another one has brought a projection.
    pub standby_interval: Duration,
    /// How long a retry that was asked for waits for a projector in charge; after that the process
    /// that asked does it.
    pub take_up: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            batch_records: 1_000,
            batch_bytes: 4 * 1024 * 1024,
            batch_interval: Duration::from_millis(200),
            shortest_pause: Duration::from_millis(50),
            longest_pause: Duration::from_secs(5),
            lag_interval: Duration::from_secs(10),
            standby_interval: Duration::from_secs(2),
            take_up: Duration::from_secs(5),
        }
    }
}

impl Options {
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds { records: self.batch_records, bytes: self.batch_bytes }
    }
}

/// Keeps every projection in every partition up to date.
///
/// * Rows become readable together with the cursor that covers them; after that `Progress` hears of
///   it. A batch takes what the log has at that moment and waits for no more; the next one comes
///   `batch_interval` later, or when somebody waits for it.
/// * While the log or a store is away, the same is tried again, for as long as it takes.
/// * What a projection cannot use goes to [quarantine](Self::with_quarantine) with the rest of its
///   root room.
/// * What neither waiting nor that mends stops that projection in that partition: a record that
///   cannot be read, or a damaged store. The others go on.
/// * Of several processes at the same work one gets on, by the cursor's compare-and-set; the others
///   give way, and go on from where it has come when it rests.
pub struct Projectors {
    options: Options,
    log: Arc<dyn EventLog>,
    stores: Stores,
    progress: Arc<Progress>,
    signals: Option<Arc<dyn Broadcast>>,
    members: Option<roomlog_members::Handle>,
    quarantine: Option<Quarantine>,
    handle: Handle,
}

impl Projectors {
    /// Everything is worked on here, until they are [`shared`](Self::shared).
    pub fn new(options: Options, log: Arc<dyn EventLog>, stores: Stores, progress: Arc<Progress>) -> Self {
        let cells = Projection::ALL.into_iter().flat_map(|projection| {
            let projector = projector(projection, &stores);
            let (topics, version) = (projector.topics(), projector.version());
            let partitions = log.partitions().all().filter(|partition| topics.contains(&partition.topic));
            partitions.map(move |partition| Arc::new(Cell::new(projection, version, partition)))
        });
        let handle = Handle::new(cells.collect());
        Self { options, log, stores, progress, signals: None, members: None, quarantine: None, handle }
    }

    /// Keeps there what a projection cannot use. Without one it stops that projection in that
    /// partition.
    pub fn with_quarantine(mut self, quarantine: Quarantine) -> Self {
        self.quarantine = Some(quarantine);
        self
    }

    /// Shares the work with the other living processes of the role `projectors`: each projection is
    /// worked on by one of them in each partition, and by another about 3 s after that one was
    /// killed. The rest stand by. A projection that has two versions is worked on in both, each by
    /// processes of builds that have it.
    pub fn shared(mut self, members: roomlog_members::Handle) -> Self {
        members.update(|heartbeat| {
            for cell in self.handle.cells() {
                heartbeat.projections.insert(cell.projection.name().to_owned(), cell.version);
            }
        });
        for cell in self.handle.cells() {
            cell.share();
        }
        self.members = Some(members);
        self
    }

    /// Tells the processes with live streams of each joining once it is in the room store.
    #[must_use]
    pub fn with_signals(mut self, signals: Arc<dyn Broadcast>) -> Self {
        self.signals = Some(signals);
        self
    }

    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs until `shutdown`, or until everything has stopped; finishes the writes that it is in.
    /// On a log that nobody has claimed yet it waits. The answer is an error if anything stopped.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let Some(identity) = shutdown.run_until_cancelled(self.identity()).await else { return Ok(()) };
        let identity = identity?;
        let mut tasks = JoinSet::new();
        let mut watching = JoinSet::new();
        let mut cells = HashMap::new();
        for cell in self.handle.cells() {
            let task = self.task(cell, shutdown.clone());
            let task = tasks.spawn(async move { task.run(identity).await });
            cells.insert(task.id(), cell);
        }
        if let Some(quarantine) = self.quarantine.clone() {
            // Ends when the set is dropped.
            watching.spawn(quarantine.run());
        }
        let lag = lag::report(&self.log, self.handle.cells(), self.options.lag_interval);
        tokio::select! {
            () = watch(&mut tasks, &cells) => {}
            never = lag => match never {},
            never = self.share() => match never {},
        }
        self.handle.outcome()
    }

    async fn share(&self) -> Infallible {
        match &self.members {
            Some(members) => charge::watch(members, self.handle.cells()).await,
            None => std::future::pending().await,
        }
    }

    async fn identity(&self) -> Result<LogIdentity, Error> {
        let mut backoff = Backoff::new(self.options.shortest_pause, self.options.longest_pause);
        loop {
            match wait_for_identity(&self.log).await {
                Err(error) if error.is_transient() => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the projections wait for the log"
                    );
                    tokio::time::sleep(backoff.next()).await;
                }
                outcome => return outcome,
            }
        }
    }

    fn task(&self, cell: &Arc<Cell>, stop: CancellationToken) -> Task {
        Task {
            log: self.log.clone(),
            projector: projector(cell.projection, &self.stores),
            options: self.options.clone(),
            stop,
            cell: cell.clone(),
            progress: self.progress.clone(),
            signals: self.signals.clone().filter(|_| cell.projection == Projection::RoomEvents),
            quarantine: self.quarantine.clone(),
        }
    }
}

/// Notes each task that stops; returns when all have ended.
async fn watch(tasks: &mut JoinSet<Result<(), Error>>, cells: &HashMap<Id, &Arc<Cell>>) {
    while let Some(joined) = tasks.join_next_with_id().await {
        let (id, error) = match joined {
            Ok((_, Ok(()))) => continue,
            Ok((id, Err(error))) => (id, error),
            Err(panicked) => (panicked.id(), Error::Panicked),
        };
        if let Some(cell) = cells.get(&id) {
            cell.stopped(&error);
        }
    }
}
