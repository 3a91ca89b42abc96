//! Of what a platform under load consists: whose processor time and memory are told apart.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cluster::Service;
use crate::platform::Role;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// All roles in one process.
    Roomlog,
    CommandApi,
    Projectors,
    QueryApi,
    WsFanout,
    Nginx,
    Kafka,
    /// Cassandra or ScyllaDB.
    Cql,
    Postgres,
    /// The comparison that stores nothing.
    Broadcast,
}

/// One process that is looked at, with its children where it does its work in such.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    pub part: Part,
    /// Told apart from others of the same part: `ws-fanout-1`.
    pub name: String,
    pub pid: u32,
}

impl Part {
    pub const ALL: [Self; 10] = [
        Self::Roomlog,
        Self::CommandApi,
        Self::Projectors,
        Self::QueryApi,
        Self::WsFanout,
        Self::Nginx,
        Self::Kafka,
        Self::Cql,
        Self::Postgres,
        Self::Broadcast,
    ];

    /// As in the names of figures.
    pub fn id(self) -> &'static str {
        match self {
            Self::Roomlog => "roomlog",
            Self::CommandApi => "command-api",
            Self::Projectors => "projectors",
            Self::QueryApi => "query-api",
            Self::WsFanout => "ws-fanout",
            Self::Nginx => "nginx",
            Self::Kafka => "kafka",
            Self::Cql => "cql",
            Self::Postgres => "postgres",
            Self::Broadcast => "broadcast",
        }
    }

    /// What a process with these roles is.
    pub fn of_roles(has: impl Fn(Role) -> bool) -> Self {
        let of = |role| match role {
            Role::CommandApi => Self::CommandApi,
            Role::Projectors => Self::Projectors,
            Role::QueryApi => Self::QueryApi,
            Role::WsFanout => Self::WsFanout,
        };
        let mut roles = Role::ALL.into_iter().filter(|role| has(*role));
        match (roles.next(), roles.next()) {
            (Some(role), None) => of(role),
            _ => Self::Roomlog,
        }
    }

    /// A program of this repository, not a server that it stands on.
    pub fn is_own(self) -> bool {
        !matches!(self, Self::Nginx | Self::Kafka | Self::Cql | Self::Postgres)
    }

    /// Holds the sockets.
    pub fn is_fan_out(self) -> bool {
        matches!(self, Self::Roomlog | Self::WsFanout | Self::Broadcast)
    }

    /// Works in child processes.
    pub fn has_children(self) -> bool {
        matches!(self, Self::Nginx | Self::Postgres)
    }
}

impl From<Service> for Part {
    fn from(service: Service) -> Self {
        match service {
            Service::Kafka => Self::Kafka,
            Service::Cql => Self::Cql,
            Service::Postgres => Self::Postgres,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_called_after_its_only_role() {
        assert_eq!(Part::of_roles(|role| role == Role::Projectors), Part::Projectors);
        assert_eq!(Part::of_roles(|_| true), Part::Roomlog);
        assert_eq!(Part::of_roles(|role| role != Role::QueryApi), Part::Roomlog);
    }

    #[test]
    fn every_part_has_one_name_in_figures_and_in_plans() {
        for part in Part::ALL {
            assert_eq!(serde_json::to_value(part).unwrap(), part.id());
        }
    }
}
