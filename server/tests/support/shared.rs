//! What the processes of one distributed platform share, of its own in servers that others test with too.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use roomlog_eventlog::PartitionCounts;
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session_builder::SessionBuilder;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;
use uuid::Uuid;

use super::{Server, kafka, named};

/// The servers are slow at dropping what has tables or partitions.
const DROP_TIMEOUT: Duration = Duration::from_secs(60);

/// Topics, a keyspace, schemas and files of secrets; removed with this, after the processes.
pub struct Shared {
    brokers: String,
    cql: String,
    postgres: String,
    /// Begins the names of all that is shared.
    name: String,
    counts: PartitionCounts,
    secrets: TempDir,
    /// What goes before the settings without TLS.
    transport: Vec<(&'static str, String)>,
}

impl Shared {
    /// `None` where one of the servers is missing.
    pub fn new(counts: PartitionCounts) -> Option<Self> {
        Some(Self {
            brokers: kafka()?,
            cql: named("ROOMLOG_TEST_CQL", "ROOMLOG_TEST_REQUIRE_CQL")?,
            postgres: named("ROOMLOG_TEST_POSTGRES", "ROOMLOG_TEST_REQUIRE_POSTGRES")?,
            name: format!("t{}", &Uuid::new_v4().simple().to_string()[..16]),
            counts,
            secrets: TempDir::new().unwrap(),
            transport: Vec::new(),
        })
    }

    /// The same over TLS: mutual to Kafka, to the CQL store and between the processes, and to PostgreSQL.
    pub fn over_tls(counts: PartitionCounts) -> Option<Self> {
        let kafka = named("ROOMLOG_TEST_KAFKA_TLS", "ROOMLOG_TEST_REQUIRE_KAFKA_TLS")?;
        let cql = named("ROOMLOG_TEST_CQL_TLS", "ROOMLOG_TEST_REQUIRE_CQL_TLS")?;
        let postgres = named("ROOMLOG_TEST_POSTGRES_TLS", "ROOMLOG_TEST_REQUIRE_POSTGRES_TLS")?;
        let folder = named("ROOMLOG_TEST_CERTIFICATES", "ROOMLOG_TEST_REQUIRE_KAFKA_TLS")?;
        let file = |name: &str| format!("{folder}/{name}");
        let mut transport = vec![
            ("ROOMLOG_KAFKA_BROKERS", kafka),
            ("ROOMLOG_KAFKA_PROTOCOL", "ssl".into()),
            ("ROOMLOG_CQL_NODES", cql),
            ("ROOMLOG_POSTGRES_URL", postgres),
            ("ROOMLOG_POSTGRES_CA_FILE", file("ca.pem")),
            ("ROOMLOG_INTERNAL_ALLOW_PLAIN", "false".into()),
        ];
        for [ca, cert, key] in [
            ["ROOMLOG_KAFKA_CA_FILE", "ROOMLOG_KAFKA_CERT_FILE", "ROOMLOG_KAFKA_KEY_FILE"],
            ["ROOMLOG_CQL_CA_FILE", "ROOMLOG_CQL_CERT_FILE", "ROOMLOG_CQL_KEY_FILE"],
            ["ROOMLOG_INTERNAL_CA_FILE", "ROOMLOG_INTERNAL_CERT_FILE", "ROOMLOG_INTERNAL_KEY_FILE"],
        ] {
            transport.extend([(ca, file("ca.pem")), (cert, file("process.pem")), (key, file("process.key"))]);
        }
        let mut shared = Self::new(counts)?;
        shared.transport = transport;
        Some(shared)
    }

