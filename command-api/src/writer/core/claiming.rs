//! Claiming the partition, and what becomes of what is under way when a claim is accepted.

use std::collections::BTreeSet;

use roomlog_eventlog::frame::encode_claim;
use roomlog_eventlog::{Claim, ClaimId, NewRecord};

use super::requests::Waiting;
use super::{
    CLAIMS_REMEMBERED, Core, Effect, LEFT_ALONE_MS, MAX_CLOCK_DIFFERENCE_MS, Mode, Permit, RETRY_MS,
    SentClaim, Speculative, UNABLE_MS,
};
#[cfg(test)]
use crate::writer::mutation::{Mutation, mutated};
use crate::writer::request::Millis;

impl Core {
    pub(super) fn claim_if_due(&mut self) {
        let elapsed = self.clock.elapsed();
        let wants = self.may_claim();
        let left_alone = self.permit != Permit::Succeed && elapsed < self.left_alone_until;
        if !matches!(self.mode, Mode::Following) || !wants || left_alone || elapsed < self.quiet_until {
            self.claim_query = None;
            return;
        }
        // Read to an end asked for since the wish arose. Where that does not come, the claim may be in
        // vain, but it is a record to read on to.
        let query = *self.claim_query.get_or_insert_with(|| self.ends.ask());
        if !self.ends.reached(query) && !self.ends.stalled(elapsed) {
            return;
        }
        self.claim_query = None;
        let claim_id = (self.fresh_claim_id)();
        let value = encode_claim(&Claim {
            epoch: self.follower.chain().epoch() + 1,
            claim_id,
            identity: self.identity,
            address: &self.options.address,
        });
        self.sent += 1;
        self.mode = Mode::Claiming { token: self.sent, sent_at: elapsed };
        if self.claims_sent.len() == CLAIMS_REMEMBERED {
            self.claims_sent.pop_front();
        }
        self.claims_sent.push_back(SentClaim { claim_id, sent_at: self.clock.wall() });
        let record = NewRecord { value, headers: vec![("type", "claim".into())], ..NewRecord::default() };
        self.effects.push(Effect::Append { token: self.sent, record });
    }

    /// An accepted claim settles everything in flight.
    pub(super) fn claimed(&mut self, claim_id: ClaimId, append_time_ms: i64) {
        let own = self.claims_sent.iter().find(|claim| claim.claim_id == claim_id).copied();
        // The others were for the epoch that has now begun, or for an earlier one.
        self.claims_sent.clear();
        self.own_claim = own.map(|claim| claim.claim_id);
        self.requeue_in_flight();
        self.requeue_releases();
        self.mode = Mode::Following;
        self.yielding = false;
        // Claims of the past are those of owners that this one was started to replace, and the one
        // that gave the log its identity has no owner behind it.
        let replaced = own.is_none() && !self.ends.caught_up();
        let ownerless = claim_id == self.identity.log_id;
        self.eager &= replaced || ownerless;
        match own.map(|claim| self.clock_agrees(claim.sent_at, append_time_ms)) {
            None if ownerless => {}
            None => self.left_alone_until = self.clock.elapsed() + self.left_alone(append_time_ms),
            Some(Some(true)) => self.own(claim_id),
            Some(Some(false)) => {
                let ms = append_time_ms - self.clock.wall();
                metrics::counter!("roomlog_writer_clock_differs_total").increment(1);
                tracing::warn!(partition = %self.partition(), ms, "this clock differs too much from the log's: not deciding");
                self.quiet_until = self.clock.elapsed() + UNABLE_MS;
            }
            // The claim was too long on its way to tell: the next one may not be.
            Some(None) => {
                self.eager = true;
                self.quiet_until = self.clock.elapsed() + RETRY_MS;
            }
        }
    }

    fn own(&mut self, claim_id: ClaimId) {
        self.mode = Mode::Owning(Box::new(Speculative {
            claim_id,
            head: self.follower.chain().head(),
            record_time_ms: self.follower.record_time_ms(),
            state: self.state.clone(),
            announced: BTreeSet::new(),
        }));
    }

    /// Whether this clock agrees with the log's, going by a claim that was appended at some time from
    /// `sent_at` to now; `None` if that leaves it open.
    fn clock_agrees(&self, sent_at: Millis, append_time_ms: i64) -> Option<bool> {
        let (a, b) = (append_time_ms - sent_at, append_time_ms - self.clock.wall());
        let agrees = |difference: Millis| difference.abs() <= MAX_CLOCK_DIFFERENCE_MS;
        match (agrees(a), agrees(b)) {
            (true, true) => Some(true),
            (false, false) if (a < 0) == (b < 0) => Some(false),
            _ => None,
        }
    }

    /// How much longer another's claim is left alone. One that is read while catching up may be old.
    fn left_alone(&self, append_time_ms: i64) -> Millis {
        let age = if self.ends.caught_up() { 0 } else { self.clock.wall() - append_time_ms };
        LEFT_ALONE_MS - age.clamp(0, LEFT_ALONE_MS)
    }

    /// Claims again. Drops the speculative state; what is in flight stays listed until a claim
    /// settles it.
    pub(super) fn reset(&mut self) {
        #[cfg(test)]
        if self.is_owner() && mutated(Mutation::NoResetAfterFailure) {
            return;
        }
        self.mode = Mode::Following;
        self.eager = true;
        self.requeue_releases();
    }

    /// Never accepted: whoever still waits is decided again, in the old order.
    pub(super) fn requeue_in_flight(&mut self) {
        self.keys_in_flight.clear();
        self.read_back = self.sent;
        for sent in std::mem::take(&mut self.in_flight) {
            if let Some(command) = sent.command {
                self.requests.wait(command.request, Waiting::Decision);
            }
        }
        for id in std::mem::take(&mut self.repeats).into_values().flatten() {
            self.requests.wait(id, Waiting::Decision);
        }
    }

    /// A decision that wrote nothing counts only under the claim that it was made under.
    fn requeue_releases(&mut self) {
        for id in std::mem::take(&mut self.releases) {
            self.requests.wait(id, Waiting::Decision);
        }
    }
}
