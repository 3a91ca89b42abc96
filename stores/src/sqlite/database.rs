//! One SQLite file through rusqlite: a thread with the connection that writes, and a few that read
//! beside it. Only the writing connection checkpoints: the others are read-only.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::{Semaphore, oneshot};

use super::{is_fatal, is_refusal};
use crate::StoreError;

/// As many queries run at the same time; more wait.
const READERS: usize = 4;
/// Another process at the file, such as a back-up, may hold it for so long.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Pages of write-ahead log before the writer moves them to the file: 32 MiB. Of the pages that are
/// written again and again, the ends of indexes, each checkpoint moves one copy: four times the
/// usual 1,000 pages made bulk writes a third faster.
const CHECKPOINT_PAGES: i64 = 8_000;
/// KiB of pages that the writer keeps in memory; negative is SQLite's way to say KiB.
const WRITER_CACHE: i64 = -32 * 1024;
const READER_CACHE: i64 = -8 * 1024;
const STATEMENTS: usize = 32;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// A handle, cheap to clone. The file is closed when the last clone is dropped and the writes that
/// were asked for are done.
#[derive(Clone)]
pub(super) struct Database(Arc<Inner>);

struct Inner {
    store: &'static str,
    /// `None` once closed.
    writer: Mutex<Option<mpsc::Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Idle ones. Opened at once, so that reads go on when the file's name is removed.
    readers: Mutex<Vec<Connection>>,
    reader_permits: Arc<Semaphore>,
}

impl Database {
    /// Opens or makes the file. Tables of a new file come from `schema`, whose version is
    /// `schema_version`; an older version is not read: the projection's version must change with it.
    pub async fn open(
        store: &'static str,
        path: &Path,
        schema: &'static str,
        schema_version: i64,
    ) -> Result<Self, StoreError> {
        let path = path.to_owned();
        let open = move || -> Result<Self, StoreError> {
            let writer = open_writer(store, &path, schema, schema_version)?;
            let readers = (0..READERS).map(|_| open_reader(&path)).collect::<rusqlite::Result<_>>();
            let (jobs, queue) = mpsc::channel();
            let thread = std::thread::Builder::new()
                .name(format!("{store}-writer"))
                .spawn(move || write_jobs(writer, &queue))
                .map_err(|error| StoreError::Unavailable { store, source: error.into() })?;
            Ok(Self(Arc::new(Inner {
                store,
                writer: Mutex::new(Some(jobs)),
                thread: Mutex::new(Some(thread)),
                readers: Mutex::new(readers.map_err(|error| failed(store, error))?),
                reader_permits: Arc::new(Semaphore::new(READERS)),
            })))
        };
        blocking(store, open).await
    }

