//! One projection in one partition, from the log to the store, with a wait where either is away.

use std::sync::Arc;
use std::time::Instant;

use roomlog_eventlog::{Cursor, EventLog, LogIdentity, TopicPartition};
use roomlog_stores::StoreError;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::batch::{Batch, Batches};
use crate::projector::Projector;
use crate::status::Cell;
use crate::{Error, Options, ProjectError, trace};

/// The steps between log and store. Each is repeated while its error may pass by waiting, at most
/// `max_failures` times in a row if that is given.
pub(crate) struct Pipeline {
    pub log: Arc<dyn EventLog>,
    pub projector: Arc<dyn Projector>,
    pub partition: TopicPartition,
    pub options: Options,
    pub max_failures: Option<u32>,
    /// Ends the waiting: the step fails with what it was waiting for. A write is never cut short,
    /// for it might be stored after somebody else has begun where it began.
    pub stop: CancellationToken,
    /// Told about retries, where somebody looks.
    pub status: Option<Arc<Cell>>,
}

impl Pipeline {
    /// Where the projection stands in its store, or the start of the log.
    pub async fn cursor(&self, identity: LogIdentity) -> Result<Cursor, Error> {
        Ok(self.stored_cursor().await?.unwrap_or_else(|| Cursor::start(identity, self.partition)))
    }

    pub async fn open(&self, cursor: &Cursor) -> Result<Batches, Error> {
        self.again(|| async { Ok(Batches::open(&self.log, cursor, self.options.bounds()).await?) }).await
    }

    pub async fn next(&self, batches: &mut Batches) -> Result<Batch, Error> {
        let mut retry = self.retry();
        loop {
            match batches.next().await {
                Ok(batch) => {
                    retry.succeeded();
                    return Ok(batch);
                }
                Err(error) => retry.pause(error.into()).await?,
            }
        }
    }

    /// Stores one batch, exactly once however often that is tried.
    pub async fn apply(&self, batch: &Batch) -> Result<(), Error> {
        // Each ends when the batch is stored.
        let _spans = trace::spans(self.projector.projection(), self.partition, batch);
        let mut retry = self.retry();
        loop {
            let started = Instant::now();
            let error = match self.projector.apply(batch).await {
                Ok(()) => {
                    let labels = [("projection", self.projector.projection().name())];
                    metrics::histogram!("roomlog_projection_batch_seconds", &labels)
                        .record(started.elapsed());
                    metrics::counter!("roomlog_projection_records_total", &labels)
                        .increment(batch.records.len() as u64);
                    retry.succeeded();
                    return Ok(());
                }
                Err(error) => error,
            };
            // An attempt that seemed to fail may have been stored all the same.
            if retry.has_failed()
                && is_cursor_moved(&error)
                && self.stored_cursor().await?.as_ref() == Some(&batch.cursor)
            {
                retry.succeeded();
                return Ok(());
            }
            let (from, next) = (batch.before.next_offset, batch.cursor.next_offset);
            retry.pause(Error::Project { from, next, source: error }).await?;
        }
    }

    pub async fn stored_cursor(&self) -> Result<Option<Cursor>, Error> {
        self.again(|| async { Ok(self.projector.cursor(self.partition).await?) }).await
    }

    /// The same until it succeeds, or fails in a way that waiting does not mend.
    pub async fn again<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut retry = self.retry();
        loop {
            match attempt().await {
                Ok(done) => {
                    retry.succeeded();
                    return Ok(done);
                }
                Err(error) => retry.pause(error).await?,
            }
        }
    }

    pub fn retry(&self) -> Retry<'_> {
        let backoff = Backoff::new(self.options.shortest_pause, self.options.longest_pause);
        Retry { pipeline: self, backoff }
    }
}

fn is_cursor_moved(error: &ProjectError) -> bool {
    matches!(error, ProjectError::Store(StoreError::CursorMoved { .. }))
}

/// The attempts at one step.
pub(crate) struct Retry<'a> {
    pipeline: &'a Pipeline,
    backoff: Backoff,
}

impl Retry<'_> {
    fn has_failed(&self) -> bool {
        self.backoff.failures() > 0
    }

    /// Waits before the next attempt; gives the error back if there shall be none.
    pub async fn pause(&mut self, error: Error) -> Result<(), Error> {
        let Pipeline { projector, partition, max_failures, stop, status, .. } = self.pipeline;
        let failures = self.backoff.failures();
        if !error.is_transient() || max_failures.is_some_and(|most| failures >= most) {
            return Err(error);
        }
        let projection = projector.projection().name();
        metrics::counter!("roomlog_projection_retries_total", "projection" => projection).increment(1);
        if failures == 0 {
            tracing::warn!(
                projection,
                %partition,
                error = &error as &dyn std::error::Error,
                "a projection waits for the log or its store"
            );
        }
        if let Some(status) = status {
            status.retrying(&error);
        }
        let pause = stop.run_until_cancelled(tokio::time::sleep(self.backoff.next())).await;
        pause.ok_or(error)
    }

    /// Tells that the waiting is over, if there was any.
    pub fn succeeded(&self) {
        if self.has_failed() {
            let Pipeline { projector, partition, status, .. } = self.pipeline;
            let (projection, failures) = (projector.projection().name(), self.backoff.failures());
            tracing::info!(projection, %partition, failures, "a projection goes on");
            if let Some(status) = status {
                status.resumed();
            }
        }
    }
}
