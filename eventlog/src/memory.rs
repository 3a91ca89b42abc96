//! A log in memory, for tests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::partition::{PartitionCounts, TopicPartition};
use crate::port::{Appended, EventLog, LogError, LogReader, LogRecord, NewRecord};

type Records = Arc<Mutex<Vec<LogRecord>>>;

/// Every append is durable at once; nothing outlives the process.
pub struct MemoryLog {
    counts: PartitionCounts,
    partitions: HashMap<TopicPartition, (Records, watch::Sender<u64>)>,
}

impl MemoryLog {
    pub fn new(counts: PartitionCounts) -> Self {
        let partitions = counts.all().map(|p| (p, (Records::default(), watch::channel(0).0))).collect();
        Self { counts, partitions }
    }

    fn partition(&self, partition: TopicPartition) -> Result<&(Records, watch::Sender<u64>), LogError> {
        self.partitions.get(&partition).ok_or_else(|| LogError::Fatal(format!("there is no partition {partition}")))
    }
}

#[async_trait]
impl EventLog for MemoryLog {
    fn partitions(&self) -> PartitionCounts {
        self.counts
    }

    fn append(&self, partition: TopicPartition, record: NewRecord) -> BoxFuture<'static, Result<Appended, LogError>> {
        let result = self.partition(partition).map(|(records, end)| {
            let mut records = records.lock().expect("no holder panics");
            let offset = records.len() as u64;
            let append_time_ms = offset as i64;
            records.push(LogRecord { offset, value: record.value, append_time_ms });
            end.send_replace(offset + 1);
            Appended { offset, append_time_ms }
        });
        async move { result }.boxed()
    }

    async fn end(&self, partition: TopicPartition) -> Result<u64, LogError> {
        Ok(*self.partition(partition)?.1.borrow())
    }

    async fn read(&self, partition: TopicPartition, from: u64) -> Result<Box<dyn LogReader>, LogError> {
        let (records, end) = self.partition(partition)?;
        Ok(Box::new(MemoryReader { records: records.clone(), end: end.subscribe(), next: from }))
    }
}

struct MemoryReader {
    records: Records,
    end: watch::Receiver<u64>,
    next: u64,
}

#[async_trait]
impl LogReader for MemoryReader {
    async fn next(&mut self) -> Result<Vec<LogRecord>, LogError> {
        let next = self.next;
        self.end
            .wait_for(|end| *end > next)
            .await
            .map_err(|_| LogError::Fatal("the log is closed".into()))?;
        let records = self.records.lock().expect("no holder panics")[next as usize..].to_vec();
        self.next += records.len() as u64;
        Ok(records)
    }
}
