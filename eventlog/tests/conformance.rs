//! The log's conformance suite on every backend.

// Clippy knows the tests themselves, not what they share.
#![allow(clippy::unwrap_used)]

mod backends;

use backends::kafka::Kafka;
use backends::memory::Memory;
use backends::sqlite::Sqlite;
use roomlog_eventlog::event_log_conformance;

event_log_conformance!(memory, Some(Memory::new()));
event_log_conformance!(sqlite, Some(Sqlite::new()));
event_log_conformance!(kafka, Kafka::new());
event_log_conformance!(kafka_over_tls, Kafka::over_tls());
