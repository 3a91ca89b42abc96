//! One SQLite file through rusqlite: a connection that writes, and some that read beside it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, OpenFlags};

use crate::StoreError;

const MAX_IDLE_READERS: usize = 8;
const BUSY_MS: u64 = 5_000;

pub struct Database {
    path: PathBuf,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
}

impl Database {
    /// Opens or makes the file. `synchronous=NORMAL`: a power cut may take back the last batches, rows
    /// and cursor together, and the log gives them again.
    pub fn open(path: &Path, schema: &str) -> Result<Arc<Self>, StoreError> {
        let open = || -> rusqlite::Result<Connection> {
            let connection = Connection::open(path)?;
            connection.busy_timeout(std::time::Duration::from_millis(BUSY_MS))?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            connection.pragma_update(None, "secure_delete", "ON")?;
            connection.pragma_update(None, "cache_size", -16_384)?;
            connection.execute_batch(schema)?;
            connection.set_prepared_statement_cache_capacity(64);
            Ok(connection)
        };
        let writer = open().map_err(unavailable)?;
        Ok(Arc::new(Self { path: path.to_owned(), writer: Mutex::new(writer), readers: Mutex::default() }))
    }

    /// Runs on the writing connection, off the async threads.
    pub async fn write<T: Send + 'static>(
        self: Arc<Self>,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        blocking(move || work(&mut self.writer.lock().expect("no holder panics"))).await
    }

    /// Runs on a reading connection, off the async threads.
    pub async fn read<T: Send + 'static>(
        self: Arc<Self>,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        blocking(move || {
            let idle = self.readers.lock().expect("no holder panics").pop();
            let connection = match idle {
                Some(connection) => connection,
                None => self.reader().map_err(unavailable)?,
            };
            let result = work(&connection).map_err(unavailable);
            let mut readers = self.readers.lock().expect("no holder panics");
            if readers.len() < MAX_IDLE_READERS {
                readers.push(connection);
            }
            result
        })
        .await
    }

    fn reader(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(std::time::Duration::from_millis(BUSY_MS))?;
        connection.set_prepared_statement_cache_capacity(32);
        Ok(connection)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| StoreError::Unavailable {
        store: "room",
        source: error.into(),
    })?
}

pub fn unavailable(error: rusqlite::Error) -> StoreError {
    StoreError::Unavailable { store: "room", source: error.into() }
}
