//! Curves: one quantity grows by its points, everything else stays.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::workload::{Load, Workload};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Curve {
    /// 10 to 10,000 sockets in 10 rooms, at 20 messages/s
    Connections,
    /// 1 to 1,000 rooms × 2 sockets, at 200 messages/s in all
    Rooms,
    /// A room with 1 to 10,000 members, 10 sockets, at 100 messages/s
    Members,
    /// 1 to 64 partitions of `rooms`, the peak of 64 senders in 64 rooms × 1 socket
    Partitions,
    /// One room × 10 sockets, the peak of 1 to 256 senders
    HotRoom,
}

/// One point of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    pub curve: Curve,
    pub at: usize,
}

/// Sockets of an account; a server may allow 64 at most.
const SOCKETS_PER_ACCOUNT: usize = 50;

impl Curve {
    pub fn points(self, quick: bool) -> Vec<Point> {
        let all: &[usize] = match self {
            Self::Connections => &[10, 100, 1_000, 10_000],
            Self::Rooms => &[1, 10, 100, 1_000],
            Self::Members => &[1, 10, 100, 1_000, 10_000],
            Self::Partitions => &[1, 4, 16, 64],
            Self::HotRoom => &[1, 4, 16, 64, 256],
        };
        let some = if quick { &all[..2] } else { all };
        some.iter().map(|at| Point { curve: self, at: *at }).collect()
    }
}

impl Point {
    pub fn workload(self) -> Workload {
        let at = self.at;
        let open = |messages_per_second| Load::Open { messages_per_second };
        match self.curve {
            Curve::Connections => {
                let sockets = at / 10;
                Workload::new(10, sockets.div_ceil(SOCKETS_PER_ACCOUNT), sockets, open(20))
            }
            Curve::Rooms => Workload::new(at, 1, 2, open(200)),
            Curve::Members => {
                Workload { silent_members_per_room: at - 1, ..Workload::new(1, 1, 10, open(100)) }
            }
            Curve::Partitions => Workload::new(64, 1, 1, Load::Closed { senders: 64 }),
            Curve::HotRoom => Workload::new(1, 1, 10, Load::Closed { senders: at }),
        }
    }

    /// Partitions of `rooms` in a new log, where the curve says how many.
    pub fn partitions(self) -> Option<usize> {
        (self.curve == Curve::Partitions).then_some(self.at)
    }

    /// Whether a bare broadcast has the same quantity: it knows neither members nor partitions.
    pub fn has_broadcast_floor(self) -> bool {
        matches!(self.curve, Curve::Connections | Curve::Rooms | Curve::HotRoom)
    }
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connections => "connections",
            Self::Rooms => "rooms",
            Self::Members => "members",
            Self::Partitions => "partitions",
            Self::HotRoom => "hot-room",
        })
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.curve, self.at)
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_point_is_possible_and_grows() {
        for curve in Curve::value_variants() {
            let points = curve.points(false);
            assert!(points.is_sorted_by_key(|point| point.at) && points.len() > curve.points(true).len());
            for point in points {
                point.workload().assert_possible();
            }
        }
    }

    #[test]
    fn a_curve_changes_what_it_is_called_after() {
        let last = |curve: Curve| *curve.points(false).last().unwrap();
        assert_eq!(last(Curve::Connections).workload().sockets(), 10_000);
        assert_eq!(last(Curve::Rooms).workload().rooms, 1_000);
        let members = last(Curve::Members).workload();
        assert_eq!(members.accounts_per_room + members.silent_members_per_room, 10_000);
        assert_eq!(last(Curve::Partitions).partitions(), Some(64));
        assert_eq!(last(Curve::HotRoom).workload().load, Load::Closed { senders: 256 });
        assert_eq!(last(Curve::HotRoom).partitions(), None);
    }
}
