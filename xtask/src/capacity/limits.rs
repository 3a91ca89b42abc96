//! What of the design gives way first, and from where on.

use super::model::{Demand, Needs};

/// Each process hears every heartbeat, two a second of each: beyond this many, that alone takes a core of each
/// machine.
const MOST_PROCESSES: f64 = 1_000.0;
/// There are as many slots; half, so that they can be spread evenly.
const MOST_PARTITIONS: f64 = 16_384.0 / 2.0;
/// Bytes a second that all ws-fanouts may read from Kafka, as a multiple of what is written: beyond it brokers
/// exist for the sake of fan-out.
const MOST_READ_AGAIN: f64 = 50.0;
/// One PostgreSQL has no more.
const MOST_POSTGRES_CORES: f64 = 64.0;
/// Bytes a day that a cluster may grow by, with its log kept for ever: 1 TB a day is 365 TB a year.
const MOST_GROWTH: f64 = 1e12;

/// The limits that are gone past, the one that is gone past by most first: name, by how much, what would change.
pub fn reached(demand: &Demand, needs: &Needs) -> Vec<(&'static str, f64, &'static str)> {
    let read_again = needs.ws_fanout;
    let all = [
        (
            "every ws-fanout reads every partition",
            read_again / MOST_READ_AGAIN,
            "send a root's clients to few instances (by partition, at the proxy), or relay records between instances",
        ),
        (
            "heartbeats: every process hears all",
            needs.processes() / MOST_PROCESSES,
            "heartbeats of command-apis alone on `members`; the others read a roster",
        ),
        (
            "one writer per partition",
            needs.partitions / MOST_PARTITIONS,
            "several platforms, each with its roots (cells)",
        ),
        (
            "one PostgreSQL for secrets and directory",
            needs.postgres_cores / MOST_POSTGRES_CORES,
            "divide both by account and by root",
        ),
        (
            "the log is kept for ever on the brokers",
            needs.log_growth / MOST_GROWTH,
            "tiered storage, archives in the object store",
        ),
        (
            "one room's audience through one event",
            demand.audience() / 1e6,
            "a tree of instances for such a room",
        ),
    ];
    let mut past: Vec<_> = all.into_iter().filter(|(_, share, _)| *share > 1.0).collect();
    past.sort_by(|one, other| other.1.total_cmp(&one.1));
    past
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::SIZES;
    use super::super::constants::Constants;
    use super::*;

    #[test]
    fn a_hundred_thousand_clients_are_within_the_design_and_a_hundred_million_are_not() {
        let constants = Constants::read(Path::new("no such file")).unwrap();
        let reached = |demand: &Demand| super::reached(demand, &Needs::of(demand, &constants));
        assert_eq!(reached(&SIZES[0]), []);
        let largest = reached(&SIZES[2]);
        assert!(largest.len() > 1 && largest.is_sorted_by(|one, next| one.1 >= next.1), "{largest:?}");
    }
}
