//! The service that keeps the projections up to date.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use roomlog_eventlog::{Accepted, Broadcast, Content, EventLog, LogIdentity};
use roomlog_schemas::Event;
use roomlog_stores::progress::{Progress, Projection};
use roomlog_stores::signal::{Joining, publish_joinings};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::batch::{Batches, Bounds};
use crate::identity::wait_for_identity;
use crate::pipeline::Pipeline;
use crate::projector::{ALL, projector};
use crate::status::{Cell, Handle};
use crate::{Error, Stores, lag};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// A batch takes no more reads once it has this many records. One read may exceed it.
    pub batch_records: usize,
    /// The same in bytes of records.
    pub batch_bytes: usize,
    /// Before the second attempt, where log or store are away; doubles with each failure.
    pub shortest_pause: Duration,
    pub longest_pause: Duration,
    /// How often the log is asked for its end, for the metric of the lag.
    pub lag_interval: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            batch_records: 1_000,
            batch_bytes: 4 * 1024 * 1024,
            shortest_pause: Duration::from_millis(50),
            longest_pause: Duration::from_secs(5),
            lag_interval: Duration::from_secs(10),
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
///   it. A batch takes what the log has at that moment and waits for no more.
/// * While the log or a store is away, the same is tried again, for as long as it takes.
/// * What waiting does not mend stops that projection in that partition: a record that cannot be
///   read or used, a damaged store, or another projector that moves the same cursor. The others go
///   on. (Quarantine of single rooms comes later; until then nothing is skipped.)
pub struct Projectors {
    options: Options,
    log: Arc<dyn EventLog>,
    stores: Stores,
    progress: Arc<Progress>,
    signals: Option<Arc<dyn Broadcast>>,
    handle: Handle,
}

impl Projectors {
    pub fn new(options: Options, log: Arc<dyn EventLog>, stores: Stores, progress: Arc<Progress>) -> Self {
        let cells = ALL.iter().flat_map(|&projection| {
            let topics = projector(projection, &stores).topics();
            let partitions = log.partitions().all().filter(|partition| topics.contains(&partition.topic));
            partitions.map(move |partition| Arc::new(Cell::new(projection, partition)))
        });
        let handle = Handle::new(cells.collect());
        Self { options, log, stores, progress, signals: None, handle }
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
        let mut cells = HashMap::new();
        for cell in self.handle.cells() {
            let task = self.task(cell, shutdown.clone());
            let task = tasks.spawn(async move { task.run(identity).await });
            cells.insert(task.id(), cell);
        }
        let lag = lag::report(&self.log, self.handle.cells(), self.options.lag_interval);
        tokio::select! {
            () = watch(&mut tasks, &cells) => {}
            never = lag => match never {},
        }
        self.handle.outcome()
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
            pipeline: Pipeline {
                log: self.log.clone(),
                projector: projector(cell.projection, &self.stores),
                partition: cell.partition,
                options: self.options.clone(),
                max_failures: None,
                stop,
                status: Some(cell.clone()),
            },
            cell: cell.clone(),
            progress: self.progress.clone(),
            signals: self.signals.clone().filter(|_| cell.projection == Projection::RoomEvents),
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

/// One projection in one partition.
struct Task {
    pipeline: Pipeline,
    cell: Arc<Cell>,
    progress: Arc<Progress>,
    signals: Option<Arc<dyn Broadcast>>,
}

impl Task {
    /// `Ok` when it was told to stop.
    async fn run(&self, identity: LogIdentity) -> Result<(), Error> {
        match self.project(identity).await {
            Err(error) if self.pipeline.stop.is_cancelled() && error.is_transient() => Ok(()),
            outcome => outcome,
        }
    }

    async fn project(&self, identity: LogIdentity) -> Result<(), Error> {
        let stop = &self.pipeline.stop;
        let Some(batches) = stop.run_until_cancelled(self.open(identity)).await else { return Ok(()) };
        let mut batches = batches?;
        while let Some(batch) = stop.run_until_cancelled(self.pipeline.next(&mut batches)).await {
            let batch = batch?;
            self.pipeline.store(&batch).await?;
            self.reached(batch.cursor.next_offset);
            if let Some(signals) = &self.signals {
                publish_joinings(&**signals, &joinings(&batch.records));
            }
            lag::record_delay(self.cell.projection, &batch);
        }
        Ok(())
    }

    async fn open(&self, identity: LogIdentity) -> Result<Batches, Error> {
        let cursor = self.pipeline.cursor(identity).await?;
        let batches = self.pipeline.open(&cursor).await?;
        self.reached(cursor.next_offset);
        Ok(batches)
    }

    fn reached(&self, next_offset: u64) {
        let Cell { projection, partition, .. } = *self.cell;
        self.progress.report(projection, partition, next_offset);
        self.cell.reached(next_offset);
    }
}

fn joinings(records: &[Accepted]) -> Vec<Joining> {
    let mut joinings = Vec::new();
    for record in records {
        let Content::Command(command) = &record.content else { continue };
        for event in &command.events {
            if let Event::MemberJoined(e) = event {
                let (account_id, room_id, seq) = (e.account_id, e.room_id, e.seq);
                joinings.push(Joining { account_id, room_id, seq, offset: record.offset });
            }
        }
    }
    joinings
}
