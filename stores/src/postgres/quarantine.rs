//! The quarantine on PostgreSQL, in a schema of its own: it has to survive a rebuild of the directory.

use async_trait::async_trait;
use roomlog_eventlog::TopicPartition;
use roomlog_schemas::RoomId;
use sqlx::Connection;

use super::config::{PostgresConfig, check_schema};
use super::database::{Database, run};
use super::maintenance::Maintenance;
use crate::StoreError;
use crate::migrations::POSTGRES_QUARANTINE as MIGRATIONS;
use crate::progress::Projection;
use crate::quarantine::{Entry, QuarantineStore, Quarantined, Scope, Subject};

const STORE: &str = "quarantine";

/// The quarantine is asked once a second, and written when something fails.
const MAX_CONNECTIONS: u32 = 2;

/// A handle, cheap to clone. Any number of them may be open on the same tables.
#[derive(Clone)]
pub struct PostgresQuarantineStore {
    database: Database,
}

impl PostgresQuarantineStore {
    /// Makes the tables or brings them up to date, waiting for other processes that are at it. Has at
    /// most two connections, whatever the configuration says for the other stores.
    pub async fn open(config: &PostgresConfig) -> Result<Self, StoreError> {
        check_schema(STORE, &config.quarantine_schema)?;
        let mut maintenance = Maintenance::begin(STORE, config).await?;
        maintenance.migrate(&config.quarantine_schema, &MIGRATIONS).await?;
        maintenance.end().await;
        let max_connections = config.max_connections.min(MAX_CONNECTIONS);
        let config = PostgresConfig { max_connections, ..config.clone() };
        Ok(Self { database: Database::new(STORE, &config, config.quarantine_schema.clone())? })
    }
}

#[async_trait]
impl QuarantineStore for PostgresQuarantineStore {
    async fn put(&self, scope: Scope, entries: &[Entry]) -> Result<bool, StoreError> {
        run!(&self.database, |connection| async {
            let mut transaction = connection.begin().await?;
            let known = statements::put(&mut transaction, scope, entries).await?;
            match known {
                true => transaction.commit().await?,
                false => transaction.rollback().await?,
            }
            Ok(known)
        })
    }

    async fn is_quarantined(&self, scope: Scope, subject: Subject) -> Result<bool, StoreError> {
        run!(&self.database, |connection| statements::is_quarantined(connection, scope, subject))
    }

    async fn list(&self) -> Result<Vec<Quarantined>, StoreError> {
        run!(&self.database, |connection| statements::list(connection))
    }

    async fn subjects(&self, scope: Scope, partition: TopicPartition) -> Result<Vec<Subject>, StoreError> {
        run!(&self.database, |connection| statements::subjects(connection, scope, partition))
    }

    async fn rooms(&self, scope: Scope) -> Result<Vec<(RoomId, Subject)>, StoreError> {
        run!(&self.database, |connection| statements::rooms(connection, scope))
    }

    async fn entries(
        &self,
        scope: Scope,
        subject: Subject,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        run!(&self.database, |connection| statements::entries(connection, scope, subject, from, limit))
    }

    async fn remove(&self, scope: Scope, subject: Subject, through: u64) -> Result<bool, StoreError> {
        run!(&self.database, |connection| async {
            let mut transaction = connection.begin().await?;
            let done = statements::remove(&mut transaction, scope, subject, through).await?;
            transaction.commit().await?;
            Ok(done)
        })
    }

    async fn request_retry(
        &self,
        projection: Projection,
        subject: Option<Subject>,
    ) -> Result<u64, StoreError> {
        run!(&self.database, |connection| async {
            let mut transaction = connection.begin().await?;
            let done = statements::request_retry(&mut transaction, projection, subject).await?;
            transaction.commit().await?;
            Ok(done)
        })
    }

    async fn take_retry(&self, projection: Projection, subject: Subject) -> Result<bool, StoreError> {
        run!(&self.database, |connection| async {
            let mut transaction = connection.begin().await?;
            let done = statements::take_retry(&mut transaction, projection, subject).await?;
            transaction.commit().await?;
            Ok(done)
        })
    }

    async fn retry_failed(
        &self,
        scope: Scope,
        subject: Subject,
        offset: u64,
        error: &str,
    ) -> Result<(), StoreError> {
        run!(&self.database, |connection| async {
            let mut transaction = connection.begin().await?;
            let done = statements::retry_failed(&mut transaction, scope, subject, offset, error).await?;
            transaction.commit().await?;
            Ok(done)
        })
    }

    async fn begin_beside(&self, projection: Projection) -> Result<(), StoreError> {
        run!(&self.database, |connection| async {
            let mut transaction = connection.begin().await?;
            let done = statements::clear(&mut transaction, Scope::beside(projection)).await?;
            transaction.commit().await?;
            Ok(done)
        })
    }

    async fn begin_promote(&self, projection: Projection) -> Result<(), StoreError> {
        run!(&self.database, |connection| async {
            let mut transaction = connection.begin().await?;
            let done = statements::begin_promote(&mut transaction, projection).await?;
            transaction.commit().await?;
            Ok(done)
        })
    }

    async fn finish_promote(&self, projection: Projection) -> Result<(), StoreError> {
        run!(&self.database, |connection| async {
            let mut transaction = connection.begin().await?;
            let done = statements::finish_promote(&mut transaction, projection).await?;
            transaction.commit().await?;
            Ok(done)
        })
    }
}

mod statements {
    crate::quarantine::quarantine_statements!(sqlx::PgConnection, sqlx::postgres::PgRow);
}
