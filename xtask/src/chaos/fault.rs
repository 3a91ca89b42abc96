//! What goes wrong, drawn from the seed.

use std::fmt;

use super::random::Random;
use super::world::{COMMAND_APIS, KAFKA, POSTGRES, Profile};
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
    /// Every connection between clients and this process breaks, or between processes and this server.
    Cut { process: String },
    /// Nothing gets through to or from this process for a while; then what was held goes on, or breaks.
    Hold { process: String, millis: u64, then_cut: bool },
    /// Everything to and from this process takes longer for a while.
    Delay { process: String, each: u64, millis: u64 },
    /// A client does not read its socket, while much is said.
    SlowReader { millis: u64 },
    /// Every process is stopped and started, one after the other.
    RollingRestart,
    /// The disk under the data folder has no room for a while.
    FullDisk { millis: u64 },
    /// The platform's clocks jump by this much, and later back.
    Clock { seconds: i64, millis: u64 },
}

/// What this machine can do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Abilities {
    pub full_disk: bool,
    pub clock: bool,
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
    let two = |random: &mut Random, name: &str| format!("{name}-{}", 1 + random.below(2));
    let mut deck = vec![
        Fault::Kill { process: command_api(random), down: random.between(0, 4_000) },
        Fault::Kill { process: two(random, "projectors"), down: random.between(0, 2_000) },
        Fault::Kill { process: "query-api-1".to_owned(), down: random.between(0, 1_000) },
        Fault::Kill { process: two(random, "ws-fanout"), down: random.between(0, 2_000) },
        Fault::Stop { process: command_api(random) },
        Fault::Pause { process: command_api(random), millis: random.between(4_000, 7_000) },
        Fault::Pause { process: two(random, "projectors"), millis: random.between(4_000, 7_000) },
        Fault::KillServer { service: Service::Kafka, down: random.between(0, 3_000) },
        Fault::KillServer { service: Service::Cql, down: random.between(0, 3_000) },
        Fault::KillServer { service: Service::Postgres, down: random.between(0, 3_000) },
        Fault::SecondOwner { partition: random.below(4) as u32 },
        Fault::Doubled { partition: random.below(4) as u32 },
        Fault::Foreign { partition: random.below(4) as u32 },
        // An owner notices after a second; an append is given up after five.
        Fault::Hold {
            process: KAFKA.to_owned(),
            millis: random.between(500, 7_000),
            then_cut: random.one_in(2),
        },
        Fault::Cut { process: KAFKA.to_owned() },
        Fault::Delay { process: KAFKA.to_owned(), each: random.between(5, 50), millis: 3_000 },
        Fault::Hold {
            process: POSTGRES.to_owned(),
            millis: random.between(500, 4_000),
            then_cut: random.one_in(2),
        },
        Fault::Cut { process: POSTGRES.to_owned() },
        Fault::RollingRestart,
    ];
    let process = if random.one_in(2) { command_api(random) } else { two(random, "ws-fanout") };
    deck.extend(on_the_wire(random, &process));
    extend(&mut deck, random, Abilities { full_disk: false, ..abilities });
    deck
}

fn on_the_wire(random: &mut Random, process: &str) -> Vec<Fault> {
    let process = || process.to_owned();
    vec![
        Fault::Cut { process: process() },
        Fault::Hold { process: process(), millis: random.between(500, 3_000), then_cut: random.one_in(2) },
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
        deck.push(Fault::Clock { seconds, millis: 3_000 });
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
            Self::FullDisk { millis } => write!(f, "a full disk for {millis} ms"),
            Self::Clock { seconds, millis } => write!(f, "clocks {seconds:+} s for {millis} ms"),
        }
    }
}

fn then(then_cut: bool) -> &'static str {
    if then_cut { ", then cut" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_the_same_faults() {
        let abilities = Abilities { full_disk: true, clock: true };
        for profile in [Profile::Embedded, Profile::Distributed] {
            assert_eq!(plan(profile, 7, 30, abilities), plan(profile, 7, 30, abilities));
            assert_ne!(plan(profile, 7, 30, abilities), plan(profile, 8, 30, abilities));
        }
    }

    #[test]
    fn every_kind_comes_before_one_comes_again() {
        let faults = plan(Profile::Distributed, 1, 23, Abilities::default());
        let kinds: std::collections::HashSet<_> = faults.iter().map(std::mem::discriminant).collect();
        assert_eq!(kinds.len(), 12, "all but the full disk and the clock");
    }
}
