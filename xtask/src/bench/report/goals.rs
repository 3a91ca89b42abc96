//! The goals that these workloads show, for two cores with everything on one machine.

use std::fmt;

use crate::bench::cases::Case;
use crate::bench::kind::Kind;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    pub fn is_reached(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "≤ {most}"),
            Self::AtLeast(least) => write!(f, "≥ {least}"),
        }
    }
}

/// Of the bare reading, which is the same for every platform.
pub const VERIFIED_PER_S: Goal = Goal::AtLeast(1_000_000.0);
pub const REPLAYED_EVENTS_PER_S: Goal = Goal::AtLeast(300_000.0);

/// What may never happen, in any round of any workload.
pub const NEVER: [&str; 6] =
    ["lost", "doubled", "out_of_order", "skipped_seqs", "misplaced", "sockets_never_back"];

pub fn is_never(figure: &str) -> bool {
    NEVER.contains(&figure)
}

/// All but the embedded platform are judged by the goals of the distributed one, whose log they share.
pub fn goal(platform: Kind, case: Case, figure: &str) -> Option<Goal> {
    use Goal::{AtLeast, AtMost};
    if is_never(figure) {
        return Some(AtMost(0.0));
    }
    let (embedded, distributed) = match (case, figure) {
        (Case::W1, "send_to_socket_p50_ms") => (Some(AtMost(6.0)), AtMost(7.0)),
        (Case::W1, "send_to_socket_p99_ms") => (Some(AtMost(11.0)), AtMost(14.0)),
        // In one process with the others, which have little to do here.
        (Case::W1, "fan_out_cpu_s_per_1m_deliveries") => (Some(AtMost(6.0)), AtMost(6.0)),
        (Case::W2, "accept_p50_ms") => (Some(AtMost(0.6)), AtMost(1.0)),
        (Case::W2, "accept_p99_ms") => (Some(AtMost(5.0)), AtMost(10.0)),
        (Case::W2, "send_to_socket_p50_ms") => (Some(AtMost(0.8)), AtMost(1.5)),
        (Case::W2, "send_to_socket_p99_ms") => (Some(AtMost(6.0)), AtMost(12.0)),
        (Case::W2, "all_cpu_s_per_1000_messages") => (Some(AtMost(0.3)), AtMost(1.0)),
        (Case::W3, "accepted_per_s") => (Some(AtLeast(20_000.0)), AtLeast(10_000.0)),
        (Case::W4, "rss_bytes_per_socket") => (Some(AtMost(6_000.0)), AtMost(6_000.0)),
        (Case::W5, "accepted_per_s") => (None, AtLeast(4_000.0)),
        _ => return None,
    };
    match platform {
        Kind::Embedded => embedded,
        Kind::Kafka | Kind::Distributed => Some(distributed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_reached_at_its_bound() {
        let peak = goal(Kind::Distributed, Case::W3, "accepted_per_s").unwrap();
        assert!(peak.is_reached(10_000.0) && !peak.is_reached(9_999.0));
        let lost = goal(Kind::Embedded, Case::Cut, "lost").unwrap();
        assert!(lost.is_reached(0.0) && !lost.is_reached(1.0));
        assert_eq!(goal(Kind::Embedded, Case::W1, "drain_ms"), None);
        assert_eq!(goal(Kind::Embedded, Case::W5, "accepted_per_s"), None);
    }
}
