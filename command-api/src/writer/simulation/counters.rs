//! What a run went through: a simulation that meets nothing proves nothing.

use std::collections::BTreeMap;
use std::fmt;

use crate::writer::request::Outcome;

#[derive(Debug, Clone, Default)]
pub struct Counters {
    pub accepted: u64,
    pub claims: u64,
    /// Acknowledged by the answer to an earlier attempt.
    pub repeats: u64,
    /// Attempts whose record never counted and which were decided again.
    pub settled_never_accepted: u64,
    pub crashes: u64,
    pub pauses: u64,
    pub starts_from_snapshot: u64,
    /// Steps that the slowest run took to settle down once the faults had stopped.
    pub most_quiet_steps: u64,
    pub outcomes: BTreeMap<&'static str, u64>,
    pub skipped: BTreeMap<&'static str, u64>,
}

impl Counters {
    pub fn outcome(&mut self, outcome: &Outcome) {
        *self.outcomes.entry(outcome.name()).or_default() += 1;
    }

    pub fn skipped(&mut self, reason: &'static str) {
        *self.skipped.entry(reason).or_default() += 1;
    }

    pub fn add(&mut self, other: &Counters) {
        self.accepted += other.accepted;
        self.claims += other.claims;
        self.repeats += other.repeats;
        self.settled_never_accepted += other.settled_never_accepted;
        self.crashes += other.crashes;
        self.pauses += other.pauses;
        self.starts_from_snapshot += other.starts_from_snapshot;
        self.most_quiet_steps = self.most_quiet_steps.max(other.most_quiet_steps);
        for (mine, theirs) in [(&mut self.outcomes, &other.outcomes), (&mut self.skipped, &other.skipped)] {
            for (name, n) in theirs {
                *mine.entry(name).or_default() += n;
            }
        }
    }

    /// The paths that no run took.
    pub fn missing(&self) -> Vec<&'static str> {
        const OUTCOMES: [&str; 9] = [
            "accepted",
            "unchanged",
            "rejected",
            "key_reused",
            "key_expired",
            "too_large",
            "unavailable",
            "overloaded",
            "unknown",
        ];
        const SKIPS: [&str; 6] =
            ["no_magic", "wrong_length", "foreign_log", "stale_epoch", "stale_claim", "not_on_head"];
        let totals = [
            ("accepted records", self.accepted),
            ("claims", self.claims),
            ("repeats answered", self.repeats),
            ("settled as never accepted", self.settled_never_accepted),
            ("crashes", self.crashes),
            ("pauses", self.pauses),
            ("starts from a snapshot", self.starts_from_snapshot),
        ];
        let mut missing: Vec<&str> =
            totals.into_iter().filter(|(_, n)| *n == 0).map(|(name, _)| name).collect();
        missing.extend(OUTCOMES.iter().filter(|name| !self.outcomes.contains_key(*name)));
        missing.extend(SKIPS.iter().filter(|name| !self.skipped.contains_key(*name)));
        missing
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
