//! The workloads that the goals are stated for.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::workload::{Cut, Load, Workload};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Case {
    /// One large room: 1 room × 1,000 sockets at 20 messages/s
    W1,
    /// Many small rooms: 100 rooms × 10 sockets at 1,000 messages/s
    W2,
    /// The peak: 64 senders, each waiting for its answer; 16 rooms × 2 sockets
    W3,
    /// Memory: 10,000 idle sockets, 100 rooms × 100
    W4,
    /// The highest rate at which every projection stays within a second of the log; 16 rooms × 2 sockets
    W5,
    /// All connections of 1,000 sockets closed at once, under load; 10 rooms × 100
    Cut,
    /// A process with sockets killed under load and started again; 10 rooms × 100
    Restart,
}

impl Case {
    pub fn workload(self, quick: bool) -> Workload {
        let open = |messages_per_second| Load::Open { messages_per_second };
        let (rooms, accounts_per_room, sockets_per_room, load) = match (self, quick) {
            (Self::W1, false) => (1, 20, 1_000, open(20)),
            (Self::W1, true) => (1, 4, 200, open(20)),
            (Self::W2, false) => (100, 2, 10, open(1_000)),
            (Self::W2, true) => (10, 2, 10, open(200)),
            (Self::W3, false) => (16, 4, 2, Load::Closed { senders: 64 }),
            (Self::W3, true) => (4, 2, 2, Load::Closed { senders: 8 }),
            (Self::W4, false) => (100, 2, 100, Load::Idle),
            (Self::W4, true) => (10, 2, 50, Load::Idle),
            (Self::W5, false) => (16, 4, 2, Load::Search { most_per_second: 64_000 }),
            (Self::W5, true) => (4, 2, 2, Load::Search { most_per_second: 500 }),
            (Self::Cut | Self::Restart, false) => (10, 2, 100, open(200)),
            (Self::Cut | Self::Restart, true) => (4, 2, 25, open(100)),
        };
        let cut = match self {
            Self::Cut => Some(Cut::Connections),
            Self::Restart => Some(Cut::Process),
            _ => None,
        };
        Workload { cut, ..Workload::new(rooms, accounts_per_room, sockets_per_room, load) }
    }

    /// Whether a bare broadcast can bear the same load. It knows no resuming, and nothing that could lag behind.
    pub fn has_broadcast_floor(self) -> bool {
        matches!(self, Self::W1 | Self::W2 | Self::W3 | Self::W4)
    }

    /// The load of the comparison with the bare log, if there is one.
    pub fn log_floor(self, quick: bool) -> Option<Load> {
        match self {
            Self::W1 | Self::W2 | Self::W3 => Some(self.workload(quick).load),
            Self::W5 => Some(Self::W3.workload(quick).load),
            Self::W4 | Self::Cut | Self::Restart => None,
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::W1 => "W1",
            Self::W2 => "W2",
            Self::W3 => "W3",
            Self::W4 => "W4",
            Self::W5 => "W5",
            Self::Cut => "cut",
            Self::Restart => "restart",
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn no_account_has_more_sockets_than_a_server_allows() {
        for case in Case::value_variants() {
            for quick in [false, true] {
                case.workload(quick).assert_possible();
            }
        }
    }

    #[test]
    fn idle_memory_is_measured_of_ten_thousand_sockets() {
        assert_eq!(Case::W4.workload(false).sockets(), 10_000);
    }
}
