//! Reading what no ring holds any more, from the backend itself.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::task::JoinHandle;

use crate::partition::TopicPartition;
use crate::port::{LogError, LogRecord};

/// About how many bytes one read gives, so that what a reader holds at a time is bounded.
pub(crate) const BATCH_BYTES: usize = 1024 * 1024;

/// What a record takes beside its value.
const RECORD_OVERHEAD: usize = 112;

/// Bytes of a record in memory.
pub(crate) fn size_of(record: &LogRecord) -> usize {
    record.value.len() + RECORD_OVERHEAD
}

/// The backend's side.
pub(crate) trait ColdSource: Send + Sync + 'static {
    /// Records in order, the first of them the first at or after `from`, and all of those in
    /// between, up to about [`BATCH_BYTES`]; empty if there is none for now.
    fn read(
        self: Arc<Self>,
        partition: TopicPartition,
        from: u64,
    ) -> BoxFuture<'static, Result<Vec<LogRecord>, LogError>>;
}

/// One reader's way through a source. While the reader works on a full batch, the next one is read.
pub(crate) struct ReadAhead {
    source: Arc<dyn ColdSource>,
    partition: TopicPartition,
    /// Kept across a cancelled [`read`](Self::read).
    ahead: Option<Ahead>,
}

struct Ahead {
    from: u64,
    reading: JoinHandle<Result<Vec<LogRecord>, LogError>>,
}

impl ReadAhead {
    pub fn new(source: Arc<dyn ColdSource>, partition: TopicPartition) -> Self {
        Self { source, partition, ahead: None }
    }

    /// As [`ColdSource::read`]. Cancel-safe.
    pub async fn read(&mut self, from: u64) -> Result<Vec<LogRecord>, LogError> {
        let ahead = match self.ahead.take() {
            Some(ahead) if ahead.from == from => ahead,
            _ => self.start(from),
        };
        let read = (&mut self.ahead.insert(ahead).reading).await;
        self.ahead = None;
        let records =
            read.map_err(|error| LogError::Unavailable(format!("a read was cut off: {error}")))??;
        let is_full = records.iter().map(size_of).sum::<usize>() >= BATCH_BYTES;
        if let Some(last) = records.last().filter(|_| is_full) {
            self.ahead = Some(self.start(last.offset + 1));
        }
        Ok(records)
    }

    /// The reader needs nothing more from here for now.
    pub fn rest(&mut self) {
        self.ahead = None;
    }

    fn start(&self, from: u64) -> Ahead {
        let reading = tokio::spawn(self.source.clone().read(self.partition, from));
        Ahead { from, reading }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.reading.abort();
    }
}
