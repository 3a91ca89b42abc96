//! Migrations, and what a rebuild does to schemas: one process at a time in a database.

use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::time::{sleep, timeout};

use super::config::PostgresConfig;
use super::error::{failed, is_lock_contention, migration_failed, newest};
use crate::StoreError;

/// The advisory lock that whoever changes schemas holds: "roomlog" and a zero.
const LOCK: i64 = i64::from_be_bytes(*b"roomlog\0");
/// How often it is asked for. Waiting inside the server would hold a snapshot, for which
/// `CREATE INDEX CONCURRENTLY` waits in turn.
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// How long a change waits for the readers and writers of a table. Those that come meanwhile wait
/// behind it, so it is short.
const TABLE_LOCK_TIMEOUT: &str = "2s";
/// As often a replacement is tried where a table stays locked; with the pauses between about a minute.
const ATTEMPTS: u32 = 20;
const ATTEMPT_PAUSE: Duration = Duration::from_secs(1);
/// Far longer than an attempt takes with its waits; a server that vanished says nothing.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(60);

/// A schema that was filled beside another one. A schema keeps its number when it is renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SchemaId(i64);

/// A connection that holds the lock until it is dropped.
pub(super) struct Maintenance {
    store: &'static str,
    connection: PgConnection,
}

impl Maintenance {
    /// Waits for as long as another process is at it.
    pub async fn begin(store: &'static str, config: &PostgresConfig) -> Result<Self, StoreError> {
        let options = config.connect_options(store)?.options([
            ("statement_timeout", "0"),
            ("idle_in_transaction_session_timeout", "0"),
            ("lock_timeout", TABLE_LOCK_TIMEOUT),
        ]);
        let connected = timeout(config.acquire_timeout, PgConnection::connect_with(&options)).await;
        let connected =
            connected.map_err(|elapsed| StoreError::Unavailable { store, source: elapsed.into() })?;
        let connection = connected.map_err(|error| failed(store, error))?;
        let mut maintenance = Self { store, connection };
        maintenance.lock().await.map_err(|error| failed(store, error))?;
        Ok(maintenance)
    }

    async fn lock(&mut self) -> sqlx::Result<()> {
        let mut has_waited = false;
        loop {
            let locked = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(LOCK);
            if locked.fetch_one(&mut self.connection).await? {
                return Ok(());
            }
            if !std::mem::replace(&mut has_waited, true) {
                tracing::info!(store = self.store, "waits for another process's change of the schema");
            }
            sleep(LOCK_PAUSE).await;
        }
    }

    /// Frees the lock at once; a connection that is only dropped frees it when the server notices.
    pub async fn end(self) {
        if let Err(error) = self.connection.close().await {
            tracing::debug!(%error, "a connection was not closed in order");
        }
    }

    /// Makes the schema if it is not there, and brings its tables up to date.
    pub async fn migrate(&mut self, schema: &str, migrations: &Migrator) -> Result<(), StoreError> {
        let store = self.store;
        self.use_schema(schema).await.map_err(|error| failed(store, error))?;
        let run = migrations.run_direct(None, &mut self.connection, false).await;
        run.map_err(|error| migration_failed(store, migrations, error))?;
        let oldest: i64 = sqlx::query_scalar("SELECT max(oldest_build) FROM compatibility")
            .fetch_one(&mut self.connection)
            .await
            .map_err(|error| failed(store, error))?;
        let known = newest(migrations);
        if oldest > known {
            return Err(StoreError::NewerVersion { store, found: oldest, known });
        }
        Ok(())
    }

    async fn use_schema(&mut self, schema: &str) -> sqlx::Result<()> {
        // Not `IF NOT EXISTS`: that asks for the right to make schemas even where there is none to make.
        if id_of(&mut self.connection, schema).await?.is_none() {
            self.connection.execute(AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).await?;
        }
        sqlx::query("SELECT set_config('search_path', $1, false)")
            .bind(schema)
            .execute(&mut self.connection)
            .await
            .map(drop)
    }

