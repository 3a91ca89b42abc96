//! The one thread that writes.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::queue::{Queue, Waiting};
use super::schema::{self, table, unavailable};
use crate::per_partition::PerPartition;
use crate::port::{Appended, LogError, LogRecord};
use crate::tail::Tail;

/// Pages by which the write-ahead log grows between two checkpoints (4 MiB), when there is nothing
/// to commit …
const CHECKPOINT_WHEN_IDLE: i64 = 1_024;
/// … and when there always is (64 MiB): a checkpoint takes some milliseconds, so it waits for a
/// pause while it can.
const CHECKPOINT_AT_LATEST: i64 = 16_384;

thread_local! {
    /// Pages in the write-ahead log after the last commit. Per thread because SQLite's hook is a
    /// bare function; there is one writer on a thread.
    static WAL_PAGES: Cell<i64> = const { Cell::new(0) };
}

pub(super) struct Writer {
    path: PathBuf,
    /// `None` after a transaction that could not even be rolled back, until the file opens again.
    connection: Option<Connection>,
    ends: PerPartition<u64>,
    inserts: PerPartition<String>,
    tails: Arc<PerPartition<Arc<Tail>>>,
    queue: Arc<Queue>,
    most_pages: Arc<AtomicU32>,
    pages_limited_to: u32,
    /// Pages in the write-ahead log at the last checkpoint.
    checkpointed_at: i64,
}

impl Writer {
    pub fn new(
        path: PathBuf,
        connection: Connection,
        ends: PerPartition<u64>,
        tails: Arc<PerPartition<Arc<Tail>>>,
        queue: Arc<Queue>,
        most_pages: Arc<AtomicU32>,
    ) -> Self {
        let inserts = PerPartition::new(ends.counts(), |partition| {
            let table = table(partition);
            format!(
                "INSERT INTO {table} (offset, append_time_ms, key, headers, value) VALUES (?, ?, ?, ?, ?)"
            )
        });
        Self {
            path,
            connection: Some(watched(connection)),
            ends,
            inserts,
            tails,
            queue,
            most_pages,
            pages_limited_to: 0,
            checkpointed_at: 0,
        }
    }

    /// Commits what is queued until the queue is closed and empty.
    pub fn run(mut self) {
        // Whatever ends this thread, a panic included: later appends are refused, not left waiting.
        let _close = CloseAtEnd(self.queue.clone());
        while let Some(batch) = self.queue.take() {
            self.commit(batch);
            self.checkpoint();
        }
    }

    /// One group, one transaction, one sync. The rings learn of it before those who wait, so that
    /// `end` covers every confirmed append.
    fn commit(&mut self, batch: Vec<Waiting>) {
        let begun = Instant::now();
        match self.write(&batch) {
            Ok(records) => {
                metrics::histogram!("roomlog_log_commit_seconds").record(begun.elapsed().as_secs_f64());
                metrics::histogram!("roomlog_log_commit_records").record(batch.len() as f64);
                self.publish(&batch, &records);
                for (append, record) in batch.into_iter().zip(records) {
                    let appended = Appended { offset: record.offset, append_time_ms: record.append_time_ms };
                    // Whoever appended may have stopped waiting.
                    let _ = append.reply.send(Ok(appended));
                }
            }
            Err(error) => {
                tracing::error!(%error, appends = batch.len(), "the log could not be written");
                metrics::counter!("roomlog_log_failed_commits_total").increment(1);
                for append in batch {
                    let _ = append.reply.send(Err(error.clone()));
                }
            }
        }
    }

    fn publish(&self, batch: &[Waiting], records: &[LogRecord]) {
        let mut by_partition = PerPartition::new(self.ends.counts(), |_| Vec::new());
        for (append, record) in batch.iter().zip(records) {
            if let Ok(records) = by_partition.get_mut(append.partition) {
                records.push(record.clone());
            }
        }
        for (tail, records) in self.tails.values().zip(by_partition.into_values()) {
            if !records.is_empty() {
                tail.push(records);
            }
        }
    }