    /// Starts a process with these roles, and these settings besides; ready when this returns.
    pub async fn start(&self, roles: &str, settings: &[(&str, &str)]) -> Server {
        let Self { brokers, cql, postgres, name, .. } = self;
        let secret = |name: &str| self.secrets.path().join(name).to_str().unwrap().to_owned();
        let common = [
            ("ROOMLOG_ROLES", roles.to_owned()),
            ("ROOMLOG_LOG", "kafka".into()),
            ("ROOMLOG_KAFKA_BROKERS", brokers.clone()),
            ("ROOMLOG_KAFKA_TOPIC_PREFIX", self.topic_prefix()),
            ("ROOMLOG_KAFKA_ALLOW_WEAK", "true".into()),
            ("ROOMLOG_KAFKA_REPLICATION", "1".into()),
            ("ROOMLOG_KAFKA_MIN_ISR", "1".into()),
            ("ROOMLOG_PARTITIONS_ACCOUNTS", self.counts.accounts.to_string()),
            ("ROOMLOG_PARTITIONS_ROOMS", self.counts.rooms.to_string()),
            ("ROOMLOG_ROOM_STORE", "cql".into()),
            ("ROOMLOG_CQL_NODES", cql.clone()),
            ("ROOMLOG_CQL_KEYSPACE", name.clone()),
            ("ROOMLOG_CQL_REPLICATION", "1".into()),
            ("ROOMLOG_SQL_STORE", "postgres".into()),
            ("ROOMLOG_POSTGRES_URL", postgres.clone()),
            ("ROOMLOG_POSTGRES_DIRECTORY_SCHEMA", format!("{name}_directory")),
            ("ROOMLOG_POSTGRES_SECRETS_SCHEMA", format!("{name}_secrets")),
            ("ROOMLOG_POSTGRES_QUARANTINE_SCHEMA", format!("{name}_quarantine")),
            ("ROOMLOG_POSTGRES_MAX_CONNECTIONS", "3".into()),
            ("ROOMLOG_MASTER_KEY_FILE", secret("master.key")),
            ("ROOMLOG_ADMINISTRATOR_TOKEN_FILE", secret("administrator.token")),
            ("ROOMLOG_INTERNAL_ALLOW_PLAIN", "true".into()),
        ];
        let limits = [
            "ROOMLOG_RATE_COMMANDS",
            "ROOMLOG_RATE_COMMANDS_ADDRESS",
            "ROOMLOG_RATE_QUERIES",
            "ROOMLOG_RATE_QUERIES_ADDRESS",
            "ROOMLOG_RATE_LOG_INS_ADDRESS",
            "ROOMLOG_RATE_LOG_INS_NAME",
            "ROOMLOG_RATE_REGISTRATIONS_ADDRESS",
        ];
        let mut all: Vec<(&str, &str)> =
            common.iter().chain(&self.transport).map(|(name, value)| (*name, value.as_str())).collect();
        all.extend(limits.map(|limit| (limit, "0")));
        all.extend(settings);
        Server::start_with(&all).await
    }

    fn topic_prefix(&self) -> String {
        format!("{}-", self.name)
    }

    async fn remove(&self) {
        let session = SessionBuilder::new()
            .known_node(&self.cql)
            .default_execution_profile_handle(
                ExecutionProfile::builder().request_timeout(Some(DROP_TIMEOUT)).build().into_handle(),
            )
            .build()
            .await
            .unwrap();
        session.query_unpaged(format!("DROP KEYSPACE IF EXISTS {}", self.name), ()).await.unwrap();

        let mut postgres = PgConnection::connect(&self.postgres).await.unwrap();
        let schemas: Vec<String> =
            sqlx::query_scalar("SELECT nspname::text FROM pg_namespace WHERE starts_with(nspname, $1)")
                .bind(&self.name)
                .fetch_all(&mut postgres)
                .await
                .unwrap();
        for schema in schemas {
            postgres.execute(AssertSqlSafe(format!("DROP SCHEMA {schema} CASCADE"))).await.unwrap();
        }

        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        let consumer: BaseConsumer = config.create().unwrap();
        let metadata = consumer.fetch_metadata(None, DROP_TIMEOUT).unwrap();
        let topics: Vec<&str> = metadata
            .topics()
            .iter()
            .map(|topic| topic.name())
            .filter(|topic| topic.starts_with(&self.topic_prefix()))
            .collect();
        let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
        admin.delete_topics(&topics, &AdminOptions::new()).await.unwrap();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Not on the test's threads: they may not wait.
        let removed = std::thread::scope(|scope| {
            let remove = || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(self.remove());
            };
            scope.spawn(remove).join()
        });
        if removed.is_err() {
            eprintln!("what begins with {} was not removed everywhere", self.name);
        }
    }
}
