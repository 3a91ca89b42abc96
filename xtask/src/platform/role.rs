//! What a process of the platform does.

use std::fmt;

/// One of the platform's roles. A process runs one or several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Role {
    CommandApi,
    Projectors,
    QueryApi,
    WsFanout,
}

impl Role {
    pub const ALL: [Self; 4] = [Self::CommandApi, Self::Projectors, Self::QueryApi, Self::WsFanout];

    /// As in `ROOMLOG_ROLES` and in the tags of the OpenAPI document.
    pub fn id(self) -> &'static str {
        match self {
            Self::CommandApi => "command-api",
            Self::Projectors => "projectors",
            Self::QueryApi => "query-api",
            Self::WsFanout => "ws-fanout",
        }
    }

    /// From the edge inwards: who is asked goes after who asks.
    pub const IN_ORDER_OF_STOPPING: [Self; 4] =
        [Self::WsFanout, Self::QueryApi, Self::CommandApi, Self::Projectors];
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}
