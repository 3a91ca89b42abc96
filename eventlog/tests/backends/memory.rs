use std::sync::Arc;

use async_trait::async_trait;
use roomlog_eventlog::conformance::{Backend, COUNTS};
use roomlog_eventlog::memory::MemoryLog;
use roomlog_eventlog::{EventLog, NewRecord, TopicPartition};

/// A restart keeps the log, as if it had been stored.
pub struct Memory(Arc<MemoryLog>);

impl Memory {
    pub fn new() -> Self {
        Self(Arc::new(MemoryLog::new(COUNTS)))
    }
}

#[async_trait]
impl Backend for Memory {
    async fn open(&self) -> Arc<dyn EventLog> {
        self.0.clone()
    }

    async fn append_around_gap(&self, partition: TopicPartition, before: NewRecord, after: NewRecord) {
        self.0.append(partition, before).await.unwrap();
        self.0.leave_gap(partition, 3).unwrap();
        self.0.append(partition, after).await.unwrap();
    }

    async fn break_it(&self) -> bool {
        self.0.set_available(false);
        true
    }

    async fn repair(&self) {
        self.0.set_available(true);
    }

    async fn remove(self) {}
}
