//! What must hold, checked over recorded histories: pure code, and independent of the platform's own.

mod chain;
mod checkpoints;
mod commands;
mod conversation;
mod model;
mod sequence;
mod stores;
mod streams;
#[cfg(test)]
mod testing;

use std::fmt;

use uuid::Uuid;

use super::history::{History, Seq};
pub use model::Model;

/// What is promised. The name of one stands in a report and in the table of mutations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// An acknowledged command is in the log.
    Acknowledged,
    /// No command is in the log twice, whether it was acknowledged or not.
    Once,
    /// Each command has one answer, that of its record, and what was rejected is not in the log.
    Answers,
    /// A room's seqs rise by one from 1.
    GapFree,
    /// A stream has each seq once and in order, over all its connections, to the end.
    StreamOrder,
    /// A stream shows what the account may see, as the log has it, and hides the rest.
    StreamSight,
    /// Queries show what a replay of the log gives, also after a rebuild.
    Projections,
    /// What was imported before the faults is shown as its file has it.
    Conversation,
    /// The log can be read through the accept rule, and the stored cursors and the signed checkpoints are on its
    /// chain.
    Chain,
    /// With all faults over, everything is answered and catches up in time.
    Progress,
}

#[derive(Debug, Clone)]
pub struct Violation {
    pub invariant: Invariant,
    pub what: String,
    /// The place in a room's timeline.
    pub at: Option<(Uuid, Seq)>,
    /// Whose stream it was met in.
    pub account: Option<Uuid>,
}

impl Violation {
    pub fn new(invariant: Invariant, what: impl Into<String>) -> Self {
        Self { invariant, what: what.into(), at: None, account: None }
    }

    pub fn at(mut self, room: Uuid, seq: Seq) -> Self {
        self.at = Some((room, seq));
        self
    }

    pub fn of(mut self, account: Uuid) -> Self {
        self.account = Some(account);
        self
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.what)
    }
}

/// Everything that is wrong, the log's own faults first: the others may follow from them.
pub fn all(history: &History) -> Vec<Violation> {
    let model = Model::of(history);
    let mut violations = chain::check(history);
    violations.extend(checkpoints::check(history));
    violations.extend(sequence::check(&history.log));
    violations.extend(commands::check(history));
    violations.extend(streams::check(history, &model));
    violations.extend(stores::check(history, &model));
    violations.extend(conversation::check(history));
    violations
}
