//! The newest records of a partition in memory, shared by all its readers in this process: however
//! many follow the partition, each record is fetched from the backend once.
//!
//! ```text
//!                         start               next
//!                           │                  │
//!   offsets   0  1  2  ·  4 │ 5  6  ·  8  9 10 │
//!             └── cold ───┘  └─── the ring ───┘      · a gap: offsets need not be contiguous
//! ```
//!
//! The ring holds *every* record at or after `start` and before `next`. A reader before `start`
//! reads from the backend's cold path until it stands at or after `start`; it moves over by the
//! offset of a record that it has really read, never by a guess, so nothing is missed and nothing
//! comes twice.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::cold::{BATCH_BYTES, ColdSource, ReadAhead, size_of};
use crate::partition::TopicPartition;
use crate::port::{LogError, LogReader, LogRecord};

/// Most bytes that the ring of one partition keeps. Enough for a reader that stalls for a second at
/// 10,000 records/s of 400 bytes; 64 busy partitions then still take no more than 256 MiB.
pub(crate) const RING_BYTES: usize = 4 * 1024 * 1024;

/// How long to wait before the cold path is asked again after it gave nothing. A push to the ring
/// ends the wait at once; this only bounds it where the backend lags behind the ring.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// The backend's side: records go in here once they are durable.
#[derive(Debug)]
pub(crate) struct Tail {
    ring: Mutex<Ring>,
    /// Sends after every change of the ring.
    changes: watch::Sender<()>,
}

#[derive(Debug)]
struct Ring {
    records: VecDeque<LogRecord>,
    bytes: usize,
    most_bytes: usize,
    start: u64,
    next: u64,
    closed: Option<LogError>,
}

/// What the ring has for a reader.
enum Step {
    Records(Vec<LogRecord>),
    /// The reader has everything.
    AtEnd,
    /// The reader stands before the ring.
    Behind,
}

impl Tail {
    /// An empty ring at `next`: every record from there on will be pushed.
    pub fn starting_at(next: u64) -> Arc<Self> {
        Self::with_capacity(next, RING_BYTES)
    }

    pub fn with_capacity(next: u64, most_bytes: usize) -> Arc<Self> {
        let ring = Ring { records: VecDeque::new(), bytes: 0, most_bytes, start: next, next, closed: None };
        Arc::new(Self { ring: Mutex::new(ring), changes: watch::channel(()).0 })
    }

    /// The offset after the last record pushed.
    pub fn next(&self) -> u64 {
        self.lock().next
    }

    /// Adds durable records in the order of their offsets and wakes the readers. Records before
    /// `next` are dropped: a backend that fetches again after an error may give some of them twice.
    pub fn push(&self, records: impl IntoIterator<Item = LogRecord>) {
        {
            let mut ring = self.lock();
            for record in records {
                ring.push(record);
            }
            ring.evict();
        }
        self.changes.send_replace(());
    }

    /// Ends every reader: what is still in the ring is given out, then this error, again and again.
    pub fn close(&self, reason: LogError) {
        self.lock().closed.get_or_insert(reason);
        self.changes.send_replace(());
    }

    fn take(&self, from: u64) -> Result<Step, LogError> {
        let ring = self.lock();
        if from >= ring.start && from < ring.next {
            return Ok(Step::Records(ring.batch(from)));
        }
        match &ring.closed {
            Some(reason) => Err(reason.clone()),
            None if from < ring.start => Ok(Step::Behind),
            None => Ok(Step::AtEnd),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().expect("nothing panics while it holds the ring")
    }
}

impl Ring {
    fn push(&mut self, record: LogRecord) {
        if record.offset < self.next {
            return;
        }
        self.next = record.offset + 1;
        self.bytes += size_of(&record);
        self.records.push_back(record);
    }

    fn evict(&mut self) {
        while self.bytes > self.most_bytes {
            let Some(oldest) = self.records.pop_front() else { break };
            self.bytes -= size_of(&oldest);
            self.start = oldest.offset + 1;
        }
    }

    /// At least one record if there is one at or after `from`.
    fn batch(&self, from: u64) -> Vec<LogRecord> {
        let first = self.records.partition_point(|record| record.offset < from);
        let mut bytes = 0;
        let fits = self.records.range(first..).take_while(|record| {
            let before = bytes;
            bytes += size_of(record);
            before < BATCH_BYTES
        });
        fits.cloned().collect()
    }
}

/// One reader's position in a partition.
pub(crate) struct TailReader {
    tail: Arc<Tail>,
    changes: watch::Receiver<()>,
    cold: ReadAhead,
    next: u64,
}

impl TailReader {
    pub fn new(tail: Arc<Tail>, source: Arc<dyn ColdSource>, partition: TopicPartition, from: u64) -> Self {
        let changes = tail.changes.subscribe();
        let cold = ReadAhead::new(source, partition);
        Self { tail, changes, cold, next: from }
    }

    fn give(&mut self, records: Vec<LogRecord>) -> Vec<LogRecord> {
        debug_assert!(records.is_sorted_by(|a, b| a.offset < b.offset));
        debug_assert!(records.first().is_none_or(|first| first.offset >= self.next));
        if let Some(last) = records.last() {
            self.next = last.offset + 1;
        }
        records
    }
}

#[async_trait]
impl LogReader for TailReader {
    async fn next(&mut self) -> Result<Vec<LogRecord>, LogError> {
        loop {
            // Before the ring is looked at, so that a push in between is noticed below.
            self.changes.borrow_and_update();
            match self.tail.take(self.next)? {
                Step::Records(records) => {
                    self.cold.rest();
                    return Ok(self.give(records));
                }
                Step::AtEnd => {
                    self.cold.rest();
                    let changed = self.changes.changed().await;
                    debug_assert!(changed.is_ok(), "this reader keeps the sender alive");
                }
                Step::Behind => {
                    let records = self.cold.read(self.next).await?;
                    if !records.is_empty() {
                        return Ok(self.give(records));
                    }
                    // Either change or time; both lead to another look.
                    let _ = tokio::time::timeout(ASK_AGAIN, self.changes.changed()).await;
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "tail_tests.rs"]
mod tests;
