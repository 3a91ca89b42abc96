//! The quarantine on SQLite, in a file of its own. `synchronous=FULL`: what is kept has reached the
//! disk before a projection goes on without it.

use std::path::Path;

use async_trait::async_trait;
use roomlog_eventlog::TopicPartition;
use roomlog_schemas::RoomId;
use sqlx::sqlite::SqliteSynchronous;

use super::pools::{self, Pools};
use crate::StoreError;
use crate::migrations::SQLITE_QUARANTINE as MIGRATIONS;
use crate::progress::Projection;
use crate::quarantine::{Entry, QuarantineStore, Quarantined, Scope, Subject};

const STORE: &str = "quarantine";
const FILE: &str = "quarantine.db";

/// A handle, cheap to clone.
#[derive(Clone)]
pub struct SqliteQuarantineStore {
    pools: Pools,
}

impl SqliteQuarantineStore {
    /// Opens or makes the store in this folder, which is made if need be.
    pub async fn open(directory: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(directory)
            .map_err(|error| StoreError::Unavailable { store: STORE, source: error.into() })?;
        let pools = Pools::open(STORE, &directory.join(FILE), SqliteSynchronous::Full, &MIGRATIONS).await?;
        Ok(Self { pools })
    }
}

#[async_trait]
impl QuarantineStore for SqliteQuarantineStore {
    async fn put(&self, scope: Scope, entries: &[Entry]) -> Result<bool, StoreError> {
        let mut transaction = self.pools.begin().await.map_err(failed)?;
        let known = statements::put(&mut transaction, scope, entries).await.map_err(failed)?;
        // What was begun is rolled back as the transaction is dropped.
        if known {
            transaction.commit().await.map_err(failed)?;
        }
        Ok(known)
    }

    async fn is_quarantined(&self, scope: Scope, subject: Subject) -> Result<bool, StoreError> {
        let mut connection = self.pools.readers().acquire().await.map_err(failed)?;
        statements::is_quarantined(&mut connection, scope, subject).await.map_err(failed)
    }

    async fn list(&self) -> Result<Vec<Quarantined>, StoreError> {
        let mut connection = self.pools.readers().acquire().await.map_err(failed)?;
        statements::list(&mut connection).await.map_err(failed)
    }

    async fn subjects(&self, scope: Scope, partition: TopicPartition) -> Result<Vec<Subject>, StoreError> {
        let mut connection = self.pools.readers().acquire().await.map_err(failed)?;
        statements::subjects(&mut connection, scope, partition).await.map_err(failed)
    }

    async fn rooms(&self, scope: Scope) -> Result<Vec<(RoomId, Subject)>, StoreError> {
        let mut connection = self.pools.readers().acquire().await.map_err(failed)?;
        statements::rooms(&mut connection, scope).await.map_err(failed)
    }

    async fn entries(
        &self,
        scope: Scope,
        subject: Subject,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut connection = self.pools.readers().acquire().await.map_err(failed)?;
        statements::entries(&mut connection, scope, subject, from, limit).await.map_err(failed)
    }

    async fn remove(&self, scope: Scope, subject: Subject, through: u64) -> Result<bool, StoreError> {
        let mut transaction = self.pools.begin().await.map_err(failed)?;
        let done = statements::remove(&mut transaction, scope, subject, through).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(done)
    }

    async fn request_retry(
        &self,
        projection: Projection,
        subject: Option<Subject>,
    ) -> Result<u64, StoreError> {
        let mut transaction = self.pools.begin().await.map_err(failed)?;
        let done = statements::request_retry(&mut transaction, projection, subject).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(done)
    }

    async fn take_retry(&self, projection: Projection, subject: Subject) -> Result<bool, StoreError> {
        let mut transaction = self.pools.begin().await.map_err(failed)?;
        let done = statements::take_retry(&mut transaction, projection, subject).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(done)
    }

    async fn retry_failed(
        &self,
        scope: Scope,
        subject: Subject,
        offset: u64,
        error: &str,
    ) -> Result<(), StoreError> {
        let mut transaction = self.pools.begin().await.map_err(failed)?;
        let done = statements::retry_failed(&mut transaction, scope, subject, offset, error)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(done)
    }

    async fn begin_beside(&self, projection: Projection) -> Result<(), StoreError> {
        let mut transaction = self.pools.begin().await.map_err(failed)?;
        let done = statements::clear(&mut transaction, Scope::beside(projection)).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(done)
    }

    async fn begin_promote(&self, projection: Projection) -> Result<(), StoreError> {
        let mut transaction = self.pools.begin().await.map_err(failed)?;
        let done = statements::begin_promote(&mut transaction, projection).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(done)
    }

    async fn finish_promote(&self, projection: Projection) -> Result<(), StoreError> {
        let mut transaction = self.pools.begin().await.map_err(failed)?;
        let done = statements::finish_promote(&mut transaction, projection).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(done)
    }
}

mod statements {
    crate::quarantine::quarantine_statements!(sqlx::SqliteConnection, sqlx::sqlite::SqliteRow);
}

fn failed(error: sqlx::Error) -> StoreError {
    pools::failed(STORE, error)
}
