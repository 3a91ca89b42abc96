//! A log that is only read, beside the process that writes it: what an auditor opens.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::cold::Readers;
use super::schema;
use crate::cold::ReadAhead;
use crate::partition::{PartitionCounts, TopicPartition};
use crate::port::{Appended, EventLog, LogError, LogReader, LogRecord, NewRecord};

/// A reader that has everything asks the file again this often: another process writes it.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// The log in a SQLite file, whoever writes it: takes no lock, and appends nothing (`Fatal`).
///
/// The folder has to be writable where no other process has the log open: SQLite then makes two files
/// beside it, for its readers.
#[derive(Debug)]
pub struct ReadOnlySqliteLog {
    counts: PartitionCounts,
    readers: Arc<Readers>,
}

impl ReadOnlySqliteLog {
    /// `Fatal` if the file is no log of a build up to this one; `Unavailable` if it cannot be read. Blocks
    /// for some milliseconds.
    pub fn open(path: &Path) -> Result<Self, LogError> {
        let counts = schema::ends(&schema::open_reader(path)?)?.counts();
        Ok(Self { counts, readers: Arc::new(Readers::new(path.to_owned())) })
    }
}

#[async_trait]
impl EventLog for ReadOnlySqliteLog {
    fn partitions(&self) -> PartitionCounts {
        self.counts
    }

    fn append(&self, _: TopicPartition, _: NewRecord) -> BoxFuture<'static, Result<Appended, LogError>> {
        async { Err(LogError::Fatal("the log is open for reading only".into())) }.boxed()
    }

    async fn end(&self, partition: TopicPartition) -> Result<u64, LogError> {
        let readers = self.readers.clone();
        let asked = tokio::task::spawn_blocking(move || {
            readers.with(|connection| schema::end(connection, partition))
        });
        asked.await.unwrap_or_else(|error| Err(LogError::Unavailable(format!("a read was cut off: {error}"))))
    }

    async fn read(&self, partition: TopicPartition, from: u64) -> Result<Box<dyn LogReader>, LogError> {
        let end = self.end(partition).await?;
        if from > end {
            return Err(LogError::beyond_the_end(partition, from, end));
        }
        Ok(Box::new(Reader { ahead: ReadAhead::new(self.readers.clone(), partition), next: from }))
    }
}

struct Reader {
    ahead: ReadAhead,
    next: u64,
}

#[async_trait]
impl LogReader for Reader {
    async fn next(&mut self) -> Result<Vec<LogRecord>, LogError> {
        loop {
            let records = self.ahead.read(self.next).await?;
            if let Some(last) = records.last() {
                self.next = last.offset + 1;
                return Ok(records);
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }
}
