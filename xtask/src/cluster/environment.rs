//! The settings that make Roomlog, or its tests, use the servers of a cluster.

use anyhow::Result;

use super::instance::Instance;
use super::postgres;
use super::server::Server;
use super::service::Service;

pub type Environment = Vec<(&'static str, String)>;

/// What Roomlog reads.
pub fn for_roomlog(instance: &Instance, service: Service, port: u16) -> Result<Environment> {
    let address = format!("127.0.0.1:{port}");
    let set = |name, value: &str| (name, value.to_owned());
    Ok(match service {
        Service::Kafka => vec![
            set("ROOMLOG_LOG", "kafka"),
            set("ROOMLOG_KAFKA_BROKERS", &address),
            // One broker cannot hold the copies that a log needs outside development.
            set("ROOMLOG_KAFKA_ALLOW_WEAK", "true"),
            set("ROOMLOG_KAFKA_REPLICATION", "1"),
            set("ROOMLOG_KAFKA_MIN_ISR", "1"),
        ],
        Service::Cql => vec![
            set("ROOMLOG_ROOM_STORE", "cql"),
            set("ROOMLOG_CQL_NODES", &address),
            set("ROOMLOG_CQL_KEYSPACE", "roomlog"),
            set("ROOMLOG_CQL_REPLICATION", "1"),
        ],
        Service::Postgres => {
            vec![set("ROOMLOG_SQL_STORE", "postgres"), set("ROOMLOG_POSTGRES_URL", &url(instance, port)?)]
        }
    })
}

/// What tests read: the server's address, and that a test which does not find it fails.
pub fn for_tests(instance: &Instance, service: Service, port: u16) -> Result<Environment> {
    let value = match service {
        Service::Postgres => url(instance, port)?,
        Service::Kafka | Service::Cql => format!("127.0.0.1:{port}"),
    };
    let (address, require) = names_for_tests(service);
    Ok(vec![(address, value), (require, "1".to_owned())])
}

pub fn names_for_tests(service: Service) -> (&'static str, &'static str) {
    match service {
        Service::Kafka => ("ROOMLOG_TEST_KAFKA", "ROOMLOG_TEST_REQUIRE_KAFKA"),
        Service::Cql => ("ROOMLOG_TEST_CQL", "ROOMLOG_TEST_REQUIRE_CQL"),
        Service::Postgres => ("ROOMLOG_TEST_POSTGRES", "ROOMLOG_TEST_REQUIRE_POSTGRES"),
    }
}

fn url(instance: &Instance, port: u16) -> Result<String> {
    postgres::url(&Server::new(instance, Service::Postgres), port)
}
