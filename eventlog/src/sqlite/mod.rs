//! The log in one SQLite file: the embedded profile.
//!
//! One thread writes, with the only connection that may (`writer`); readers that are behind use
//! read-only connections (`cold`), all others the rings in memory (`crate::tail`).

mod cold;
mod queue;
mod read_only;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::oneshot;

use self::cold::Readers;
use self::queue::{Queue, Waiting};
pub use self::read_only::ReadOnlySqliteLog;
use self::writer::Writer;
use crate::limit::check_record;
use crate::partition::{PartitionCounts, TopicPartition};
use crate::per_partition::PerPartition;
use crate::port::{Appended, EventLog, LogError, LogReader, NewRecord, confirmed};
use crate::tail::{Tail, TailReader};

/// A log in a SQLite file, written ahead and synced at every commit (`synchronous=FULL`).
///
/// * An append that resolves with `Ok` is on the disk: it survives a crash and a power cut.
/// * An append that resolves with `Unavailable` was **not** written and never will be: the disk
///   was full, the file could not be written, or too many appends were waiting. Later appends work
///   once there is space again. Only a commit that failed half-way is an `UnknownOutcome`.
/// * Offsets of a partition are contiguous from 0. Append times are the wall clock's: where that is set back, so are they.
/// * Dropping the log writes what is still waiting, and blocks until that is done. Readers that
///   outlive it give what is in memory and then `Fatal`.
#[derive(Debug)]
pub struct SqliteLog {
    tails: Arc<PerPartition<Arc<Tail>>>,
    queue: Arc<Queue>,
    readers: Arc<Readers>,
    most_pages: Arc<AtomicU32>,
    writer: Option<JoinHandle<()>>,
    /// Released when the log is dropped, after the writer has ended.
    _lock: File,
}

impl SqliteLog {
    /// Opens the log at `path`, or makes a new one with these counts; a log that exists keeps its
    /// own, see [`EventLog::partitions`]. Blocks for some milliseconds.
    ///
    /// `Fatal` if another process or log has this file open, if it was written by a newer build,
    /// or if it is something else; `Unavailable` if the file cannot be read or written.
    pub fn open(path: &Path, counts: PartitionCounts) -> Result<Self, LogError> {
        let lock = lock(path)?;
        let connection = schema::open_writer(path, counts)?;
        let ends = schema::ends(&connection)?;
        let tails = Arc::new(PerPartition::new(ends.counts(), |partition| {
            let next = ends.get(partition).copied().unwrap_or_default();
            Tail::starting_at(next)
        }));
        let queue = Arc::new(Queue::default());
        let most_pages = Arc::new(AtomicU32::new(0));
        let writer =
            Writer::new(path.to_owned(), connection, ends, tails.clone(), queue.clone(), most_pages.clone());
        let writer = std::thread::Builder::new()
            .name("roomlog-log".into())
            .spawn(move || writer.run())
            .map_err(|error| LogError::Unavailable(format!("cannot start the log's thread: {error}")))?;
        let readers = Arc::new(Readers::new(path.to_owned()));
        Ok(Self { tails, queue, readers, most_pages, writer: Some(writer), _lock: lock })
    }

    /// For tests: stands for a disk with room for this many pages only; 0 is no bound.
    #[doc(hidden)]
    pub fn limit_pages(&self, pages: u32) {
        self.most_pages.store(pages, Ordering::Relaxed);
    }
}

impl Drop for SqliteLog {
    fn drop(&mut self) {
        // So that the writer's connection is the last, which then leaves no write-ahead log behind.
        self.readers.close_idle();
        self.queue.close();
        if self.writer.take().is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the log's writer had panicked");
        }
        for tail in self.tails.values() {
            tail.close(LogError::Fatal("the log is closed".into()));
        }
    }
}

#[async_trait]
impl EventLog for SqliteLog {
    fn partitions(&self) -> PartitionCounts {
        self.tails.counts()
    }

    fn append(
        &self,
        partition: TopicPartition,
        record: NewRecord,
    ) -> BoxFuture<'static, Result<Appended, LogError>> {
        let called = Instant::now();
        let (reply, outcome) = oneshot::channel();
        let queued = self
            .tails
            .get(partition)
            .and_then(|_| check_record(&record))
            .and_then(|()| self.queue.push(Waiting { partition, record, reply }));
        async move {
            queued?;
            let stopped = |_| LogError::UnknownOutcome("the log's writer stopped".into());
            confirmed(called, async { outcome.await.map_err(stopped)? }).await
        }
        .boxed()
    }

    /// From memory, which the writer changes between a commit and its confirmations.
    async fn end(&self, partition: TopicPartition) -> Result<u64, LogError> {
        Ok(self.tails.get(partition)?.next())
    }

    async fn read(&self, partition: TopicPartition, from: u64) -> Result<Box<dyn LogReader>, LogError> {
        let tail = self.tails.get(partition)?;
        let end = tail.next();
        if from > end {
            return Err(LogError::beyond_the_end(partition, from, end));
        }
        Ok(Box::new(TailReader::new(tail.clone(), self.readers.clone(), partition, from)))
    }
}

/// Two processes that write one log would each hold an owner that believes itself alone. The lock
/// is the operating system's: it ends with the process, however that ends.
fn lock(path: &Path) -> Result<File, LogError> {
    let lock_path = with_suffix(path, ".lock");
    let unusable = |error: std::io::Error| {
        LogError::Unavailable(format!("cannot lock {}: {error}", lock_path.display()))
    };
    let file = File::options().create(true).append(true).open(&lock_path).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LogError::Fatal(format!(
            "{} is open in another process (its lock is {})",
            path.display(),
            lock_path.display(),
        ))),
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
