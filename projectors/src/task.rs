//! One projection in one partition, in the process that runs it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use roomlog_eventlog::chaos_mutation::{self, Mutation};
use roomlog_eventlog::{Accepted, Broadcast, Content, EventLog, LogIdentity};
use roomlog_schemas::Event;
use roomlog_stores::progress::Progress;
use roomlog_stores::quarantine::{Quarantine, Scope};
use roomlog_stores::signal::{Joining, publish_joinings};
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::batch::{Batch, Batches};
use crate::pipeline::Pipeline;
use crate::projector::Projector;
use crate::quarantine::Keeper;
use crate::status::Cell;
use crate::{Error, Options, lag};

/// Longest that a task leaves the work to another process before it looks again.
const LONGEST_WAY: Duration = Duration::from_secs(1);

pub(crate) struct Task {
    pub log: Arc<dyn EventLog>,
    pub projector: Arc<dyn Projector>,
    pub options: Options,
    pub stop: CancellationToken,
    pub cell: Arc<Cell>,
    pub progress: Arc<Progress>,
    pub quarantine: Option<Quarantine>,
    pub signals: Option<Arc<dyn Broadcast>>,
}

impl Task {
    /// Works while this process is in charge and stands by while it is not. `Ok` when it was told to
    /// stop.
    pub async fn run(&self, identity: LogIdentity) -> Result<(), Error> {
        let mut way = self.way();
        while self.stop.run_until_cancelled(self.stand_by()).await.is_some() {
            let started = Instant::now();
            match self.work(identity).await {
                Ok(()) => {}
                Err(error) if error.is_cursor_moved() => {
                    if started.elapsed() > 2 * LONGEST_WAY {
                        way = self.way();
                    }
                    self.give_way(&error, way.next()).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Returns when this process is in charge.
    async fn stand_by(&self) {
        let mut in_charge = self.cell.in_charge();
        while !*in_charge.borrow_and_update() {
            self.look().await;
            // Whatever it was: look again.
            let _ = tokio::time::timeout(self.options.standby_interval, in_charge.changed()).await;
        }
    }

    /// Where another process has brought the projection; what cannot be read now is read later.
    async fn look(&self) -> Option<u64> {
        let cursor = self.projector.cursor(self.cell.partition).await;
        let next_offset = cursor.ok().map(|cursor| cursor.map_or(0, |cursor| cursor.next_offset));
        self.cell.standing_by(next_offset);
        if let Some(next_offset) = next_offset {
            self.progress.report(self.cell.projection, self.cell.partition, next_offset);
        }
        next_offset
    }

    /// Another process moved the cursor. Of two at the same work one always gets on, so this one
    /// leaves it alone until the stored cursor is at rest: then there is nothing to do, or nobody
    /// else who does it.
    async fn give_way(&self, error: &Error, pause: Duration) {
        let projection = self.cell.projection.name();
        metrics::counter!("roomlog_projection_cursor_moved_total", "projection" => projection).increment(1);
        tracing::info!(
            projection,
            partition = %self.cell.partition,
            error = error as &dyn std::error::Error,
            "another process works on the projection; this one waits until it rests"
        );
        let at_rest = async {
            let mut seen = self.look().await;
            loop {
                tokio::time::sleep(pause).await;
                let now = self.look().await;
                if now == seen {
                    return;
                }
                seen = now;
            }
        };
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = self.cell.relieved() => {}
            () = at_rest => {}
        }
    }

    fn way(&self) -> Backoff {
        let Options { shortest_pause, longest_pause, .. } = self.options;
        Backoff::new(shortest_pause, longest_pause.min(LONGEST_WAY))
    }

    /// `Ok` when it was told to stop or another process is in charge. Ends the waiting then, but not
    /// a write.
    async fn work(&self, identity: LogIdentity) -> Result<(), Error> {
        let stop = self.stop.child_token();
        let pipeline = self.pipeline(stop.clone());
        let mut project = std::pin::pin!(self.project(&pipeline, identity));
        let outcome = tokio::select! {
            biased;
            outcome = &mut project => outcome,
            () = self.cell.relieved() => {
                stop.cancel();
                project.await
            }
        };
        match outcome {
            Err(error) if stop.is_cancelled() && error.is_transient() => Ok(()),
            outcome => outcome,
        }
    }

    async fn project(&self, pipeline: &Pipeline, identity: LogIdentity) -> Result<(), Error> {
        let stop = &pipeline.stop;
        let Some(opened) = stop.run_until_cancelled(self.open(pipeline, identity)).await else {
            return Ok(());
        };
        let (mut batches, mut keeper) = opened?;
        let mut held_back = Vec::new();
        let mut stored_at: Option<Instant> = None;
        let mut reads_first = false;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                batch = self.next(pipeline, &mut batches, stored_at) => {
                    let mut batch = batch?;
                    reads_first = false;
                    // Who is behind is not held back.
                    stored_at = (!batches.is_behind()).then(Instant::now);
                    if chaos_mutation::is_on(Mutation::Cursor) {
                        hold_back(&mut batch.records, &mut held_back);
                    }
                    keeper.store(pipeline, &batch).await?;
                    self.reached(batch.cursor.next_offset);
                    if let Some(signals) = &self.signals {
                        publish_joinings(&**signals, &joinings(&batch.records));
                    }
                    lag::record_delay(self.cell.projection, &batch);
                }
                wanted = keeper.retry_wanted(), if !reads_first => {
                    for subject in wanted {
                        // What is kept of it lies ahead. Asked again before that is read, the reading would be dropped
                        // and begun anew each time, and never end.
                        reads_first |= !keeper.retry(pipeline, batches.cursor(), subject).await?;
                    }
                }
            }
        }
    }

    /// The next batch, not sooner after the last one than it has to be.
    async fn next(
        &self,
        pipeline: &Pipeline,
        batches: &mut Batches,
        stored_at: Option<Instant>,
    ) -> Result<Batch, Error> {
        let since = stored_at.map_or(Duration::MAX, |at| at.elapsed());
        let Cell { projection, partition, .. } = *self.cell;
        let wanted = self.progress.wanted(projection, partition);
        let left = self.options.batch_interval.saturating_sub(since);
        // Even a timer of no time takes a moment.
        if !left.is_zero() {
            // Whether somebody waits or the time has come: read.
            let _ = tokio::time::timeout(left, wanted).await;
        }
        pipeline.next(batches).await
    }

    async fn open(&self, pipeline: &Pipeline, identity: LogIdentity) -> Result<(Batches, Keeper), Error> {
        let cursor = pipeline.cursor(identity).await?;
        let scope = Scope::current(self.cell.projection);
        let keeper = Keeper::load(pipeline, self.quarantine.clone(), scope).await?;
        let batches = pipeline.open(&cursor).await?;
        if self.cell.needs_goal() {
            let end = pipeline.again(|| async { Ok(self.log.end(self.cell.partition).await?) }).await?;
            self.cell.set_goal(end);
        }
        self.reached(cursor.next_offset);
        Ok((batches, keeper))
    }

    fn pipeline(&self, stop: CancellationToken) -> Pipeline {
        Pipeline {
            log: self.log.clone(),
            projector: self.projector.clone(),
            partition: self.cell.partition,
            options: self.options.clone(),
            max_failures: None,
            stop,
            status: Some(self.cell.clone()),
        }
    }

    fn reached(&self, next_offset: u64) {
        let Cell { projection, partition, .. } = *self.cell;
        self.progress.report(projection, partition, next_offset);
        self.cell.reached(next_offset);
    }
}

/// Leaves the last record for the next batch, whose cursor covers it already.
fn hold_back(records: &mut Vec<Accepted>, held_back: &mut Vec<Accepted>) {
    let last = records.pop();
    records.splice(..0, std::mem::replace(held_back, last.into_iter().collect()));
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
