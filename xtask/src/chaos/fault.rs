//! What goes wrong, drawn from the seed.

use std::fmt;

use super::random::Random;
use super::ways::{self, CQL, KAFKA, POSTGRES};
use super::world::{COMMAND_APIS, PROJECTORS, Profile, STREAMS};
use crate::cluster::Service;

/// Times are milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL of a process, and its start after that long.
    Kill { process: String, down: u64 },
    /// SIGTERM, its end, and its start.
    Stop { process: String },
    /// SIGSTOP, longer than a lease, and SIGCONT.
    Pause { process: String, millis: u64 },
    /// SIGKILL of a server that the platform stands on.
    KillServer { service: Service, down: u64 },
    /// A stranger claims the partition of an owner: two believe that they own it.
    SecondOwner { partition: u32 },
    /// An accepted record comes again.
    Doubled { partition: u32 },
    /// Records that are none of ours, and damaged ones.
    Foreign { partition: u32 },
    /// Every connection on the [`super::ways`] of this name breaks: between clients and a process, or between a
    /// server and all processes, or one.
    Cut { process: String },
    /// Nothing gets through for a while; then what was held goes on, or breaks.
    Hold { process: String, millis: u64, then_cut: bool },
    /// Everything takes longer for a while.
    Delay { process: String, each: u64, millis: u64 },
    /// A client does not read its socket, while much is said.
    SlowReader { millis: u64 },
    /// Every process is stopped and started, one after the other.
    RollingRestart,
    /// Every process is replaced by one of the next build, one after the other: first those that read what it writes, as
    /// it is meant to be, or last.
    Upgrade { readers_first: bool },
    /// The disk under the data folder has no room for a while.
    FullDisk { millis: u64 },
    /// The platform's clocks jump by this much, and later back; or those of one process alone.
    Clock { process: Option<String>, seconds: i64, millis: u64 },
}

/// What this machine can do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Abilities {
    pub full_disk: bool,
    pub clock: bool,
    /// To break the ways to it.
    pub kafka: bool,
    pub cql: bool,
    /// The program can be one of a later build.
    pub next_build: bool,
}

/// So many faults. Every kind comes once before one comes again.
pub fn plan(profile: Profile, seed: u64, count: usize, abilities: Abilities) -> Vec<Fault> {
    let mut random = Random::new(seed, 1);
    let mut faults = Vec::new();
    while faults.len() < count {
        let mut deck = match profile {
            Profile::Embedded => embedded(&mut random, abilities),
            Profile::Distributed => distributed(&mut random, abilities),
        };
        random.shuffle(&mut deck);
        faults.extend(deck);
    }
    faults.truncate(count);
    faults
}

fn embedded(random: &mut Random, abilities: Abilities) -> Vec<Fault> {
    let process = || "all-1".to_owned();
    let mut deck = vec![
        Fault::Kill { process: process(), down: random.between(0, 1_500) },
        Fault::Kill { process: process(), down: 0 },
        Fault::Stop { process: process() },
        Fault::Pause { process: process(), millis: random.between(500, 4_000) },
        Fault::Doubled { partition: random.below(4) as u32 },
        Fault::Foreign { partition: random.below(4) as u32 },
    ];
    deck.extend(on_the_wire(random, &process()));
    extend(&mut deck, random, abilities);
    deck
}