    /// The committed records in the order of the batch. After an error that is not `UnknownOutcome`
    /// nothing of the batch was written.
    fn write(&mut self, batch: &[Waiting]) -> Result<Vec<LogRecord>, LogError> {
        self.apply_page_limit()?;
        let mut ends = self.ends.clone();
        let now_ms = now_ms();
        let connection = connection(&mut self.connection, &self.path)?;
        let result = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(unavailable)
            .and_then(|transaction| {
                let records = batch
                    .iter()
                    .map(|append| insert(&transaction, &self.inserts, &mut ends, now_ms, append))
                    .collect::<Result<Vec<_>, _>>()?;
                transaction.commit().map_err(commit_failed)?;
                Ok(records)
            });
        match result {
            Ok(records) => {
                self.ends = ends;
                Ok(records)
            }
            Err(error) => {
                if !connection.is_autocommit() {
                    // The rollback failed as well: only a new connection is free of the transaction.
                    self.connection = None;
                    self.pages_limited_to = 0;
                }
                Err(error)
            }
        }
    }

    fn apply_page_limit(&mut self) -> Result<(), LogError> {
        let most_pages = self.most_pages.load(Ordering::Relaxed);
        if most_pages != self.pages_limited_to {
            let pages = if most_pages == 0 { i64::from(u32::MAX - 1) } else { i64::from(most_pages) };
            connection(&mut self.connection, &self.path)?
                .pragma_update(None, "max_page_count", pages)
                .map_err(unavailable)?;
            self.pages_limited_to = most_pages;
        }
        Ok(())
    }

    /// After the appends were confirmed, so that only the next ones may wait for it. Never blocks
    /// on readers: what they still need is copied into the file another time.
    fn checkpoint(&mut self) {
        let pages = WAL_PAGES.get();
        if pages < self.checkpointed_at {
            // The log began again at its first page.
            self.checkpointed_at = 0;
        }
        let due = if self.queue.is_empty() { CHECKPOINT_WHEN_IDLE } else { CHECKPOINT_AT_LATEST };
        let Some(connection) = &self.connection else { return };
        if pages - self.checkpointed_at < due {
            return;
        }
        self.checkpointed_at = pages;
        let begun = Instant::now();
        match connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
            Ok(()) => {
                metrics::histogram!("roomlog_log_checkpoint_seconds").record(begun.elapsed().as_secs_f64())
            }
            // The records are safe in the write-ahead log; the next checkpoint tries again.
            Err(error) => tracing::warn!(%error, "the log's checkpoint failed"),
        }
    }
}

struct CloseAtEnd(Arc<Queue>);

impl Drop for CloseAtEnd {
    fn drop(&mut self) {
        self.0.close();
        // Only a panic leaves some: dropping them resolves them as of unknown outcome.
        while self.0.take().is_some() {}
    }
}

fn connection<'a>(slot: &'a mut Option<Connection>, path: &Path) -> Result<&'a mut Connection, LogError> {
    let open = match slot.take() {
        Some(open) => open,
        None => watched(schema::connect_writer(path)?),
    };
    Ok(slot.insert(open))
}

/// A connection whose commits say how long the write-ahead log is.
fn watched(connection: Connection) -> Connection {
    connection.wal_hook(Some(|_, pages| {
        WAL_PAGES.set(i64::from(pages));
        Ok(())
    }));
    connection
}

fn insert(
    connection: &Connection,
    inserts: &PerPartition<String>,
    ends: &mut PerPartition<u64>,
    append_time_ms: i64,
    append: &Waiting,
) -> Result<LogRecord, LogError> {
    let next = ends.get_mut(append.partition)?;
    let offset = *next;
    *next += 1;
    let record = &append.record;
    connection
        .prepare_cached(inserts.get(append.partition)?)
        .and_then(|mut insert| {
            let headers = headers(&record.headers);
            insert.execute((offset, append_time_ms, record.key.as_ref(), headers, record.value.as_ref()))
        })
        .map_err(unavailable)?;
    Ok(record.appended(Appended { offset, append_time_ms }))
}

/// A JSON object, which SQLite's own functions can look into; `None` without headers.
fn headers(headers: &[(&'static str, String)]) -> Option<String> {
    if headers.is_empty() {
        return None;
    }
    let object = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into()));
    Some(serde_json::Value::Object(object.collect()).to_string())
}

/// A commit writes its pages in order, the one that makes them count last, and then syncs. Without
/// space that page was not written; after any other error it may have been, and a crash before the
/// next commit (which overwrites it) would find it.
fn commit_failed(error: rusqlite::Error) -> LogError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy) => LogError::Unavailable(error.to_string()),
        _ => LogError::UnknownOutcome(error.to_string()),
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
