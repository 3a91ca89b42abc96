//! Watches the log, the requests and their outcomes, and knows nothing of the writers.

use std::collections::{BTreeMap, HashMap, HashSet};

use roomlog_domain::{Answer, Decision, State};
use roomlog_eventlog::{Chain, Command, Content, Follower, Frame, LogRecord, Outcome as Followed};
use roomlog_schemas::registry::Fingerprint;
use roomlog_schemas::{Announced, CommandRecord, RoomId, codec};

use super::clients::AttemptId;
use super::counters::Counters;
use super::invariant::{Violation, hold};
use super::log::{PARTITION, identity};
use crate::writer::core::Snapshot;
use crate::writer::request::{Millis, Outcome, Request};
use crate::writer::window::{ScopedKey, Window};

/// A command in the accepted log.
#[derive(Debug, Clone, PartialEq, Eq)]
struct AcceptedCommand {
    attempt: AttemptId,
    answer: Answer,
    offset: u64,
    /// How many commands were accepted before it.
    before: usize,
}

struct Asked {
    request: Request,
    /// How many commands had been accepted when it arrived.
    accepted_at_arrival: usize,
    outcome: Option<Outcome>,
    sent: bool,
}

pub struct Auditor {
    follower: Follower,
    window: Window,
    /// After each number of accepted commands.
    states: Vec<State>,
    seqs: HashMap<RoomId, u64>,
    record_time_ms: Millis,
    announced: HashSet<Fingerprint>,
    by_key: HashMap<ScopedKey, AcceptedCommand>,
    by_attempt: HashMap<AttemptId, AcceptedCommand>,
    asked: BTreeMap<AttemptId, Asked>,
    attempts_of: HashMap<ScopedKey, Vec<AttemptId>>,
    pub counters: Counters,
}

impl Auditor {
    pub fn new(max_keys: usize) -> Self {
        Self {
            follower: Follower::from_start(Chain::new(PARTITION, Some(identity()))),
            window: Window::new(max_keys),
            states: vec![State::default()],
            seqs: HashMap::new(),
            record_time_ms: 0,
            announced: HashSet::new(),
            by_key: HashMap::new(),
            by_attempt: HashMap::new(),
            asked: BTreeMap::new(),
            attempts_of: HashMap::new(),
            counters: Counters::default(),
        }
    }

    /// What a reader has that has read everything.
    pub fn snapshot(&self) -> Snapshot {
        let cursor = self.follower.cursor().expect("the identity is known");
        Snapshot { cursor, state: self.state().clone(), window: self.window.clone() }
    }

    /// A record has reached the log, `attempt` being whose command it holds.
    pub fn appended(&mut self, record: &LogRecord, attempt: Option<AttemptId>) -> Result<(), Violation> {
        let followed = self.follower.follow(record);
        hold!(followed.is_ok(), SameForEveryReader, "readers stop at offset {}: {followed:?}", record.offset);
        match followed {
            Ok(Followed::Skipped(reason)) => self.counters.skipped(reason.name()),
            Ok(Followed::Accepted(accepted)) => match accepted.content {
                Content::Claim { .. } => self.counters.claims += 1,
                Content::Schema(fingerprint) => {
                    self.announced.insert(fingerprint);
                }
                Content::Command(command) => self.accepted(record, &command, attempt)?,
                Content::Own => {}
            },
            Err(_) => {}
        }
        Ok(())
    }