fn distributed(random: &mut Random, abilities: Abilities) -> Vec<Fault> {
    let command_api = |random: &mut Random| format!("command-api-{}", 1 + random.below(COMMAND_APIS));
    let projectors = |random: &mut Random| format!("projectors-{}", 1 + random.below(PROJECTORS));
    let ws_fanout = |random: &mut Random| format!("ws-fanout-{}", 1 + random.below(STREAMS));
    let mut deck = vec![
        Fault::Kill { process: command_api(random), down: random.between(0, 4_000) },
        Fault::Kill { process: projectors(random), down: random.between(0, 2_000) },
        Fault::Kill { process: "query-api-1".to_owned(), down: random.between(0, 1_000) },
        Fault::Kill { process: ws_fanout(random), down: random.between(0, 2_000) },
        Fault::Stop { process: command_api(random) },
        Fault::Pause { process: command_api(random), millis: random.between(4_000, 7_000) },
        Fault::Pause { process: projectors(random), millis: random.between(4_000, 7_000) },
        Fault::KillServer { service: Service::Kafka, down: random.between(0, 3_000) },
        Fault::KillServer { service: Service::Cql, down: random.between(0, 3_000) },
        Fault::KillServer { service: Service::Postgres, down: random.between(0, 3_000) },
        Fault::SecondOwner { partition: random.below(4) as u32 },
        Fault::Doubled { partition: random.below(4) as u32 },
        Fault::Foreign { partition: random.below(4) as u32 },
        hold(random, POSTGRES, 500..=4_000),
        Fault::Cut { process: POSTGRES.to_owned() },
        Fault::RollingRestart,
    ];
    if abilities.kafka {
        // An owner notices after a second; an append is given up after five.
        deck.push(hold(random, KAFKA, 500..=7_000));
        deck.push(Fault::Cut { process: KAFKA.to_owned() });
        deck.push(Fault::Delay { process: KAFKA.to_owned(), each: random.between(5, 50), millis: 3_000 });
        // Alone, and long enough for others to take over what it had: they do after 2 s and their turn.
        let (owner, projectors, stream) = (command_api(random), projectors(random), ws_fanout(random));
        deck.push(hold(random, &ways::from(KAFKA, &owner), 5_000..=9_000));
        deck.push(hold(random, &ways::from(KAFKA, &projectors), 5_000..=9_000));
        deck.push(Fault::Cut { process: ways::from(KAFKA, &command_api(random)) });
        deck.push(hold(random, &ways::from(KAFKA, &stream), 500..=7_000));
    }
    if abilities.cql {
        // A statement is given up after five seconds.
        deck.push(hold(random, CQL, 500..=7_000));
        deck.push(Fault::Cut { process: CQL.to_owned() });
        deck.push(Fault::Delay { process: CQL.to_owned(), each: random.between(5, 50), millis: 3_000 });
        // Alone: it keeps its work, so that this has to be taken up again.
        let projectors = projectors(random);
        deck.push(hold(random, &ways::from(CQL, &projectors), 3_000..=9_000));
    }
    let process = if random.one_in(2) { command_api(random) } else { ws_fanout(random) };
    deck.extend(on_the_wire(random, &process));
    extend(&mut deck, random, Abilities { full_disk: false, ..abilities });
    if abilities.next_build {
        // Readers last has not been tried yet: `docs/RELIABILITY.md`.
        deck.push(Fault::Upgrade { readers_first: true });
    }
    if abilities.clock {
        // Further from the broker's than an owner's may be, at its next claim.
        let seconds = random.between(7, 40) as i64;
        let seconds = if random.one_in(2) { seconds } else { -seconds };
        deck.push(Fault::Clock { process: Some(command_api(random)), seconds, millis: 6_000 });
    }
    deck
}

fn hold(random: &mut Random, ways: &str, millis: std::ops::RangeInclusive<u64>) -> Fault {
    let millis = random.between(*millis.start(), *millis.end());
    Fault::Hold { process: ways.to_owned(), millis, then_cut: random.one_in(2) }
}

fn on_the_wire(random: &mut Random, process: &str) -> Vec<Fault> {
    let process = || process.to_owned();
    vec![
        Fault::Cut { process: process() },
        hold(random, &process(), 500..=3_000),
        Fault::Delay { process: process(), each: random.between(20, 200), millis: 2_000 },
        Fault::SlowReader { millis: random.between(4_000, 12_000) },
    ]
}

