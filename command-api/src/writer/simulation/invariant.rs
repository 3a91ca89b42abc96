//! What has to hold, by name.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Invariant {
    /// What is acknowledged is in the accepted log, once, with that answer at that offset.
    AcknowledgedIsAccepted,
    /// What is not acknowledged is there at most once.
    AtMostOnce,
    /// Each room's seq is gap-free from 1.
    SeqGapFree,
    /// Every reader gets the same state, window and head, from wherever it starts.
    SameForEveryReader,
    /// A repeated key gets the first answer or a refusal, never a second execution.
    RepeatGetsFirstAnswer,
    /// A rejection, and that nothing had to change, rests on a prefix of the accepted log that holds
    /// all that was accepted when the request arrived; no earlier attempt is accepted afterwards.
    RejectionRestsOnFreshPrefix,
    RecordTimeNeverGoesBack,
    NothingDecidedAfterDeadline,
    OneOutcomePerRequest,
    /// What was refused, because of its key, its size, the load or the time, never becomes accepted.
    RefusedIsNeverAccepted,
    SchemaAnnouncedBeforeUse,
    /// A writer raises its alarm only when somebody else wrote under its claim.
    NoFalseAlarm,
    /// Once the faults have stopped, every command is answered and new ones are accepted.
    Progress,
    /// Processes that share the partition agree on one owner once the faults have stopped, and leave it.
    Calm,
}

#[derive(Debug, Clone)]
pub struct Violation {
    pub invariant: Invariant,
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.detail)
    }
}

/// Fails with the invariant and what is said of it.
macro_rules! hold {
    ($condition:expr, $invariant:ident, $($detail:tt)+) => {
        if !$condition {
            return Err($crate::writer::simulation::invariant::Violation {
                invariant: $crate::writer::simulation::invariant::Invariant::$invariant,
                detail: format!($($detail)+),
            });
        }
    };
}
pub(super) use hold;
