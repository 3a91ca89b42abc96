//! What a process says of itself.

use std::collections::BTreeMap;
use std::fmt;

use roomlog_eventlog::TopicPartition;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Names one run of a process: fresh at each start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProcessId(pub Uuid);

impl ProcessId {
    pub fn fresh() -> Self {
        Self(Uuid::new_v4())
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a process does. One process may do any set of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    CommandApi,
    Projectors,
    QueryApi,
    WsFanout,
}

impl Role {
    pub const ALL: [Role; 4] = [Role::CommandApi, Role::Projectors, Role::QueryApi, Role::WsFanout];

    pub const fn name(self) -> &'static str {
        match self {
            Role::CommandApi => "command-api",
            Role::Projectors => "projectors",
            Role::QueryApi => "query-api",
            Role::WsFanout => "ws-fanout",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A partition that the process owns as its writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owned {
    pub partition: TopicPartition,
    /// Of the owner's claim.
    pub epoch: u64,
    /// Whoever is named here may claim at once: the owner has stopped deciding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<ProcessId>,
}

/// JSON on the topic; fields that a reader does not know are ignored, so that processes of two
/// versions understand each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    pub process: ProcessId,
    /// Rises by one with each heartbeat of the process.
    pub sequence: u64,
    /// Of the program.
    pub version: String,
    pub roles: Vec<Role>,
    /// Where other processes reach this one's gRPC service, as `http://host:port` or
    /// `https://host:port`; empty if it has none.
    #[serde(default)]
    pub address: String,
    /// On its way out: takes on nothing new.
    #[serde(default)]
    pub stopping: bool,
    #[serde(default)]
    pub owned: Vec<Owned>,
    /// Partitions that it could not own now, although its role would let it.
    #[serde(default)]
    pub unable: Vec<TopicPartition>,
    /// Partitions whose state it has in memory, read to near the end: it can take over at once.
    #[serde(default)]
    pub warm: Vec<TopicPartition>,
    /// The projections that it can fill, each with the version of its rows. (Builds that did not say so yet filled
    /// version 1 of every one.)
    #[serde(default)]
    pub projections: BTreeMap<String, u32>,
}

impl Heartbeat {
    pub fn new(process: ProcessId, roles: Vec<Role>, address: String) -> Self {
        Self {
            process,
            sequence: 0,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            roles,
            address,
            stopping: false,
            owned: Vec::new(),
            unable: Vec::new(),
            warm: Vec::new(),
            projections: BTreeMap::new(),
        }
    }

    pub fn has_role(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Of the rows that it fills.
    pub fn version_of(&self, projection: &str) -> u32 {
        self.projections.get(projection).copied().unwrap_or(1)
    }

    pub fn owns(&self, partition: TopicPartition) -> Option<&Owned> {
        self.owned.iter().find(|owned| owned.partition == partition)
    }
}
