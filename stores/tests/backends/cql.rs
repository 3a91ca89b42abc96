use std::sync::Arc;

use super::{certificate, named};
use async_trait::async_trait;
use roomlog_stores::RoomStore;
use roomlog_stores::conformance::Backend;
use roomlog_stores::cql::{CqlConfig, CqlRoomStore};
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;

/// A keyspace of its own in the cluster that `ROOMLOG_TEST_CQL` names; dropped with this.
pub struct Cql {
    pub config: CqlConfig,
}

impl Cql {
    /// `None` where there is no cluster to test with; an error if there must be one.
    pub fn new() -> Option<Self> {
        Some(Self::at(named("ROOMLOG_TEST_CQL", "ROOMLOG_TEST_REQUIRE_CQL")?))
    }

    /// Over mutual TLS, at `ROOMLOG_TEST_CQL_TLS`.
    pub fn over_tls() -> Option<Self> {
        let mut backend = Self::at(named("ROOMLOG_TEST_CQL_TLS", "ROOMLOG_TEST_REQUIRE_CQL_TLS")?);
        backend.config.tls_ca = Some(certificate("ca.pem"));
        backend.config.tls_cert = Some(certificate("process.pem"));
        backend.config.tls_key = Some(certificate("process.key"));
        Some(backend)
    }

    fn at(node: String) -> Self {
        let mut random = [0; 8];
        getrandom::fill(&mut random).unwrap();
        let keyspace = format!("test_{:016x}", u64::from_le_bytes(random));
        let mut config = CqlConfig::new(vec![node], keyspace);
        config.replication = "1".into();
        // The machine may be busy with other tests.
        config.request_timeout = std::time::Duration::from_secs(20);
        Self { config }
    }

    pub async fn store(&self) -> CqlRoomStore {
        CqlRoomStore::open(self.config.clone()).await.unwrap()
    }

    /// For a look behind the store.
    pub async fn session(&self) -> Session {
        session(&self.config).await
    }
}

async fn session(config: &CqlConfig) -> Session {
    // Servers are slow at dropping tables.
    let profile = ExecutionProfile::builder().request_timeout(Some(config.request_timeout)).build();
    // Without TLS, also beside a store that has it: the node serves both at one port.
    let builder = SessionBuilder::new().known_nodes(&config.nodes);
    builder.default_execution_profile_handle(profile.into_handle()).build().await.unwrap()
}

impl Drop for Cql {
    fn drop(&mut self) {
        let config = self.config.clone();
        // In a runtime of its own: the test's may be ending, and nobody can wait in `drop`.
        let dropped = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
                let cql = format!("DROP KEYSPACE IF EXISTS {}", config.keyspace);
                session(&config).await.query_unpaged(cql, ()).await.unwrap();
            });
        });
        if dropped.join().is_err() {
            eprintln!("the keyspace {} stays", self.config.keyspace);
        }
    }
}

#[async_trait]
impl Backend<dyn RoomStore> for Cql {
    async fn open(&self) -> Arc<dyn RoomStore> {
        Arc::new(self.store().await)
    }
}
