//! The workloads.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Case {
    /// One large room: 1 room × 1,000 sockets at 20 messages/s
    W1,
    /// Many small rooms: 100 rooms × 10 sockets at 1,000 messages/s
    W2,
    /// The peak: 64 senders, each waiting for its answer; 16 rooms × 2 sockets
    W3,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::W1 => "W1",
            Self::W2 => "W2",
            Self::W3 => "W3",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    pub rooms: usize,
    /// Each of them members of the one room.
    pub accounts_per_room: usize,
    /// Shared evenly among the room's accounts; a server may allow an account 64 at most.
    pub sockets_per_room: usize,
    pub load: Load,
    /// Bytes of a message's text.
    pub text_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// Messages go out at their intended times, whatever the answers; spread evenly over the rooms.
    Open { messages_per_second: u32 },
    /// Each sender sends again when it has its answer.
    Closed { senders: usize },
}

/// How long, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// Load before each measurement, not measured.
    pub warm_up_seconds: u32,
    pub seconds: u32,
    pub rounds: u32,
}

impl Timing {
    pub fn warm_up(&self) -> Duration {
        Duration::from_secs(self.warm_up_seconds.into())
    }

    pub fn measured(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }
}

/// What the goals are stated for.
const TEXT_BYTES: usize = 256;

impl Case {
    pub fn workload(self, quick: bool) -> Workload {
        let (rooms, accounts_per_room, sockets_per_room, load) = match (self, quick) {
            (Self::W1, false) => (1, 20, 1_000, Load::Open { messages_per_second: 20 }),
            (Self::W1, true) => (1, 4, 200, Load::Open { messages_per_second: 20 }),
            (Self::W2, false) => (100, 2, 10, Load::Open { messages_per_second: 1_000 }),
            (Self::W2, true) => (10, 2, 10, Load::Open { messages_per_second: 200 }),
            (Self::W3, false) => (16, 4, 2, Load::Closed { senders: 64 }),
            (Self::W3, true) => (4, 2, 2, Load::Closed { senders: 8 }),
        };
        Workload { rooms, accounts_per_room, sockets_per_room, load, text_bytes: TEXT_BYTES }
    }
}

impl Workload {
    pub fn sockets(&self) -> usize {
        self.rooms * self.sockets_per_room
    }

    pub fn accounts(&self) -> usize {
        self.rooms * self.accounts_per_room
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rooms = if self.rooms == 1 { "room" } else { "rooms" };
        write!(f, "{} {rooms} × {} sockets, {}", self.rooms, self.sockets_per_room, self.load)
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { messages_per_second } => write!(f, "{messages_per_second} messages/s"),
            Self::Closed { senders: 1 } => f.write_str("1 closed-loop sender"),
            Self::Closed { senders } => write!(f, "{senders} closed-loop senders"),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    /// A server's limit of sockets per account.
    const SOCKETS_PER_ACCOUNT: usize = 64;

    #[test]
    fn no_account_has_more_sockets_than_a_server_allows() {
        for case in Case::value_variants() {
            for quick in [false, true] {
                let workload = case.workload(quick);
                let per_account = workload.sockets_per_room.div_ceil(workload.accounts_per_room);
                assert!(per_account <= SOCKETS_PER_ACCOUNT, "{case}: {per_account}");
            }
        }
    }
}
