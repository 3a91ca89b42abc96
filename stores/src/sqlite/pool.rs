//! sqlx pools on one SQLite file: one connection that writes, several that read.

use std::path::Path;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::StoreError;

const READERS: u32 = 4;
const WAIT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub struct Pools {
    /// One connection: writers take turns here, not by SQLite's busy lock.
    pub writer: SqlitePool,
    pub readers: SqlitePool,
}

impl Pools {
    pub async fn open(
        path: &Path,
        synchronous: SqliteSynchronous,
        migrations: &Migrator,
        store: &'static str,
    ) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(synchronous)
            .foreign_keys(true)
            .busy_timeout(WAIT)
            .pragma("secure_delete", "ON");
        let writer = SqlitePoolOptions::new().max_connections(1).acquire_timeout(WAIT);
        let writer = writer.connect_with(options.clone()).await.map_err(unavailable(store))?;
        migrations.run(&writer).await.map_err(|error| migration(error, store))?;
        let readers = SqlitePoolOptions::new().max_connections(READERS).acquire_timeout(WAIT);
        let readers = readers.connect_with(options.read_only(true)).await.map_err(unavailable(store))?;
        Ok(Self { writer, readers })
    }

    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

fn migration(error: sqlx::migrate::MigrateError, store: &'static str) -> StoreError {
    match error {
        sqlx::migrate::MigrateError::VersionMissing(found) => StoreError::NewerVersion { store, found, known: found - 1 },
        error => StoreError::Unavailable { store, source: error.into() },
    }
}

pub fn unavailable(store: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| StoreError::Unavailable { store, source: error.into() }
}
