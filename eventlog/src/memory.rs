//! A log in memory, for tests.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::cold::ColdSource;
use crate::limit::check_record;
use crate::partition::{PartitionCounts, TopicPartition};
use crate::per_partition::PerPartition;
use crate::port::{Appended, EventLog, LogError, LogReader, LogRecord, NewRecord};
use crate::tail::{Tail, TailReader};

/// Every append is durable at once; nothing outlives the process. The time of an append is its
/// offset, so that tests see the same one each time.
pub struct MemoryLog {
    partitions: PerPartition<Partition>,
    available: AtomicBool,
}

struct Partition {
    /// The next offset to be written; held while a record is added, which keeps their order.
    next: Mutex<u64>,
    /// Without a bound: it is the whole partition.
    tail: Arc<Tail>,
}

impl MemoryLog {
    pub fn new(counts: PartitionCounts) -> Self {
        let empty = |_| Partition { next: Mutex::new(0), tail: Tail::with_capacity(0, usize::MAX) };
        Self { partitions: PerPartition::new(counts, empty), available: AtomicBool::new(true) }
    }

    /// While it is not, appends and `end` fail and write nothing.
    pub fn set_available(&self, available: bool) {
        self.available.store(available, Ordering::SeqCst);
    }

    /// Leaves this many offsets of a partition unused, as a log with markers of its own does.
    pub fn leave_gap(&self, partition: TopicPartition, offsets: u64) -> Result<(), LogError> {
        *self.partitions.get(partition)?.next.lock().expect("no holder panics") += offsets;
        Ok(())
    }

    fn partition(&self, partition: TopicPartition) -> Result<&Partition, LogError> {
        if !self.available.load(Ordering::SeqCst) {
            return Err(LogError::Unavailable("switched off by the test".into()));
        }
        self.partitions.get(partition)
    }
}

impl Partition {
    fn append(&self, record: NewRecord) -> Appended {
        let mut next = self.next.lock().expect("no holder panics");
        let appended = Appended { offset: *next, append_time_ms: *next as i64 };
        *next += 1;
        self.tail.push([record.appended(appended)]);
        appended
    }
}

#[async_trait]
impl EventLog for MemoryLog {
    fn partitions(&self) -> PartitionCounts {
        self.partitions.counts()
    }

    fn append(
        &self,
        partition: TopicPartition,
        record: NewRecord,
    ) -> BoxFuture<'static, Result<Appended, LogError>> {
        let result = check_record(&record)
            .and_then(|()| self.partition(partition))
            .map(|partition| partition.append(record));
        async move { result }.boxed()
    }

    async fn end(&self, partition: TopicPartition) -> Result<u64, LogError> {
        Ok(*self.partition(partition)?.next.lock().expect("no holder panics"))
    }

    async fn read(&self, partition: TopicPartition, from: u64) -> Result<Box<dyn LogReader>, LogError> {
        let Partition { next, tail } = self.partitions.get(partition)?;
        let end = *next.lock().expect("no holder panics");
        if from > end {
            return Err(LogError::beyond_the_end(partition, from, end));
        }
        Ok(Box::new(TailReader::new(tail.clone(), Arc::new(Nothing), partition, from)))
    }
}

/// The ring has everything from offset 0 on.
struct Nothing;

impl ColdSource for Nothing {
    fn read(
        self: Arc<Self>,
        _: TopicPartition,
        _: u64,
    ) -> BoxFuture<'static, Result<Vec<LogRecord>, LogError>> {
        async { Ok(Vec::new()) }.boxed()
    }
}
