//! Having what is in quarantine retried, whoever does it.

use std::sync::Arc;
use std::time::Duration;

use roomlog_eventlog::EventLog;
use roomlog_stores::progress::Projection;
use roomlog_stores::quarantine::{Quarantine, Quarantined, Scope, Subject};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::pipeline::Pipeline;
use crate::projector::projector;
use crate::quarantine::Keeper;
use crate::{Error, Options, Stores};

/// Without a record less for this long, whoever took up the retry has died.
const NO_PROGRESS: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(100);

/// Of one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retried {
    /// The projection holds it all; so many records had been kept.
    Over { records: u64 },
    /// A record still cannot be used: it and what follows it stays in quarantine.
    Failed { left: Quarantined },
    /// Nothing has become of it, or its records have still to be read again after a kill. It stays
    /// asked for.
    Unanswered,
}

/// Has one subject retried, or all of the projection. The projector in charge does it, while it keeps
/// what comes meanwhile; where none is living this process does it.
pub async fn retry(
    projection: Projection,
    subject: Option<Subject>,
    log: &Arc<dyn EventLog>,
    stores: &Stores,
    quarantine: &Quarantine,
    options: &Options,
) -> Result<Vec<(Subject, Retried)>, Error> {
    let before = rows(quarantine, projection, subject).await?;
    quarantine.store().request_retry(projection, subject).await?;
    let mut outcomes = Vec::new();
    for row in before {
        let taken_up =
            wait(quarantine, projection, &row, options.take_up, |now| !now.retry_requested).await?;
        let mut patience = NO_PROGRESS;
        if matches!(&taken_up, Waited::InVain)
            && !here(projection, &row, log, stores, quarantine, options).await?
        {
            patience = Duration::ZERO;
        }
        let failed = |now: &Quarantined| now.failed_retries > row.failed_retries;
        let outcome = match wait(quarantine, projection, &row, patience, failed).await? {
            Waited::Gone => Retried::Over { records: row.records },
            Waited::Holds(left) => Retried::Failed { left },
            Waited::InVain => Retried::Unanswered,
        };
        outcomes.push((row.subject, outcome));
    }
    Ok(outcomes)
}

async fn rows(
    quarantine: &Quarantine,
    projection: Projection,
    subject: Option<Subject>,
) -> Result<Vec<Quarantined>, Error> {
    let mut rows = quarantine.store().list().await?;
    rows.retain(|row| {
        row.projection == projection.name() && subject.is_none_or(|subject| subject == row.subject)
    });
    Ok(rows)
}

enum Waited {
    Gone,
    Holds(Quarantined),
    InVain,
}

/// Until the subject is in quarantine no more or the condition holds; in vain if the number of its
/// records stays the same for so long.
async fn wait(
    quarantine: &Quarantine,
    projection: Projection,
    row: &Quarantined,
    patience: Duration,
    holds: impl Fn(&Quarantined) -> bool,
) -> Result<Waited, Error> {
    let mut records = row.records;
    let mut deadline = Instant::now() + patience;
    loop {
        let Some(now) = rows(quarantine, projection, Some(row.subject)).await?.pop() else {
            return Ok(Waited::Gone);
        };
        if holds(&now) {
            return Ok(Waited::Holds(now));
        }
        if now.records < records {
            deadline = Instant::now() + patience;
        }
        records = now.records;
        if Instant::now() >= deadline {
            return Ok(Waited::InVain);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// False if the projection has still to come to what is kept.
async fn here(
    projection: Projection,
    row: &Quarantined,
    log: &Arc<dyn EventLog>,
    stores: &Stores,
    quarantine: &Quarantine,
    options: &Options,
) -> Result<bool, Error> {
    let pipeline = Pipeline {
        log: log.clone(),
        projector: projector(projection, stores),
        partition: row.partition,
        options: options.clone(),
        max_failures: Some(crate::rebuild::MAX_FAILURES),
        stop: CancellationToken::new(),
        status: None,
    };
    loop {
        let Some(cursor) = pipeline.stored_cursor().await? else { return Ok(false) };
        let mut keeper =
            Keeper::load(&pipeline, Some(quarantine.clone()), Scope::current(projection)).await?;
        match keeper.retry(&pipeline, &cursor, row.subject).await {
            // A projector came to life: it takes the mark, or this process does next time.
            Err(error) if error.is_cursor_moved() => tokio::time::sleep(LOOK).await,
            outcome => return outcome,
        }
    }
}
