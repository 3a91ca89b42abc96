//! Schemas of their own in the server that `ROOMLOG_TEST_POSTGRES` names, dropped at the end.

use std::sync::Arc;

use super::{certificate, named};
use async_trait::async_trait;
use roomlog_stores::conformance::Backend;
use roomlog_stores::postgres::{
    PostgresConfig, PostgresDirectoryStore, PostgresQuarantineStore, PostgresSecretsStore,
};
use roomlog_stores::{DirectoryStore, QuarantineStore, SecretsStore};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

pub struct Postgres {
    pub config: PostgresConfig,
}

impl Postgres {
    /// `None` where there is no PostgreSQL to test with; an error if there must be one.
    pub fn new() -> Option<Self> {
        Some(Self::at(named("ROOMLOG_TEST_POSTGRES", "ROOMLOG_TEST_REQUIRE_POSTGRES")?))
    }

    /// Over TLS, at `ROOMLOG_TEST_POSTGRES_TLS`.
    pub fn over_tls() -> Option<Self> {
        let url = named("ROOMLOG_TEST_POSTGRES_TLS", "ROOMLOG_TEST_REQUIRE_POSTGRES_TLS")?;
        let mut backend = Self::at(url);
        backend.config.ca_file = Some(certificate("ca.pem"));
        Some(backend)
    }

    fn at(url: String) -> Self {
        let mut random = [0; 8];
        getrandom::fill(&mut random).unwrap();
        let random = u64::from_le_bytes(random);
        let config = PostgresConfig {
            directory_schema: format!("test_{random:016x}_directory"),
            secrets_schema: format!("test_{random:016x}_secrets"),
            quarantine_schema: format!("test_{random:016x}_quarantine"),
            max_connections: 5,
            ..PostgresConfig::new(url)
        };
        Self { config }
    }

    pub async fn directory(&self) -> PostgresDirectoryStore {
        PostgresDirectoryStore::open(&self.config).await.unwrap()
    }

    pub async fn secrets(&self) -> PostgresSecretsStore {
        PostgresSecretsStore::open(&self.config).await.unwrap()
    }

    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.config.url).await.unwrap()
    }

    /// The schema whose tables count; a rebuild's has `_next` behind it.
    pub fn directory_schema(&self) -> String {
        format!("{}_v{}", self.config.directory_schema, roomlog_stores::directory::version())
    }

    pub async fn execute(&self, sql: String) {
        self.connect().await.execute(AssertSqlSafe(sql)).await.unwrap();
    }

    async fn drop_schemas(&self) {
        let directory = self.directory_schema();
        let PostgresConfig { secrets_schema, quarantine_schema, .. } = self.config.clone();
        let names = [format!("{directory}_next"), directory, secrets_schema, quarantine_schema];
        self.execute(format!("DROP SCHEMA IF EXISTS {} CASCADE", names.join(", "))).await;
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Not on the test's threads: they may not wait.
        let cleaned = std::thread::scope(|scope| {
            let clean = || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(self.drop_schemas());
            };
            scope.spawn(clean).join()
        });
        assert!(cleaned.is_ok() || std::thread::panicking(), "the test's schemas were not dropped");
    }
}

#[async_trait]
impl Backend<dyn DirectoryStore> for Postgres {
    async fn open(&self) -> Arc<dyn DirectoryStore> {
        Arc::new(self.directory().await)
    }
}

#[async_trait]
impl Backend<dyn SecretsStore> for Postgres {
    async fn open(&self) -> Arc<dyn SecretsStore> {
        Arc::new(self.secrets().await)
    }
}

#[async_trait]
impl Backend<dyn QuarantineStore> for Postgres {
    async fn open(&self) -> Arc<dyn QuarantineStore> {
        Arc::new(PostgresQuarantineStore::open(&self.config).await.unwrap())
    }
}
