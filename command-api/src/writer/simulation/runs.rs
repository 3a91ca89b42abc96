//! The runs.

use super::counters::Counters;
use super::invariant::Invariant;
use super::profile::{PROFILES, Profile};
use super::world;
use crate::writer::mutation::{self, Mutation};

/// Some ten seconds of two cores in a debug build.
const SEEDS: u64 = 400;
const THREADS: u64 = 2;
/// Within so many seeds a broken rule is noticed.
const SEEDS_PER_MUTATION: u64 = 400;

/// Each rule broken on purpose, and the invariant that notices.
const NOTICED_BY: &[(Mutation, Invariant)] = &[
    (Mutation::NoChainCheck, Invariant::AtMostOnce),
    (Mutation::AcknowledgeOnDelivery, Invariant::AcknowledgedIsAccepted),
    (Mutation::SettleOnDeliveryError, Invariant::RefusedIsNeverAccepted),
    (Mutation::WindowNotRebuilt, Invariant::AtMostOnce),
    (Mutation::EvictByRecordTime, Invariant::AtMostOnce),
    (Mutation::RejectWithoutLogEnd, Invariant::RejectionRestsOnFreshPrefix),
    (Mutation::NoResetAfterFailure, Invariant::Progress),
];

fn profile(seed: u64) -> &'static Profile {
    &PROFILES[(seed % PROFILES.len() as u64) as usize]
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Runs a seed; panics with the seed and the last steps if it breaks an invariant.
fn run(seed: u64) -> Counters {
    let profile = profile(seed);
    match world::run(seed, profile) {
        Ok(counters) => counters,
        Err((violation, steps)) => panic!(
            "seed {seed} ({}) breaks {violation}\n\
             again: ROOMLOG_SIMULATION_SEED={seed} cargo test -p roomlog-command-api simulation\n\
             last steps:\n{steps}",
            profile.name
        ),
    }
}

#[test]
fn the_invariants_hold_under_faults() {
    if let Some(seed) = from_environment("ROOMLOG_SIMULATION_SEED") {
        println!("{}", run(seed));
        return;
    }
    let seeds = from_environment("ROOMLOG_SIMULATION_SEEDS").unwrap_or(SEEDS);
    let mut sum = Counters::default();
    std::thread::scope(|scope| {
        let of_thread = |first| move || (first..seeds).step_by(THREADS as usize).map(run).collect();
        let threads: Vec<std::thread::ScopedJoinHandle<'_, Vec<Counters>>> =
            (0..THREADS).map(|first| scope.spawn(of_thread(first))).collect();
        for thread in threads {
            let counters = thread.join().expect("no seed breaks an invariant, see above");
            counters.iter().for_each(|counters| sum.add(counters));
        }
    });
    println!("{sum}");
    if seeds >= SEEDS {
        assert_eq!(sum.missing(), [""; 0], "paths that no run took");
    }
}

#[test]
fn every_rule_broken_on_purpose_is_noticed() {
    for mutation in Mutation::ALL {
        let noticed = NOTICED_BY.iter().find(|(known, _)| known == mutation);
        let (_, invariant) = noticed.expect("the table has every mutation");
        mutation::set(Some(*mutation));
        let seed = (0..SEEDS_PER_MUTATION)
            .find(|&seed| world::run(seed, profile(seed)).is_err_and(|(v, _)| v.invariant == *invariant));
        mutation::set(None);
        println!("{mutation:?} breaks {invariant:?} at seed {seed:?}");
        assert!(seed.is_some(), "{mutation:?} does not break {invariant:?}");
    }
}

/// The chain makes it a question of progress alone.
#[test]
fn without_a_reset_after_a_failure_nothing_unsafe_happens() {
    mutation::set(Some(Mutation::NoResetAfterFailure));
    let unsafe_runs: Vec<_> = (0..SEEDS_PER_MUTATION / 2)
        .filter_map(|seed| world::run(seed, profile(seed)).err().map(|(violation, _)| (seed, violation)))
        .filter(|(_, violation)| violation.invariant != Invariant::Progress)
        .collect();
    mutation::set(None);
    assert!(unsafe_runs.is_empty(), "{unsafe_runs:?}");
}
