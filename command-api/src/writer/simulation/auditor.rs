//! Watches the log, the requests and their outcomes, and knows nothing of the writers.

use std::collections::{BTreeMap, HashMap, HashSet};

use roomlog_domain::{Answer, State};
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
pub(super) struct AcceptedCommand {
    pub attempt: AttemptId,
    pub answer: Answer,
    pub offset: u64,
    /// How many commands were accepted before it.
    pub before: usize,
}

pub(super) struct Asked {
    pub request: Request,
    /// By the log's clock.
    deadline: Millis,
    /// How many commands had been accepted when it arrived.
    pub accepted_at_arrival: usize,
    pub outcome: Option<Outcome>,
    sent: bool,
}

pub struct Auditor {
    follower: Follower,
    window: Window,
    /// After each number of accepted commands.
    pub(super) states: Vec<State>,
    seqs: HashMap<RoomId, u64>,
    record_time_ms: Millis,
    announced: HashSet<Fingerprint>,
    pub(super) by_key: HashMap<ScopedKey, AcceptedCommand>,
    pub(super) by_attempt: HashMap<AttemptId, AcceptedCommand>,
    pub(super) asked: BTreeMap<AttemptId, Asked>,
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
    pub fn asked(&mut self, attempt: AttemptId, request: Request, deadline: Millis) {
        if let Some(scoped) = scoped(&request) {
            self.attempts_of.entry(scoped).or_default().push(attempt);
        }
        let accepted_at_arrival = self.states.len() - 1;
        self.asked
            .insert(attempt, Asked { request, deadline, accepted_at_arrival, outcome: None, sent: false });
    }

    /// A writer hands a record of the attempt to its wire.
    pub fn sent(&mut self, attempt: AttemptId, now: Millis) -> Result<(), Violation> {
        let Some(asked) = self.asked.get_mut(&attempt) else { return Ok(()) };
        self.counters.settled_never_accepted += u64::from(asked.sent);
        asked.sent = true;
        let in_time = now < asked.deadline;
        hold!(in_time, NothingDecidedAfterDeadline, "attempt {attempt} at {now}, after {}", asked.deadline);
        Ok(())
    }

    fn state(&self) -> &State {
        self.states.last().expect("begins with the empty one")
    }
}

pub(super) fn scoped(request: &Request) -> Option<ScopedKey> {
    request.actor.zip(request.key.as_ref().map(|(key, _)| *key))
}