    /// An empty schema of this name; what was there is dropped.
    pub async fn make_anew(&mut self, schema: &str, migrations: &Migrator) -> Result<SchemaId, StoreError> {
        let store = self.store;
        let drop = AssertSqlSafe(format!("DROP SCHEMA IF EXISTS {schema} CASCADE"));
        self.connection.execute(drop).await.map_err(|error| failed(store, error))?;
        self.migrate(schema, migrations).await?;
        let id = id_of(&mut self.connection, schema).await.map_err(|error| failed(store, error))?;
        id.ok_or_else(|| self.build_is_gone())
    }

    /// Puts the schema `built`, called `next`, in the place of `current`, for all processes at one
    /// moment: names are looked up anew by every statement that begins or gets its locks afterwards.
    /// `tables` are in the order in which statements of more than one table name them.
    ///
    /// Doing it again when it was done changes nothing.
    pub async fn replace(
        &mut self,
        current: &str,
        next: &str,
        built: SchemaId,
        tables: &[&str],
    ) -> Result<(), StoreError> {
        let store = self.store;
        for table in tables {
            // The planner knows nothing of tables that were filled just now.
            let analyze = AssertSqlSafe(format!("ANALYZE {next}.{table}"));
            if let Err(error) = self.connection.execute(analyze).await {
                tracing::debug!(%error, "a table was not analysed");
            }
        }
        for attempt in 1.. {
            let swapped = timeout(ATTEMPT_TIMEOUT, self.try_replace(current, next, built, tables)).await;
            match swapped.map_err(|elapsed| StoreError::Unavailable { store, source: elapsed.into() })? {
                Ok(Swap::Done) => return Ok(()),
                Ok(Swap::BuildIsGone) => return Err(self.build_is_gone()),
                Ok(Swap::Newer { found, known }) => {
                    return Err(StoreError::NewerVersion { store, found, known });
                }
                Err(error) if is_lock_contention(&error) && attempt < ATTEMPTS => {
                    tracing::info!(store, attempt, "a replacement waits for those that use the old tables");
                    sleep(ATTEMPT_PAUSE).await;
                }
                Err(error) => return Err(failed(store, error)),
            }
        }
        unreachable!("the last attempt returns")
    }

    async fn try_replace(
        &mut self,
        current: &str,
        next: &str,
        built: SchemaId,
        tables: &[&str],
    ) -> sqlx::Result<Swap> {
        let mut transaction = self.connection.begin().await?;
        if id_of(&mut transaction, current).await? == Some(built) {
            return Ok(Swap::Done);
        }
        if id_of(&mut transaction, next).await? != Some(built) {
            return Ok(Swap::BuildIsGone);
        }
        // A newer build may have changed the old tables meanwhile; ours would take that back.
        let found = newest_applied(&mut transaction, current).await?;
        let known = newest_applied(&mut transaction, next).await?;
        if found > known {
            return Ok(Swap::Newer { found, known });
        }
        // Whoever writes has locked its cursor first, so that from here on nobody is in the middle of
        // a batch.
        for schema in [next, current] {
            let names: Vec<String> = tables.iter().map(|table| format!("{schema}.{table}")).collect();
            let lock = format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", names.join(", "));
            transaction.execute(AssertSqlSafe(lock)).await?;
        }
        let swap = format!("DROP SCHEMA {current} CASCADE; ALTER SCHEMA {next} RENAME TO {current}");
        transaction.execute(AssertSqlSafe(swap)).await?;
        transaction.commit().await?;
        Ok(Swap::Done)
    }

    fn build_is_gone(&self) -> StoreError {
        let what = "what was built beside it is gone: another rebuild has begun".into();
        StoreError::Damaged { store: self.store, what }
    }
}

enum Swap {
    Done,
    BuildIsGone,
    Newer { found: i64, known: i64 },
}

async fn id_of(connection: &mut PgConnection, schema: &str) -> sqlx::Result<Option<SchemaId>> {
    let id = sqlx::query_scalar("SELECT oid::bigint FROM pg_namespace WHERE nspname = $1")
        .bind(schema)
        .fetch_optional(connection)
        .await?;
    Ok(id.map(SchemaId))
}

async fn newest_applied(connection: &mut PgConnection, schema: &str) -> sqlx::Result<i64> {
    let newest = format!("SELECT coalesce(max(version), 0) FROM {schema}._sqlx_migrations");
    sqlx::query_scalar(AssertSqlSafe(newest)).fetch_one(connection).await
}
