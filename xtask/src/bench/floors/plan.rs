//! What a comparison is asked to do. Each is given as JSON on the command line.

use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::bench::workload::{Load, Timing};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogPlan {
    pub log: Log,
    pub load: Load,
    pub timing: Timing,
    pub broker_pid: Option<u32>,
}

/// A new log, with as many partitions as Roomlog gives it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Log {
    Sqlite { file: PathBuf },
    Kafka { brokers: String, topic_prefix: String },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CommitPlan {
    /// Of a database that does not exist yet.
    pub file: PathBuf,
    /// For each part of it.
    pub seconds: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReadingPlan {
    pub records: u64,
}

impl FromStr for LogPlan {
    type Err = serde_json::Error;

    fn from_str(json: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(json)
    }
}

impl FromStr for CommitPlan {
    type Err = serde_json::Error;

    fn from_str(json: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(json)
    }
}

impl FromStr for ReadingPlan {
    type Err = serde_json::Error;

    fn from_str(json: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(json)
    }
}