    fn accepted(
        &mut self,
        record: &LogRecord,
        command: &Command,
        attempt: Option<AttemptId>,
    ) -> Result<(), Violation> {
        let offset = record.offset;
        let Some(attempt) = attempt else {
            hold!(false, AtMostOnce, "offset {offset} is accepted, but nobody asked for it");
            return Ok(());
        };
        self.check_schemas(record)?;
        let (last, time) = (self.record_time_ms, command.record_time_ms);
        hold!(time >= last, RecordTimeNeverGoesBack, "offset {offset}: {time} after {last}");
        let answer = Answer::from_events(&command.events);
        let scoped = command.actor.zip(command.key);
        let now = AcceptedCommand { attempt, answer, offset, before: self.states.len() - 1 };
        let before = self.by_attempt.insert(attempt, now.clone());
        hold!(before.is_none(), AtMostOnce, "attempt {attempt}: {before:?} and {now:?}");
        if let Some(scoped) = scoped {
            let before = self.by_key.insert(scoped, now.clone());
            hold!(before.is_none(), AtMostOnce, "key {}: {before:?} and {now:?}", scoped.1);
            self.check_later_attempts(scoped, attempt)?;
        }
        for (room, seq) in command.events.iter().filter_map(|event| event.timeline()) {
            let last = self.seqs.insert(room, seq).unwrap_or(0);
            hold!(seq == last + 1, SeqGapFree, "offset {offset}, room {room}: {seq} after {last}");
        }
        if let Some(outcome) = self.asked.get(&attempt).and_then(|asked| asked.outcome.as_ref()) {
            match outcome {
                Outcome::Unknown => {}
                Outcome::Accepted { .. } => {
                    hold!(
                        false,
                        AcknowledgedIsAccepted,
                        "attempt {attempt}: acknowledged before offset {offset}"
                    );
                }
                _ => hold!(
                    false,
                    RefusedIsNeverAccepted,
                    "attempt {attempt}: {outcome:?}, then accepted at {offset}"
                ),
            }
        }
        let mut state = self.state().clone();
        for event in &command.events {
            state.apply(event);
        }
        self.states.push(state);
        self.record_time_ms = time;
        if let (Some(scoped), Some(fingerprint)) = (scoped, &command.fingerprint) {
            self.window.accept(scoped, fingerprint.clone(), answer, offset, time);
        }
        self.counters.accepted += 1;
        Ok(())
    }

    /// Every schema that the record needs has been announced in the partition before it.
    fn check_schemas(&self, record: &LogRecord) -> Result<(), Violation> {
        let Ok(Frame::Record { body, .. }) = Frame::decode(&record.value) else { return Ok(()) };
        let Ok(decoded) = CommandRecord::decode(body, &Announced::default()) else { return Ok(()) };
        let values = std::iter::once(body).chain(decoded.events.iter().map(|event| event.as_ref()));
        for fingerprint in values.filter_map(|value| codec::fingerprint(value).ok()) {
            let announced = self.announced.contains(&fingerprint);
            hold!(announced, SchemaAnnouncedBeforeUse, "offset {}: schema {fingerprint:016x}", record.offset);
        }
        Ok(())
    }

    /// A later attempt was decided against: that this one is accepted now breaks its promise.
    fn check_later_attempts(&self, scoped: ScopedKey, attempt: AttemptId) -> Result<(), Violation> {
        for later in self.attempts_of.get(&scoped).into_iter().flatten().filter(|later| **later > attempt) {
            let outcome = self.asked[later].outcome.as_ref();
            let decided =
                matches!(outcome, Some(Outcome::Rejected(_) | Outcome::Unchanged { .. } | Outcome::TooLarge));
            hold!(
                !decided,
                RejectionRestsOnFreshPrefix,
                "attempt {attempt} is accepted after attempt {later} with its key got {outcome:?}"
            );
        }
        Ok(())
    }

    /// A request reaches a writer.
    pub fn asked(&mut self, attempt: AttemptId, request: Request) {
        if let Some(scoped) = scoped(&request) {
            self.attempts_of.entry(scoped).or_default().push(attempt);
        }
        let accepted_at_arrival = self.states.len() - 1;
        self.asked.insert(attempt, Asked { request, accepted_at_arrival, outcome: None, sent: false });
    }

    /// A writer hands a record of the attempt to its wire.
    pub fn sent(&mut self, attempt: AttemptId) {
        if let Some(asked) = self.asked.get_mut(&attempt) {
            self.counters.settled_never_accepted += u64::from(asked.sent);
            asked.sent = true;
        }
    }

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

    fn state(&self) -> &State {
        self.states.last().expect("begins with the empty one")
    }
}

fn scoped(request: &Request) -> Option<ScopedKey> {
    request.actor.zip(request.key.as_ref().map(|(key, _)| *key))
}

/// Whether this state gives that decision.
fn decides(state: &State, request: &Request, outcome: &Outcome) -> bool {
    match (state.decide(&request.command, &request.context), outcome) {
        (Err(rejection), Outcome::Rejected(said)) => rejection == *said,
        (Ok(Decision::Unchanged(answer)), Outcome::Unchanged { answer: said, .. }) => answer == *said,
        (Ok(Decision::Events(events)), Outcome::TooLarge) => {
            crate::writer::encode::encode(request, &events, 0, |_| true).is_ok_and(|encoded| {
                encoded.body.len() + roomlog_eventlog::frame::HEADER_LEN
                    > roomlog_eventlog::frame::MAX_RECORD_LEN
            })
        }
        _ => false,
    }
}
