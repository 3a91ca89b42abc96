//! The runs.

use super::counters::Counters;
use super::invariant::Invariant;
use super::profile::{PROFILES, Profile};
use super::world;
use crate::writer::mutation::{self, Mutation};

/// Some twelve seconds of two cores in a debug build.
const SEEDS: u64 = 320;
/// Within so many seeds a broken rule is noticed.
const SEEDS_PER_MUTATION: u64 = 160;
const THREADS: u64 = 2;

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
            "seed {seed} ({}) breaks {violation}\nagain: ROOMLOG_SIMULATION_SEED={seed} cargo test -p roomlog-command-api simulation\nlast steps:\n{steps}",
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
    let counters = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|first| {
                scope.spawn(move || (first..seeds).step_by(THREADS as usize).map(run).collect::<Vec<_>>())
            })
            .collect();
        let mut sum = Counters::default();
        for thread in threads {
            match thread.join() {
                Ok(counters) => counters.iter().for_each(|counters| sum.add(counters)),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        sum
    });
    println!("{counters}");
    if seeds >= SEEDS {
        assert_eq!(counters.missing(), [""; 0], "paths that no run took");
    }
}

/// The invariants that runs break with a rule broken on purpose, each with the first seed.
fn broken_by(mutation: Mutation) -> Vec<(Invariant, u64)> {
    mutation::set(Some(mutation));
    let mut broken: Vec<(Invariant, u64)> = Vec::new();
    for seed in 0..SEEDS_PER_MUTATION {
        if let Some(invariant) = world::broken(seed, profile(seed))
            && !broken.iter().any(|(known, _)| *known == invariant)
        {
            broken.push((invariant, seed));
        }
    }
    mutation::set(None);
    broken
}

#[test]
fn mutations() {
    for mutation in Mutation::ALL {
        println!("{mutation:?}: {:?}", broken_by(*mutation));
    }
}

#[test]
fn by_profile() {
    for (p, profile) in PROFILES.iter().enumerate() {
        let mut sum = Counters::default();
        let t = std::time::Instant::now();
        for seed in 0..40u64 {
            sum.add(&run(seed * PROFILES.len() as u64 + p as u64));
        }
        println!("{} {:?}: {sum}", profile.name, t.elapsed());
    }
}
