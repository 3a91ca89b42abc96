//! The kinds of server that the platform stands on.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One kind of server. An [`Instance`](super::Instance) has at most one of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// The event log
    Kafka,
    /// The room store: ScyllaDB from a container, Cassandra from its jars
    Cql,
    /// Secrets, directory, reports, audit, search
    Postgres,
}

impl Service {
    pub const ALL: [Self; 3] = [Self::Kafka, Self::Cql, Self::Postgres];

    /// As on the command line, in folders and in `infra/compose.yaml`.
    pub fn id(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Cql => "cql",
            Self::Postgres => "postgres",
        }
    }

    /// Where its clients expect it.
    pub fn customary_port(self) -> u16 {
        match self {
            Self::Kafka => 9092,
            Self::Cql => 9042,
            Self::Postgres => 5432,
        }
    }

    /// How long a start may take. On an idle machine they are up in 3, 6 and 1 s; a compiler beside them makes that a
    /// multiple.
    pub fn ready_deadline(self) -> Duration {
        match self {
            Self::Kafka | Self::Postgres => Duration::from_secs(120),
            Self::Cql => Duration::from_secs(240),
        }
    }

    /// The signal after which it closes its data properly. PostgreSQL would wait for its clients at a SIGTERM.
    pub fn stop_signal(self) -> &'static str {
        match self {
            Self::Kafka | Self::Cql => "TERM",
            Self::Postgres => "INT",
        }
    }

    /// The signal that ends it at once. PostgreSQL's children would outlive a SIGKILL of their parent for a while.
    pub fn end_signal(self) -> &'static str {
        match self {
            Self::Kafka | Self::Cql => "KILL",
            Self::Postgres => "QUIT",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kafka => "Kafka",
            Self::Cql => "CQL store",
            Self::Postgres => "PostgreSQL",
        })
    }
}
