//! The platforms that are measured.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cluster::Service;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One process on SQLite
    Embedded,
    /// One process, its log on Kafka, its stores on SQLite
    Kafka,
    /// Processes of each role on Kafka, Cassandra and PostgreSQL
    Distributed,
}

impl Kind {
    pub fn services(self) -> &'static [Service] {
        match self {
            Self::Embedded => &[],
            Self::Kafka => &[Service::Kafka],
            Self::Distributed => &Service::ALL,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Embedded => "embedded",
            Self::Kafka => "kafka",
            Self::Distributed => "distributed",
        })
    }
}

/// How a distributed platform is made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Layout {
    /// Processes of each role.
    pub instances: usize,
    /// Whether the load goes through nginx, or straight to the processes.
    pub through_proxy: bool,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = if self.through_proxy { "through nginx" } else { "straight" };
        write!(f, "{} of each role, {way}", self.instances)
    }
}