    /// Runs on the writing connection, after all that were asked for before. It runs even if the
    /// caller stops waiting.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Nobody waits any more: the write is done all the same.
            let _ = answer.send(work(connection));
        });
        let sent = lock(&self.0.writer).as_ref().is_some_and(|writer| writer.send(job).is_ok());
        if !sent {
            return Err(self.unavailable("the store is closed"));
        }
        answered.await.unwrap_or_else(|_| Err(self.unavailable("the write panicked")))
    }

    /// Runs on a reading connection, off the async threads. Sees all writes that have returned.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.0.store;
        let inner = self.0.clone();
        let permit = self.0.reader_permits.clone().acquire_owned().await;
        let permit = permit.map_err(|_| self.unavailable("the store is closed"))?;
        let read = move || {
            // Held until the connection is given back, also when the caller stops waiting.
            let _permit = permit;
            let connection = lock(&inner.readers).pop();
            let reader = Reader { connection, inner: &inner };
            let connection = reader.connection.as_ref().ok_or_else(|| StoreError::Unavailable {
                store,
                source: "no reading connection is free".into(),
            })?;
            work(connection).map_err(|error| failed(store, error))
        };
        blocking(store, read).await
    }

    /// Returns when everything written so far has reached the disk. Fails if somebody else, such as
    /// a back-up, reads the file for too long.
    pub async fn checkpoint(&self) -> Result<(), StoreError> {
        let store = self.0.store;
        let truncate = move |connection: &mut Connection| {
            connection
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
                .map_err(|error| failed(store, error))
        };
        match self.write(truncate).await? {
            // Not an error to SQLite: it moved what it could.
            true => Err(self.unavailable("another process reads its file")),
            false => Ok(()),
        }
    }

    /// Returns when the writes that were asked for are done and no connection is open any more.
    pub async fn close(&self) {
        // All permits: no reader is at work. It only fails if this was called before.
        if let Ok(permits) = self.0.reader_permits.acquire_many(READERS as u32).await {
            permits.forget();
            self.0.reader_permits.close();
        }
        let inner = self.0.clone();
        let close = move || {
            lock(&inner.readers).clear();
            drop(lock(&inner.writer).take());
            if let Some(thread) = lock(&inner.thread).take() {
                // It catches the panics of its jobs, and has nothing else to fail with.
                let _ = thread.join();
            }
            Ok(())
        };
        if let Err(error) = blocking(self.0.store, close).await {
            tracing::warn!(%error, "a database was not closed in order");
        }
    }

    fn unavailable(&self, why: &'static str) -> StoreError {
        StoreError::Unavailable { store: self.0.store, source: why.into() }
    }
}

/// Gives its connection back when dropped, also by a panic.
struct Reader<'a> {
    connection: Option<Connection>,
    inner: &'a Inner,
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        lock(&self.inner.readers).extend(self.connection.take());
    }
}

fn write_jobs(mut connection: Connection, queue: &mpsc::Receiver<Job>) {
    while let Ok(job) = queue.recv() {
        // A transaction that was open is rolled back as the stack unwinds; the job's caller hears of
        // it because its answer is dropped.
        if catch_unwind(AssertUnwindSafe(|| job(&mut connection))).is_err() {
            tracing::error!("a write to a store panicked");
        }
    }
}

fn open_writer(
    store: &'static str,
    path: &Path,
    schema: &str,
    schema_version: i64,
) -> Result<Connection, StoreError> {
    let open = || -> rusqlite::Result<(Connection, i64)> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "secure_delete", "ON")?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.pragma_update(None, "cache_size", WRITER_CACHE)?;
        let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if found == 0 {
            let transaction = connection.unchecked_transaction()?;
            transaction.execute_batch(schema)?;
            transaction.pragma_update(None, "user_version", schema_version)?;
            transaction.commit()?;
        }
        Ok((connection, found))
    };
    let (connection, found) = open().map_err(|error| failed(store, error))?;
    if found > schema_version {
        return Err(StoreError::NewerVersion { store, found, known: schema_version });
    }
    Ok(connection)
}

fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "cache_size", READER_CACHE)?;
    // The connection really opens its files with its first query.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

async fn blocking<T: Send + 'static>(
    store: &'static str,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(StoreError::Unavailable { store, source: error.into() }),
    }
}

/// What a holder of these locks protects is whole at any moment, also where one panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn failed(store: &'static str, error: rusqlite::Error) -> StoreError {
    if error.sqlite_error().is_some_and(|failure| is_refusal(failure.extended_code)) {
        return StoreError::RowsRefused { store, source: error.into() };
    }
    if is_damage(&error) {
        return StoreError::Damaged { store, what: error.to_string() };
    }
    StoreError::Unavailable { store, source: error.into() }
}

/// Whether trying again does not change it.
fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{
        FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, SqlInputError, SqliteFailure,
    };
    match error {
        SqlInputError { .. }
        | FromSqlConversionFailure(..)
        | IntegralValueOutOfRange(..)
        | InvalidColumnType(..) => true,
        SqliteFailure(failure, _) => is_fatal(failure.extended_code),
        _ => false,
    }
}
