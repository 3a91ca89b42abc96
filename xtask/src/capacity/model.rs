//! From what is asked of a platform to what it needs.

use anyhow::{Result, ensure};

use super::constants::Constants;

/// Of each core, what the model plans with; the rest is for bursts, failures and the system.
const USED: f64 = 0.5;
/// Copies of each record and row.
const REPLICATION: f64 = 3.0;
/// Sockets of one process; more make a restart felt by too many at once.
const MOST_SOCKETS: f64 = 250_000.0;
/// Of an instance's network, what events may take: half of 10 Gbit/s.
const NETWORK_BYTES_PER_S: f64 = 10e9 / 8.0 * USED;
/// Of each role: one may die, one may be replaced.
const FEWEST_INSTANCES: f64 = 2.0;
const FEWEST_NODES: f64 = 3.0;
const DAY_S: f64 = 86_400.0;
/// No partition is planned to be busier than this part of what its writer can do.
const FEWEST_PARTITIONS: f64 = 16.0;

/// What is asked of a platform.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Demand {
    pub connections: f64,
    pub rooms: f64,
    /// Messages a second, evenly over the rooms.
    pub rate: f64,
    pub rooms_per_account: f64,
    /// Of each machine.
    pub cores: f64,
}

impl Demand {
    pub fn checked(self) -> Result<Self> {
        let Demand { connections, rooms, rate, rooms_per_account, cores } = self;
        let all = [connections, rooms, rate, rooms_per_account, cores];
        ensure!(all.iter().all(|number| number.is_finite() && *number > 0.0), "each number is more than 0");
        Ok(self)
    }

    /// Connected members of a room.
    pub fn audience(&self) -> f64 {
        self.connections * self.rooms_per_account / self.rooms
    }

    pub fn deliveries(&self) -> f64 {
        self.rate * self.audience()
    }
}

/// What it takes, in machines of the demand's size.
#[derive(Debug, Clone, PartialEq)]
pub struct Needs {
    pub partitions: f64,
    pub command_api: f64,
    pub projectors: f64,
    pub query_api: f64,
    pub ws_fanout: f64,
    pub kafka: f64,
    pub cql: f64,
    pub postgres_cores: f64,
    /// Of one ws-fanout, bytes a second to its clients.
    pub fan_out_network: f64,
    /// Of one ws-fanout, bytes of its idle sockets.
    pub fan_out_memory: f64,
    /// What all ws-fanouts together read from Kafka, bytes a second.
    pub fan_out_reads: f64,
    /// Bytes a day, all copies.
    pub log_growth: f64,
    pub room_store_growth: f64,
}

impl Needs {
    pub fn of(demand: &Demand, constants: &Constants) -> Self {
        let machine = demand.cores * USED;
        let thousands = demand.rate / 1e3;
        let machines = |core_seconds: f64, fewest: f64| (core_seconds / machine).ceil().max(fewest);
        let ws_fanout = [
            demand.deliveries() / 1e6 * constants.fan_out_cpu_per_1m_deliveries.value / machine,
            demand.connections / MOST_SOCKETS,
            demand.deliveries() * constants.frame_bytes.value / NETWORK_BYTES_PER_S,
        ];
        let ws_fanout = ws_fanout.into_iter().fold(FEWEST_INSTANCES, f64::max).ceil();
        let read_by_others = 2.0; // the owner and the one that stays warm
        let log_bytes = demand.rate * constants.record_bytes.value;
        // Accounts are everywhere: with many rooms each, every instance needs every partition.
        let fan_out_reads = log_bytes * ws_fanout;
        let kafka_network = log_bytes * (REPLICATION + read_by_others + 1.0) + fan_out_reads;
        let kafka = machines(thousands * constants.kafka_cpu_per_1000.value * REPLICATION, FEWEST_NODES)
            .max((kafka_network / NETWORK_BYTES_PER_S).ceil());
        let command_api = thousands * constants.command_api_cpu_per_1000.value;
        Self {
            partitions: (demand.rate / (constants.partition_peak.value * USED)).max(FEWEST_PARTITIONS).ceil(),
            command_api: machines(command_api, FEWEST_INSTANCES),
            projectors: machines(thousands * constants.projectors_cpu_per_1000.value, FEWEST_INSTANCES),
            // As much as the writers: a client reads about as often as it writes.
            query_api: machines(command_api, FEWEST_INSTANCES),
            ws_fanout,
            kafka,
            cql: machines(thousands * constants.cql_cpu_per_1000.value * REPLICATION, FEWEST_NODES),
            postgres_cores: (thousands * constants.postgres_cpu_per_1000.value / USED).max(1.0).ceil(),
            fan_out_network: demand.deliveries() * constants.frame_bytes.value / ws_fanout,
            fan_out_memory: demand.connections * constants.bytes_per_idle_socket.value / ws_fanout,
            fan_out_reads,
            log_growth: log_bytes * REPLICATION * DAY_S,
            room_store_growth: demand.rate * constants.row_bytes.value * REPLICATION * DAY_S,
        }
    }

    /// Processes of the platform, each of which hears the heartbeats of all.
    pub fn processes(&self) -> f64 {
        self.command_api + self.projectors + self.query_api + self.ws_fanout
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn constants() -> Constants {
        Constants::read(Path::new("no such file")).unwrap()
    }

    const SMALL: Demand =
        Demand { connections: 100.0, rooms: 10.0, rate: 1.0, rooms_per_account: 1.0, cores: 4.0 };

    #[test]
    fn the_smallest_platform_can_lose_one_of_each() {
        let needs = Needs::of(&SMALL, &constants());
        assert_eq!((needs.command_api, needs.projectors, needs.ws_fanout, needs.kafka), (2.0, 2.0, 2.0, 3.0));
        assert_eq!(needs.partitions, FEWEST_PARTITIONS);
    }

    #[test]
    fn more_of_anything_never_needs_less() {
        let mut before = Needs::of(&SMALL, &constants());
        for factor in [10.0, 1e3, 1e5, 1e6] {
            let demand = Demand { connections: 100.0 * factor, rate: factor, rooms: 10.0 * factor, ..SMALL };
            let needs = Needs::of(&demand, &constants());
            for (one, other) in [
                (before.partitions, needs.partitions),
                (before.command_api, needs.command_api),
                (before.ws_fanout, needs.ws_fanout),
                (before.kafka, needs.kafka),
                (before.log_growth, needs.log_growth),
            ] {
                assert!(one <= other, "{before:?} {needs:?}");
            }
            before = needs;
        }
    }

    #[test]
    fn a_demand_of_nothing_is_refused() {
        assert!(Demand { rooms: 0.0, ..SMALL }.checked().is_err());
        assert!(Demand { rate: f64::NAN, ..SMALL }.checked().is_err());
        assert!(SMALL.checked().is_ok());
    }
}
