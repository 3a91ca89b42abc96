//! The answers: what each promises has to be so, and to stay so.

use roomlog_domain::{Decision, State};
use roomlog_eventlog::frame::{HEADER_LEN, MAX_RECORD_LEN};

use super::auditor::{Auditor, scoped};
use super::clients::AttemptId;
use super::invariant::{Violation, hold};
use crate::writer::encode::encode;
use crate::writer::request::{Outcome, Request};

impl Auditor {
    /// A writer answers.
    pub fn answered(&mut self, attempt: AttemptId, outcome: &Outcome) -> Result<(), Violation> {
        self.counters.outcome(outcome);
        let Some(asked) = self.asked.get_mut(&attempt) else { return Ok(()) };
        let before = asked.outcome.replace(outcome.clone());
        hold!(before.is_none(), OneOutcomePerRequest, "attempt {attempt}: {before:?}, then {outcome:?}");
        let asked = &self.asked[&attempt];
        let own = self.by_attempt.get(&attempt);
        let by_key = scoped(&asked.request).and_then(|scoped| self.by_key.get(&scoped));
        if let Outcome::Accepted { answer, offset } = outcome {
            let accepted = if asked.request.key.is_some() { by_key } else { own };
            hold!(
                accepted.is_some(),
                AcknowledgedIsAccepted,
                "attempt {attempt}: {outcome:?}, not in the accepted log"
            );
            let Some(accepted) = accepted else { return Ok(()) };
            let same_body = self.fingerprint(accepted.attempt) == self.fingerprint(attempt);
            hold!(same_body, RepeatGetsFirstAnswer, "attempt {attempt}: {outcome:?}, for another body");
            let first = (accepted.answer, accepted.offset) == (*answer, *offset);
            if accepted.attempt == attempt {
                hold!(
                    first,
                    AcknowledgedIsAccepted,
                    "attempt {attempt}: {outcome:?}, the log has {accepted:?}"
                );
            } else {
                hold!(
                    first,
                    RepeatGetsFirstAnswer,
                    "attempt {attempt}: {outcome:?}, the first was {accepted:?}"
                );
                self.counters.repeats += 1;
            }
            return Ok(());
        }
        let may_be_accepted = matches!(outcome, Outcome::Unknown);
        hold!(
            own.is_none() || may_be_accepted,
            RefusedIsNeverAccepted,
            "attempt {attempt}: {outcome:?}, but {own:?}"
        );
        match outcome {
            Outcome::KeyReused => {
                let other = by_key
                    .is_some_and(|accepted| self.fingerprint(accepted.attempt) != self.fingerprint(attempt));
                hold!(
                    other,
                    RepeatGetsFirstAnswer,
                    "attempt {attempt}: no other body was accepted under its key"
                );
            }
            Outcome::Rejected(_) | Outcome::Unchanged { .. } | Outcome::TooLarge => {
                let known = by_key.is_some_and(|accepted| accepted.before < asked.accepted_at_arrival);
                hold!(!known, RepeatGetsFirstAnswer, "attempt {attempt}: {outcome:?}, but {by_key:?}");
                let rests = self.states[asked.accepted_at_arrival..]
                    .iter()
                    .any(|state| decides(state, &asked.request, outcome));
                hold!(
                    rests,
                    RejectionRestsOnFreshPrefix,
                    "attempt {attempt}: {outcome:?} fits no prefix of {} to {} commands",
                    asked.accepted_at_arrival,
                    self.states.len() - 1
                );
            }
            _ => {}
        }
        Ok(())
    }

    fn fingerprint(&self, attempt: AttemptId) -> Option<&[u8]> {
        self.asked.get(&attempt)?.request.key.as_ref().map(|(_, fingerprint)| fingerprint.as_ref())
    }
}

/// Whether this state gives that decision.
fn decides(state: &State, request: &Request, outcome: &Outcome) -> bool {
    match (state.decide(&request.command, &request.context), outcome) {
        (Err(rejection), Outcome::Rejected(said)) => rejection == *said,
        (Ok(Decision::Unchanged(answer)), Outcome::Unchanged { answer: said, .. }) => answer == *said,
        (Ok(Decision::Events(events)), Outcome::TooLarge) => encode(request, &events, 0, |_| true)
            .is_ok_and(|encoded| encoded.body.len() + HEADER_LEN > MAX_RECORD_LEN),
        _ => false,
    }
}
