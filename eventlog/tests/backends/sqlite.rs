use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};

use async_trait::async_trait;
use roomlog_eventlog::conformance::{Backend, COUNTS};
use roomlog_eventlog::{EventLog, NewRecord, SqliteLog, TopicPartition};
use tempfile::TempDir;

/// A log in a folder of its own.
pub struct Sqlite {
    folder: TempDir,
    open: Mutex<Weak<SqliteLog>>,
}

impl Sqlite {
    pub fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), open: Mutex::default() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("log.db")
    }

    fn limit_pages(&self, pages: u32) {
        self.open.lock().unwrap().upgrade().expect("the log is open").limit_pages(pages);
    }
}

#[async_trait]
impl Backend for Sqlite {
    /// The log that is open, if there is one: the file takes no second.
    async fn open(&self) -> Arc<dyn EventLog> {
        let mut open = self.open.lock().unwrap();
        if let Some(log) = open.upgrade() {
            return log;
        }
        let log = Arc::new(SqliteLog::open(&self.path(), COUNTS).unwrap());
        *open = Arc::downgrade(&log);
        log
    }

    async fn append_around_gap(&self, partition: TopicPartition, before: NewRecord, after: NewRecord) {
        let log = SqliteLog::open(&self.path(), COUNTS).unwrap();
        log.append(partition, before.clone()).await.unwrap();
        let unused = log.append(partition, before).await.unwrap().offset;
        log.append(partition, after).await.unwrap();
        drop(log);
        let table = format!("{}_{}", partition.topic, partition.partition);
        let connection = rusqlite::Connection::open(self.path()).unwrap();
        connection.execute(&format!("DELETE FROM {table} WHERE offset = {unused}"), []).unwrap();
    }

    /// No room for more pages than a new file has.
    async fn break_it(&self) -> bool {
        self.limit_pages(20);
        true
    }

    async fn repair(&self) {
        self.limit_pages(0);
    }

    async fn remove(self) {}
}
