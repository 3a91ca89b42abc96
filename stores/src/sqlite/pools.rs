//! One SQLite file through sqlx: a pool of one connection that writes, and one of connections that
//! read beside it. Only the writing connection checkpoints: the others are read-only.

use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Sqlite, Transaction};

use super::{is_fatal, is_refusal};
use crate::StoreError;

/// As many queries run at the same time; more wait.
const READERS: u32 = 4;
/// How long an operation waits for its connection before it fails as `Unavailable`.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Another process at the file, such as a back-up, may hold it for so long.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(super) struct Pools {
    /// Names the store in errors.
    store: &'static str,
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Pools {
    /// Opens or makes the file and brings its tables up to date.
    pub async fn open(
        store: &'static str,
        path: &Path,
        synchronous: SqliteSynchronous,
        migrations: &'static Migrator,
    ) -> Result<Self, StoreError> {
        let writing = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(synchronous)
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("secure_delete", "ON");
        let reading = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(BUSY_TIMEOUT);
        let failed = |error| failed(store, error);
        let writer = pool(1).connect_with(writing).await.map_err(failed)?;
        migrations.run(&writer).await.map_err(|error| migration_failed(store, migrations, error))?;
        let readers = pool(READERS).connect_with(reading).await.map_err(failed)?;
        Ok(Self { store, writer, readers })
    }

    pub fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// A transaction that nobody else writes beside.
    pub async fn begin(&self) -> sqlx::Result<Transaction<'static, Sqlite>> {
        self.writer.begin_with("BEGIN IMMEDIATE").await
    }

    /// Moves everything from the write-ahead log to the file and has it on the disk. Fails if
    /// somebody else, such as a back-up, reads the file for too long.
    pub async fn checkpoint(&self) -> Result<(), StoreError> {
        let truncate = sqlx::query_scalar("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&self.writer).await;
        match truncate.map_err(|error| failed(self.store, error))? {
            // Not an error to SQLite: it moved what it could.
            true => {
                let source = "another process reads its file".into();
                Err(StoreError::Unavailable { store: self.store, source })
            }
            false => Ok(()),
        }
    }

    /// Returns when every connection is closed.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A connection to a file neither breaks nor costs anything while it is idle.
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

pub(super) fn failed(store: &'static str, error: sqlx::Error) -> StoreError {
    if code(&error).is_some_and(is_refusal) {
        return StoreError::RowsRefused { store, source: error.into() };
    }
    if matches!(error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) {
        return StoreError::BadRow { store, what: error.to_string() };
    }
    if is_damage(&error) {
        return StoreError::Damaged { store, what: error.to_string() };
    }
    StoreError::Unavailable { store, source: error.into() }
}

fn is_damage(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::ColumnNotFound(_) => true,
        error => code(error).is_some_and(is_fatal),
    }
}

fn code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

fn migration_failed(store: &'static str, migrations: &Migrator, error: MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMissing(found) | MigrateError::VersionTooNew(found, _) => {
            let known = migrations.iter().map(|migration| migration.version).max().unwrap_or(0);
            StoreError::NewerVersion { store, found, known }
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => failed(store, error),
        other => StoreError::Damaged { store, what: other.to_string() },
    }
}
