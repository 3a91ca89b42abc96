//! The settings that make Roomlog, or its tests, use the servers of a cluster.

use std::path::Path;

use anyhow::{Context, Result};

use super::certificates::Certificates;
use super::instance::Instance;
use super::server::Server;
use super::service::Service;
use super::{Running, kafka, postgres};

pub type Environment = Vec<(&'static str, String)>;

/// What Roomlog reads.
pub fn for_roomlog(instance: &Instance, running: &Running) -> Result<Environment> {
    let mut settings = without_transport(running.service);
    settings.extend(match running.service {
        Service::Kafka => vec![("ROOMLOG_KAFKA_BROKERS", running.address())],
        Service::Cql => vec![("ROOMLOG_CQL_NODES", running.address())],
        Service::Postgres => {
            vec![("ROOMLOG_POSTGRES_URL", postgres::url(&server(instance, running), running.port)?)]
        }
    });
    Ok(settings)
}

/// The same over TLS, with a certificate of its own where the server can ask for one. (Roomlog shows PostgreSQL none.)
pub fn for_roomlog_over_tls(instance: &Instance, running: &Running) -> Result<Environment> {
    let ports = running.tls.with_context(|| format!("{} has no TLS", running.service))?;
    let files = Certificates::of(instance);
    let (ca, cert, key) = (path(&files.ca()), path(&files.process_certificate()), path(&files.process_key()));
    let mut settings = without_transport(running.service);
    settings.extend(match running.service {
        Service::Kafka => vec![
            ("ROOMLOG_KAFKA_BROKERS", local(ports.mutual)),
            ("ROOMLOG_KAFKA_PROTOCOL", "ssl".to_owned()),
            ("ROOMLOG_KAFKA_CA_FILE", ca),
            ("ROOMLOG_KAFKA_CERT_FILE", cert),
            ("ROOMLOG_KAFKA_KEY_FILE", key),
        ],
        Service::Cql => vec![
            ("ROOMLOG_CQL_NODES", local(ports.mutual)),
            ("ROOMLOG_CQL_CA_FILE", ca),
            ("ROOMLOG_CQL_CERT_FILE", cert),
            ("ROOMLOG_CQL_KEY_FILE", key),
        ],
        Service::Postgres => vec![
            ("ROOMLOG_POSTGRES_URL", postgres::url_over_tls(&server(instance, running), ports.password)?),
            ("ROOMLOG_POSTGRES_CA_FILE", ca),
        ],
    });
    Ok(settings)
}

/// Mutual TLS between the platform's processes.
pub fn between_processes(instance: &Instance) -> Environment {
    let files = Certificates::of(instance);
    vec![
        ("ROOMLOG_INTERNAL_CA_FILE", path(&files.ca())),
        ("ROOMLOG_INTERNAL_CERT_FILE", path(&files.process_certificate())),
        ("ROOMLOG_INTERNAL_KEY_FILE", path(&files.process_key())),
        ("ROOMLOG_INTERNAL_ALLOW_PLAIN", "false".to_owned()),
    ]
}

fn without_transport(service: Service) -> Environment {
    let set = |name, value: &str| (name, value.to_owned());
    match service {
        Service::Kafka => vec![
            set("ROOMLOG_LOG", "kafka"),
            // One broker cannot hold the copies that a log needs outside development.
            set("ROOMLOG_KAFKA_ALLOW_WEAK", "true"),
            set("ROOMLOG_KAFKA_REPLICATION", "1"),
            set("ROOMLOG_KAFKA_MIN_ISR", "1"),
        ],
        Service::Cql => vec![
            set("ROOMLOG_ROOM_STORE", "cql"),
            set("ROOMLOG_CQL_KEYSPACE", "roomlog"),
            set("ROOMLOG_CQL_REPLICATION", "1"),
        ],
        Service::Postgres => vec![set("ROOMLOG_SQL_STORE", "postgres")],
    }
}

/// Every name that tests' servers may set. A test that does not find an address is skipped, unless it is required.
pub const FOR_TESTS: [&str; 17] = [
    "ROOMLOG_TEST_CERTIFICATES",
    "ROOMLOG_TEST_KAFKA",
    "ROOMLOG_TEST_KAFKA_TLS",
    "ROOMLOG_TEST_KAFKA_SASL",
    "ROOMLOG_TEST_KAFKA_USER",
    "ROOMLOG_TEST_KAFKA_PASSWORD",
    "ROOMLOG_TEST_CQL",
    "ROOMLOG_TEST_CQL_TLS",
    "ROOMLOG_TEST_POSTGRES",
    "ROOMLOG_TEST_POSTGRES_TLS",
    "ROOMLOG_TEST_REQUIRE_KAFKA",
    "ROOMLOG_TEST_REQUIRE_KAFKA_TLS",
    "ROOMLOG_TEST_REQUIRE_KAFKA_SASL",
    "ROOMLOG_TEST_REQUIRE_CQL",
    "ROOMLOG_TEST_REQUIRE_CQL_TLS",
    "ROOMLOG_TEST_REQUIRE_POSTGRES",
    "ROOMLOG_TEST_REQUIRE_POSTGRES_TLS",
];

/// What tests read: the server's addresses, and that a test which does not find one fails.
pub fn for_tests(instance: &Instance, running: &Running) -> Result<Environment> {
    let yes = || "1".to_owned();
    let server = server(instance, running);
    let mut settings = match running.service {
        Service::Kafka => {
            vec![("ROOMLOG_TEST_KAFKA", running.address()), ("ROOMLOG_TEST_REQUIRE_KAFKA", yes())]
        }
        Service::Cql => vec![("ROOMLOG_TEST_CQL", running.address()), ("ROOMLOG_TEST_REQUIRE_CQL", yes())],
        Service::Postgres => vec![
            ("ROOMLOG_TEST_POSTGRES", postgres::url(&server, running.port)?),
            ("ROOMLOG_TEST_REQUIRE_POSTGRES", yes()),
        ],
    };
    let Some(ports) = running.tls else { return Ok(settings) };
    settings.extend(match running.service {
        Service::Kafka => vec![
            ("ROOMLOG_TEST_KAFKA_TLS", local(ports.mutual)),
            ("ROOMLOG_TEST_REQUIRE_KAFKA_TLS", yes()),
            ("ROOMLOG_TEST_KAFKA_SASL", local(ports.password)),
            ("ROOMLOG_TEST_REQUIRE_KAFKA_SASL", yes()),
            ("ROOMLOG_TEST_KAFKA_USER", kafka::USER.to_owned()),
            ("ROOMLOG_TEST_KAFKA_PASSWORD", kafka::password(&server)?),
        ],
        Service::Cql => {
            vec![("ROOMLOG_TEST_CQL_TLS", local(ports.mutual)), ("ROOMLOG_TEST_REQUIRE_CQL_TLS", yes())]
        }
        Service::Postgres => vec![
            ("ROOMLOG_TEST_POSTGRES_TLS", postgres::url_over_tls(&server, ports.password)?),
            ("ROOMLOG_TEST_REQUIRE_POSTGRES_TLS", yes()),
        ],
    });
    Ok(settings)
}

/// A folder with what such a test says who it is with, and with what no server here believes.
pub fn certificates_for_tests(instance: &Instance) -> (&'static str, String) {
    ("ROOMLOG_TEST_CERTIFICATES", path(Certificates::of(instance).folder()))
}

fn server(instance: &Instance, running: &Running) -> Server {
    Server::new(instance, running.service)
}

fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
