//! Building a projection anew from the log.

use std::sync::Arc;

use roomlog_eventlog::{EventLog, LogIdentity, TopicPartition, discover_identity};
use roomlog_stores::progress::Projection;
use roomlog_stores::quarantine::{Quarantine, Scope};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::pipeline::Pipeline;
use crate::projector::{Projector, projector};
use crate::quarantine::Keeper;
use crate::{Error, Options, Stores};

/// With the longest pause of 5 s about a minute.
pub(crate) const MAX_FAILURES: u32 = 20;

/// How far a rebuild is in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RebuildProgress {
    pub partition: TopicPartition,
    pub next_offset: u64,
    /// The log's end, as last asked for.
    pub log_end: u64,
}

/// What a rebuild read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rebuilt {
    pub partitions: usize,
    /// Accepted records.
    pub records: u64,
}

/// Builds the projection beside the old one from offset 0 until it has caught up with the log, and
/// then swaps it in. Until that moment, and if anything fails or the future is dropped, readers see
/// the old one. The same log gives the same rows. What the new one cannot use goes to a quarantine of
/// its own, which replaces the old one's.
///
/// No projector should be at work on this projection meanwhile: one that is goes on from the cursor
/// that it finds after the swap, but if it stored more between the last look at the log and the swap,
/// readers see less for a moment.
pub async fn rebuild(
    projection: Projection,
    log: &Arc<dyn EventLog>,
    stores: &Stores,
    quarantine: Option<&Quarantine>,
    options: &Options,
    mut on_progress: impl FnMut(RebuildProgress),
) -> Result<Rebuilt, Error> {
    let identity = discover_identity(log).await?.ok_or(Error::NoLog)?;
    let old = projector(projection, stores);
    if let Some(quarantine) = quarantine {
        quarantine.store().begin_beside(projection).await?;
    }
    let new = old.beside().await?;
    let parallel = Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, Into::into)));
    let (sender, mut progress) = mpsc::channel(16);
    // Dropping the set ends its tasks.
    let mut tasks = JoinSet::new();
    let mut rebuilt = Rebuilt::default();
    for partition in log.partitions().all().filter(|partition| old.topics().contains(&partition.topic)) {
        rebuilt.partitions += 1;
        let pipeline = Pipeline {
            log: log.clone(),
            projector: new.clone(),
            partition,
            options: options.clone(),
            max_failures: Some(MAX_FAILURES),
            stop: CancellationToken::new(),
            status: None,
        };
        let fill =
            Fill { pipeline, quarantine: quarantine.cloned(), old: old.clone(), progress: sender.clone() };
        let parallel = parallel.clone();
        tasks.spawn(async move {
            let _permit = parallel.acquire_owned().await;
            fill.run(identity).await
        });
    }
    drop(sender);
    loop {
        tokio::select! {
            biased;
            Some(step) = progress.recv() => on_progress(step),
            Some(filled) = tasks.join_next() => rebuilt.records += filled.map_err(|_| Error::Panicked)??,
            else => break,
        }
    }
    // Whatever stops this in between: what is read may be either, and lacks no more than is said.
    if let Some(quarantine) = quarantine {
        quarantine.store().begin_promote(projection).await?;
    }
    old.promote().await?;
    if let Some(quarantine) = quarantine {
        quarantine.store().finish_promote(projection).await?;
        quarantine.refresh().await?;
    }
    Ok(rebuilt)
}

/// One partition of a rebuild.
struct Fill {
    pipeline: Pipeline,
    quarantine: Option<Quarantine>,
    old: Arc<dyn Projector>,
    progress: mpsc::Sender<RebuildProgress>,
}

impl Fill {
    /// Reads to the log's end, again until what came meanwhile is no more than a batch, and at
    /// least as far as the old one is; the number of records.
    async fn run(&self, identity: LogIdentity) -> Result<u64, Error> {
        let mut records = 0;
        let mut cursor = self.pipeline.cursor(identity).await?;
        let scope = Scope::beside(self.pipeline.projector.projection());
        let mut keeper = Keeper::load(&self.pipeline, self.quarantine.clone(), scope).await?;
        let mut batches = self.pipeline.open(&cursor).await?;
        loop {
            let log_end = self.goal().await?;
            let behind = log_end.saturating_sub(cursor.next_offset);
            self.report(cursor.next_offset, log_end).await;
            while cursor.next_offset < log_end {
                let batch = self.pipeline.next(&mut batches).await?;
                keeper.store(&self.pipeline, &batch).await?;
                records += batch.records.len() as u64;
                cursor = batch.cursor;
                self.report(cursor.next_offset, log_end).await;
            }
            if behind <= self.pipeline.options.batch_records as u64 {
                return Ok(records);
            }
        }
    }

    async fn goal(&self) -> Result<u64, Error> {
        let partition = self.pipeline.partition;
        let stored = self.old.cursor(partition).await?.map_or(0, |cursor| cursor.next_offset);
        Ok(self.pipeline.log.end(partition).await?.max(stored))
    }

    async fn report(&self, next_offset: u64, log_end: u64) {
        let partition = self.pipeline.partition;
        // Only fails when the rebuild has ended, and this task with it.
        let _ = self.progress.send(RebuildProgress { partition, next_offset, log_end }).await;
    }
}