fn extend(deck: &mut Vec<Fault>, random: &mut Random, abilities: Abilities) {
    let (millis, seconds) = (random.between(1_000, 3_000), random.between(7, 40) as i64);
    let seconds = if random.one_in(2) { seconds } else { -seconds };
    if abilities.full_disk {
        deck.push(Fault::FullDisk { millis });
    }
    if abilities.clock {
        deck.push(Fault::Clock { process: None, seconds, millis: 3_000 });
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill { process, down } => write!(f, "SIGKILL of {process}, up again after {down} ms"),
            Self::Stop { process } => write!(f, "SIGTERM of {process} and its start"),
            Self::Pause { process, millis } => write!(f, "SIGSTOP of {process} for {millis} ms"),
            Self::KillServer { service, down } => {
                write!(f, "SIGKILL of the {service}, up again after {down} ms")
            }
            Self::SecondOwner { partition } => write!(f, "a stranger's claim of rooms/{partition}"),
            Self::Doubled { partition } => write!(f, "an accepted record of rooms/{partition} again"),
            Self::Foreign { partition } => write!(f, "foreign and damaged records in rooms/{partition}"),
            Self::Cut { process } => write!(f, "connections to {process} cut"),
            Self::Hold { process, millis, then_cut } => {
                write!(f, "connections to {process} held for {millis} ms{}", then(*then_cut))
            }
            Self::Delay { process, each, millis } => {
                write!(f, "connections to {process} slower by {each} ms for {millis} ms")
            }
            Self::SlowReader { millis } => write!(f, "a socket unread for {millis} ms while much is said"),
            Self::RollingRestart => write!(f, "every process stopped and started, one after the other"),
            Self::Upgrade { readers_first: true } => write!(f, "a rolling upgrade, readers first"),
            Self::Upgrade { readers_first: false } => write!(f, "a rolling upgrade, readers last"),
            Self::FullDisk { millis } => write!(f, "a full disk for {millis} ms"),
            Self::Clock { process: None, seconds, millis } => {
                write!(f, "clocks {seconds:+} s for {millis} ms")
            }
            Self::Clock { process: Some(process), seconds, millis } => {
                write!(f, "the clock of {process} {seconds:+} s for {millis} ms")
            }
        }
    }
}

fn then(then_cut: bool) -> &'static str {
    if then_cut { ", then cut" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERYTHING: Abilities =
        Abilities { full_disk: true, clock: true, kafka: true, cql: true, next_build: true };

    #[test]
    fn a_seed_means_the_same_faults() {
        for profile in [Profile::Embedded, Profile::Distributed] {
            assert_eq!(plan(profile, 7, 40, EVERYTHING), plan(profile, 7, 40, EVERYTHING));
            assert_ne!(plan(profile, 7, 40, EVERYTHING), plan(profile, 8, 40, EVERYTHING));
        }
    }

    #[test]
    fn every_kind_comes_before_one_comes_again() {
        let kinds = |count, abilities| {
            let faults = plan(Profile::Distributed, 1, count, abilities);
            faults.iter().map(std::mem::discriminant).collect::<std::collections::HashSet<_>>().len()
        };
        assert_eq!(kinds(20, Abilities::default()), 12, "all but the full disk, the clock and the upgrade");
        assert_eq!(kinds(34, EVERYTHING), 14, "all but the full disk");
    }

    #[test]
    fn one_process_alone_loses_its_way_to_a_server() {
        let faults = plan(Profile::Distributed, 1, 34, EVERYTHING);
        let alone = |server: &str, role: &str| {
            let name = ways::from(server, role);
            faults
                .iter()
                .any(|fault| matches!(fault, Fault::Hold { process, .. } if process.starts_with(&name)))
        };
        for (server, role) in
            [(KAFKA, "command-api"), (KAFKA, "projectors"), (KAFKA, "ws-fanout"), (CQL, "projectors")]
        {
            assert!(alone(server, role), "{server} from {role}: {faults:?}");
        }
    }

    #[test]
    fn ways_that_are_not_there_are_not_broken() {
        let faults = plan(Profile::Distributed, 1, 60, Abilities::default());
        assert!(faults.iter().all(|fault| !fault.to_string().contains("connections to Kafka")), "{faults:?}");
        assert!(
            faults.iter().all(|fault| !fault.to_string().contains("connections to the CQL")),
            "{faults:?}"
        );
    }
}
