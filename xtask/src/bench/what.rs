//! One thing to be measured: a case, or a point of a curve.

use std::fmt;

use serde::Serialize;

use super::cases::Case;
use super::curves::Point;
use super::workload::{Load, Timing, Workload};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum What {
    Case { case: Case },
    Point(Point),
}

impl What {
    pub fn workload(self, quick: bool) -> Workload {
        match self {
            Self::Case { case } => case.workload(quick),
            Self::Point(point) => point.workload(),
        }
    }

    /// Curves have many points, so each is short. What is absent in `asked` is chosen here.
    pub fn timing(self, quick: bool, asked: Asked) -> Timing {
        let (warm_up_seconds, seconds, rounds) = match self {
            _ if quick => (1, 5, 1),
            Self::Case { .. } => (5, 20, 3),
            Self::Point(_) => (2, 6, 1),
        };
        Timing {
            warm_up_seconds,
            seconds: asked.seconds.unwrap_or(seconds),
            // Idle sockets are opened once.
            rounds: if self.workload(quick).load == Load::Idle { 1 } else { asked.rounds.unwrap_or(rounds) },
        }
    }

    pub fn partitions(self) -> Option<usize> {
        match self {
            Self::Case { .. } => None,
            Self::Point(point) => point.partitions(),
        }
    }

    pub fn has_broadcast_floor(self) -> bool {
        match self {
            Self::Case { case } => case.has_broadcast_floor(),
            Self::Point(point) => point.has_broadcast_floor(),
        }
    }

    /// Curves are compared with the cases' floors: one for each point would take longer than the point.
    pub fn log_floor(self, quick: bool) -> Option<Load> {
        match self {
            Self::Case { case } => case.log_floor(quick),
            Self::Point(_) => None,
        }
    }
}

/// What a person said about the time that a measurement takes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    pub seconds: Option<u32>,
    pub rounds: Option<u32>,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Case { case } => case.fmt(f),
            Self::Point(point) => point.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::bench::curves::Curve;

    const POINT: What = What::Point(Point { curve: Curve::HotRoom, at: 4 });

    #[test]
    fn what_is_asked_for_wins() {
        let asked = Asked { seconds: Some(7), rounds: None };
        let w1 = What::Case { case: Case::W1 };
        assert_eq!(w1.timing(false, asked), Timing { warm_up_seconds: 5, seconds: 7, rounds: 3 });
        assert_eq!(POINT.timing(false, asked), Timing { warm_up_seconds: 2, seconds: 7, rounds: 1 });
        let idle = What::Case { case: Case::W4 };
        assert_eq!(idle.timing(false, Asked { seconds: None, rounds: Some(5) }).rounds, 1);
    }

    #[test]
    fn a_line_names_its_case_or_its_point() {
        assert_eq!(serde_json::to_value(What::Case { case: Case::W1 }).unwrap(), json!({ "case": "w1" }));
        assert_eq!(serde_json::to_value(POINT).unwrap(), json!({ "curve": "hot-room", "at": 4 }));
    }
}
