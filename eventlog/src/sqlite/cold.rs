//! Reading from the file, for readers that are behind what is in memory.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::Connection;
use tokio::task::JoinHandle;

use super::schema::{connect_reader, table, unavailable};
use crate::partition::TopicPartition;
use crate::port::{LogError, LogRecord};
use crate::tail::{BATCH_BYTES, ColdReader};

/// Connections kept open while nobody reads: as many readers as usually start at a time.
const MOST_IDLE: usize = 8;

/// Read-only connections that wait for the next use.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::default() }
    }

    /// Records from the first at or after `from`, up to about [`BATCH_BYTES`]. Blocks.
    fn read(&self, partition: TopicPartition, from: u64) -> Result<Vec<LogRecord>, LogError> {
        let idle = self.idle.lock().expect("nothing panics while it holds the connections").pop();
        let connection = idle.map_or_else(|| connect_reader(&self.path), Ok)?;
        // After an error the connection is not kept.
        let records = scan(&connection, partition, from).map_err(unavailable)?;
        let mut idle = self.idle.lock().expect("nothing panics while it holds the connections");
        if idle.len() < MOST_IDLE {
            idle.push(connection);
        }
        Ok(records)
    }
}

fn scan(connection: &Connection, partition: TopicPartition, from: u64) -> rusqlite::Result<Vec<LogRecord>> {
    let table = table(partition);
    let sql = format!("SELECT offset, append_time_ms, value FROM {table} WHERE offset >= ? ORDER BY offset");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([from])?;
    let mut records = Vec::new();
    let mut bytes = 0;
    while bytes < BATCH_BYTES {
        let Some(row) = rows.next()? else { break };
        let value = Bytes::copy_from_slice(row.get_ref(2)?.as_blob()?);
        bytes += value.len() + size_of::<LogRecord>();
        records.push(LogRecord { offset: row.get(0)?, append_time_ms: row.get(1)?, value });
    }
    Ok(records)
}

/// One reader's way through the file. The next batch is read while the reader works on this one.
pub(super) struct ColdSqlite {
    readers: Arc<Readers>,
    partition: TopicPartition,
    /// Kept across a cancelled `read`.
    ahead: Option<Ahead>,
}

struct Ahead {
    from: u64,
    reading: JoinHandle<Result<Vec<LogRecord>, LogError>>,
}

impl ColdSqlite {
    pub fn new(readers: Arc<Readers>, partition: TopicPartition) -> Self {
        Self { readers, partition, ahead: None }
    }

    fn start(&self, from: u64) -> Ahead {
        let (readers, partition) = (self.readers.clone(), self.partition);
        let reading = tokio::task::spawn_blocking(move || readers.read(partition, from));
        Ahead { from, reading }
    }
}

#[async_trait]
impl ColdReader for ColdSqlite {
    async fn read(&mut self, from: u64) -> Result<Vec<LogRecord>, LogError> {
        let ahead = match self.ahead.take() {
            Some(ahead) if ahead.from == from => ahead,
            _ => self.start(from),
        };
        let read = (&mut self.ahead.insert(ahead).reading).await;
        self.ahead = None;
        let records =
            read.map_err(|error| LogError::Unavailable(format!("a read was cut off: {error}")))??;
        if let Some(last) = records.last() {
            self.ahead = Some(self.start(last.offset + 1));
        }
        Ok(records)
    }

    fn rest(&mut self) {
        self.ahead = None;
    }
}
