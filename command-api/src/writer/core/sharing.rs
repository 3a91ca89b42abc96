//! Leaving the partition to others: whether this writer may claim is said from outside, by whoever
//! listens to the other processes. A wrong word costs time, never correctness.

use super::{Core, Mode, RETRY_MS};
use crate::writer::request::{Millis, Outcome};

/// Whether a writer may claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Permit {
    /// Nobody else is there to leave the partition to.
    #[default]
    Free,
    /// What it owned last it may claim again, after a failure of its own; nothing that another owns.
    Keep,
    /// The partition is without an owner, or has been left to this one.
    Take,
    /// Its owner has left the partition to this one: no claim is left alone any more.
    Succeed,
    /// Others are about to.
    Leave,
}

impl Core {
    /// Says whether this writer may claim, from now on.
    pub fn set_permit(&mut self, now: Millis, permit: Permit) {
        self.clock.set(now);
        self.permit = permit;
        self.advance();
    }

    /// Decides nothing more, or goes on. What is in flight comes back meanwhile; what is queued waits
    /// for the next claim. Another's claim ends it.
    pub fn set_yielding(&mut self, now: Millis, yielding: bool) {
        self.clock.set(now);
        self.yielding = yielding;
        self.advance();
    }

    /// Whether the current claim is this writer's, even if it does not decide under it now.
    pub fn holds_claim(&self) -> bool {
        self.own_claim.is_some()
    }

    /// Whether the log has been read to an end that was asked for.
    pub fn is_caught_up(&self) -> bool {
        self.ends.caught_up()
    }

    /// For how long the oldest record sent, or a query for the log's end, has had no answer.
    pub fn unanswered_for(&self) -> Millis {
        let sent = self.in_flight.front().map(|sent| sent.sent_at);
        let since = [sent, self.ends.unanswered_since()].into_iter().flatten().min();
        since.map_or(0, |since| self.clock.elapsed() - since)
    }

    /// Whoever shares a partition has to know when it has read all of it.
    pub(super) fn look_where_the_log_ends(&mut self) {
        if self.permit != Permit::Free && !self.looked {
            self.looked = true;
            self.ends.ask();
        }
    }

    pub(super) fn may_claim(&self) -> bool {
        let wants = self.eager || self.requests.first_queued().is_some() || !self.in_flight.is_empty();
        match self.permit {
            Permit::Free => wants,
            Permit::Keep => wants && self.holds_claim() && !self.yielding,
            Permit::Take | Permit::Succeed => true,
            Permit::Leave => false,
        }
    }

    /// Requests that somebody else will decide are given back.
    pub(super) fn pass_on(&mut self) {
        if self.decides_soon() {
            return;
        }
        while let Some(id) = self.requests.first_queued() {
            self.respond(id, Outcome::Moved);
        }
    }

    fn decides_soon(&self) -> bool {
        match (&self.mode, self.permit) {
            (Mode::Owning(_) | Mode::Claiming { .. } | Mode::Stopped, _) => true,
            (Mode::Following, Permit::Free | Permit::Take | Permit::Succeed) => true,
            (Mode::Following, Permit::Keep) => {
                self.holds_claim() && self.quiet_until <= self.clock.elapsed() + RETRY_MS
            }
            (Mode::Following, Permit::Leave) => false,
        }
    }
}
