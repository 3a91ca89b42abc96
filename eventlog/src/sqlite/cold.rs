//! Reading from the file, for readers that are behind what is in memory.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use rusqlite::Connection;

use super::schema::{connect_reader, table, unavailable};
use crate::cold::{BATCH_BYTES, ColdSource, size_of};
use crate::partition::TopicPartition;
use crate::port::{LogError, LogRecord};
use crate::trace::{TRACEPARENT, TraceContext, reads_traces};

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

    /// Lets go of the connections that nobody reads with.
    pub fn close_idle(&self) {
        self.idle.lock().expect("nothing panics while it holds the connections").clear();
    }

    /// As [`ColdSource::read`], blocking.
    fn scan(&self, partition: TopicPartition, from: u64) -> Result<Vec<LogRecord>, LogError> {
        self.with(|connection| scan(connection, partition, from).map_err(unavailable))
    }

    /// Runs it on one of the connections; blocks.
    pub fn with<T>(&self, read: impl FnOnce(&Connection) -> Result<T, LogError>) -> Result<T, LogError> {
        let idle = self.idle.lock().expect("nothing panics while it holds the connections").pop();
        let connection = idle.map_or_else(|| connect_reader(&self.path), Ok)?;
        // After an error the connection is not kept.
        let found = read(&connection)?;
        let mut idle = self.idle.lock().expect("nothing panics while it holds the connections");
        if idle.len() < MOST_IDLE {
            idle.push(connection);
        }
        Ok(found)
    }
}

fn scan(connection: &Connection, partition: TopicPartition, from: u64) -> rusqlite::Result<Vec<LogRecord>> {
    let table = table(partition);
    let headers = if reads_traces() { "headers" } else { "NULL" };
    let sql = format!(
        "SELECT offset, append_time_ms, value, {headers} FROM {table} WHERE offset >= ? ORDER BY offset"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([from])?;
    let mut records = Vec::new();
    let mut bytes = 0;
    while bytes < BATCH_BYTES {
        let Some(row) = rows.next()? else { break };
        let value = Bytes::copy_from_slice(row.get_ref(2)?.as_blob()?);
        let trace = row.get_ref(3)?.as_str_or_null()?.and_then(trace);
        let record = LogRecord { offset: row.get(0)?, append_time_ms: row.get(1)?, value, trace };
        bytes += size_of(&record);
        records.push(record);
    }
    Ok(records)
}

/// The sampled trace among headers as the writer stores them. Few records have one.
fn trace(headers: &str) -> Option<TraceContext> {
    if !headers.contains(TRACEPARENT) {
        return None;
    }
    let headers: serde_json::Value = serde_json::from_str(headers).ok()?;
    let value = headers.get(TRACEPARENT)?.as_str()?;
    TraceContext::parse(value.as_bytes()).filter(|context| context.is_sampled)
}

impl ColdSource for Readers {
    fn read(
        self: Arc<Self>,
        partition: TopicPartition,
        from: u64,
    ) -> BoxFuture<'static, Result<Vec<LogRecord>, LogError>> {
        let reading = tokio::task::spawn_blocking(move || self.scan(partition, from));
        reading
            .map(|read| {
                read.unwrap_or_else(|error| {
                    Err(LogError::Unavailable(format!("a read was cut off: {error}")))
                })
            })
            .boxed()
    }
}
