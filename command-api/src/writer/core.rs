//! The single writer of one partition, without I/O: inputs go in, [`Effect`]s come out, time and
//! random numbers are given. The same code runs in production and in the simulation.
//!
//! ```text
//!             read to the end          claim read back
//!  Following ────────────────▶ Claiming ─────────────▶ Owning
//!      ▲   ▲                      │                       │
//!      │   └── other's claim ─────┘                       │
//!      └────── other's claim, delivery error, own record skipped
//! ```
//!
//! * A command is decided against the *speculative* state and appended at once, on the speculative
//!   head. It is acknowledged when its record has been read back as accepted.
//! * After an error the speculative state is dropped, but not the list of what is in flight. The next
//!   accepted claim, its own or another's, settles it: what was not accepted before it never will be.
//! * A rejection is released when all that it was decided on has been read back, and the log has been
//!   read to an end asked for after the decision.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use bytes::Bytes;
use roomlog_domain::{Answer, Decision, Rejection, State};
use roomlog_eventlog::frame::{MAX_RECORD_LEN, encode_claim, encode_record};
use roomlog_eventlog::{
    Chain, Claim, ClaimId, Content, Follower, Head, Kind, LogIdentity, LogRecord, NewRecord, Outcome as Followed,
    TopicPartition,
};

use roomlog_schemas::RoomId;

use super::encode::{Encoded, encode};
#[cfg(test)]
use super::mutation::{Mutation, mutated};
use super::request::{Millis, Outcome, Request, RequestId};
use super::window::{Lookup, MAX_KEYS_PER_ACCOUNT, ScopedKey, Window};

/// Another's new claim is left alone this long.
pub const LEFT_ALONE_MS: Millis = 3_000;
/// A claim that has not come back by then is tried again.
pub const CLAIM_TIMEOUT_MS: Millis = 2_000;
/// Between attempts while the log does not answer.
pub const RETRY_MS: Millis = 100;
/// An owner whose clock differs more from the log's does not decide.
pub const MAX_CLOCK_DIFFERENCE_MS: Millis = 5_000;
/// Before such an owner tries again.
pub const UNABLE_MS: Millis = 30_000;

#[derive(Debug, Clone)]
pub struct Options {
    /// Where others reach this owner; part of its claims.
    pub address: String,
    /// Most records sent and not read back.
    pub max_in_flight: usize,
    /// Most requests waiting for anything.
    pub max_waiting: usize,
    pub max_keys_per_account: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            address: String::new(),
            max_in_flight: 1024,
            max_waiting: 16_384,
            max_keys_per_account: MAX_KEYS_PER_ACCOUNT,
        }
    }
}

/// What the driver has to do, in order.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Append, and report a failure with the token.
    Append { token: u64, record: NewRecord },
    /// Ask the log for its end, and report it with the query's number.
    QueryEnd { query: u64 },
    Respond { request: RequestId, outcome: Outcome },
    /// This writer has stopped for good; somebody has to look.
    Alarm(String),
}

#[derive(Debug)]
enum Mode {
    Following,
    Claiming { claim_id: ClaimId, sent_at: Millis },
    Owning(Box<Speculative>),
    Stopped,
}

/// The state as if everything sent had been accepted.
#[derive(Debug)]
struct Speculative {
    claim_id: ClaimId,
    head: Head,
    record_time_ms: Millis,
    state: State,
    /// Schemas announced by records in flight.
    announced: BTreeSet<u64>,
}

/// A record sent and not settled.
#[derive(Debug)]
struct InFlight {
    /// Counts the records sent; also the append's token.
    ordinal: u64,
    value: Bytes,
    /// `None` for a schema announcement.
    command: Option<SentCommand>,
    state_after: State,
    record_time_ms: Millis,
}

#[derive(Debug)]
struct SentCommand {
    request: RequestId,
    key: Option<(ScopedKey, Bytes)>,
    answer: Answer,
}

/// Why a decided request has no answer yet.
#[derive(Debug)]
enum Waiting {
    /// Queued for a decision.
    Decision,
    /// Its own record is in flight.
    ReadBack,
    /// Another record with its key is in flight.
    Repeat,
    /// A decision that wrote nothing.
    Release { outcome: Result<Answer, Rejection>, basis: u64, query: u64 },
}

pub struct Core {
    options: Options,
    identity: LogIdentity,
    fresh_claim_id: Box<dyn FnMut() -> ClaimId + Send>,
    follower: Follower,
    /// Confirmed: after everything read and accepted.
    state: State,
    window: Window,
    mode: Mode,
    /// In the order sent. The only record that may be accepted next is the first.
    in_flight: VecDeque<InFlight>,
    /// Keys in flight, with their ordinal.
    keys_in_flight: HashMap<ScopedKey, u64>,
    sent: u64,
    read_back: u64,
    requests: HashMap<RequestId, (Request, Waiting)>,
    queue: VecDeque<RequestId>,
    /// Decisions that wrote nothing, in the order made: what lets one go lets go all before it.
    releases: VecDeque<RequestId>,
    /// Who waits for the record of this ordinal, which has its key.
    repeats: BTreeMap<u64, Vec<RequestId>>,
    deadlines: BTreeSet<(Millis, RequestId)>,
    ends: EndQueries,
    /// The query whose end has to be read before claiming.
    claim_query: Option<u64>,
    /// Nothing is claimed before.
    quiet_until: Millis,
    /// Claim even though no request waits.
    eager: bool,
    effects: Vec<Effect>,
}

/// Queries for the log's end: at most one under way, each answer counts for whoever asked before it
/// was sent.
#[derive(Debug, Default)]
struct EndQueries {
    issued: u64,
    under_way: bool,
    wanted: bool,
    /// Answered, but the log has not been read that far.
    answered: VecDeque<(u64, u64)>,
    /// The last query whose end has been read.
    reached: u64,
    failed_at: Option<Millis>,
}

impl Core {
    /// A writer at the start of its partition. It claims once it has read to the log's end.
    pub fn new(
        partition: TopicPartition,
        identity: LogIdentity,
        options: Options,
        fresh_claim_id: Box<dyn FnMut() -> ClaimId + Send>,
    ) -> Self {
        let chain = Chain::new(partition, Some(identity));
        let window = Window::new(options.max_keys_per_account);
        Self {
            options,
            identity,
            fresh_claim_id,
            follower: Follower::from_start(chain),
            state: State::default(),
            window,
            mode: Mode::Following,
            in_flight: VecDeque::new(),
            keys_in_flight: HashMap::new(),
            sent: 0,
            read_back: 0,
            requests: HashMap::new(),
            queue: VecDeque::new(),
            releases: VecDeque::new(),
            repeats: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            ends: EndQueries::default(),
            claim_query: None,
            quiet_until: 0,
            eager: true,
            effects: Vec::new(),
        }
    }

    /// What has to be done since the last call, in order.
    pub fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    pub fn is_owner(&self) -> bool {
        matches!(self.mode, Mode::Owning(_))
    }

    pub fn is_stopped(&self) -> bool {
        matches!(self.mode, Mode::Stopped)
    }

    pub fn follower(&self) -> &Follower {
        &self.follower
    }

    /// Requests without an answer.
    pub fn waiting(&self) -> usize {
        self.requests.len()
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Every record sent up to this token has been settled.
    pub fn read_back(&self) -> u64 {
        self.read_back
    }

    /// How far a source has been imported into a room, as confirmed.
    pub fn imported(&self, room: RoomId, source: &str) -> Option<u64> {
        self.state.rooms.get(&room)?.imports.get(source).copied()
    }

    /// A request arrives. Ids are never used twice.
    pub fn request(&mut self, now: Millis, id: RequestId, request: Request) {
        if self.is_stopped() || request.deadline <= now {
            self.effects.push(Effect::Respond { request: id, outcome: Outcome::Unavailable });
            return;
        }
        if self.requests.len() >= self.options.max_waiting {
            self.effects.push(Effect::Respond { request: id, outcome: Outcome::Overloaded });
            return;
        }
        self.deadlines.insert((request.deadline, id));
        self.requests.insert(id, (request, Waiting::Decision));
        self.queue.push_back(id);
        self.advance(now);
    }

    /// The next records of the partition have been read, in order.
    pub fn records(&mut self, now: Millis, records: &[LogRecord]) {
        for record in records {
            if self.is_stopped() {
                return;
            }
            self.record(now, record);
        }
        self.advance(now);
    }

    /// The log confirmed an append. Says nothing about whether the record counts.
    pub fn appended(&mut self, now: Millis, token: u64) {
        let _ = (now, token);
        #[cfg(test)]
        if mutated(Mutation::AcknowledgeOnDelivery)
            && let Some(sent) = self.in_flight.iter().find(|sent| sent.ordinal == token)
            && let Some(command) = &sent.command
        {
            let (id, answer) = (command.request, command.answer);
            self.respond(id, Outcome::Accepted { answer, offset: 0 });
        }
    }

    /// The log did not confirm an append: the record may be there, or come, or not.
    pub fn append_failed(&mut self, now: Millis, token: u64) {
        #[cfg(test)]
        if mutated(Mutation::SettleOnDeliveryError) {
            self.requeue_in_flight();
        }
        #[cfg(test)]
        if mutated(Mutation::NoResetAfterFailure) {
            return;
        }
        let claiming = matches!(self.mode, Mode::Claiming { .. }) && token == self.sent;
        // A failure of what has been settled since means nothing any more.
        let unsettled = self.in_flight.iter().any(|sent| sent.ordinal == token);
        if claiming || unsettled {
            self.reset(now);
            self.quiet_until = self.quiet_until.max(now + RETRY_MS);
        }
        self.advance(now);
    }

    /// The answer to [`Effect::QueryEnd`]; `None` if the log did not answer.
    pub fn end(&mut self, now: Millis, query: u64, end: Option<u64>) {
        self.ends.under_way = false;
        match end {
            Some(end) => self.ends.answered.push_back((query, end)),
            None => {
                self.ends.wanted = true;
                self.ends.failed_at = Some(now);
            }
        }
        self.advance(now);
    }

    /// To be called every few milliseconds while anything waits.
    pub fn tick(&mut self, now: Millis) {
        while let Some(&(deadline, id)) = self.deadlines.first()
            && deadline <= now
        {
            let outcome = match self.requests.get(&id) {
                Some((_, Waiting::ReadBack | Waiting::Repeat)) => Outcome::Unknown,
                _ => Outcome::Unavailable,
            };
            self.respond(id, outcome);
        }
        if let Mode::Claiming { sent_at, .. } = self.mode
            && now >= sent_at + CLAIM_TIMEOUT_MS
        {
            self.mode = Mode::Following;
        }
        self.advance(now);
    }

    fn record(&mut self, now: Millis, record: &LogRecord) {
        let previous_claim = self.follower.chain().claim_id();
        let own = self.in_flight.front().is_some_and(|sent| sent.value == record.value);
        let followed = match self.in_flight.front() {
            // Decoded before it was sent.
            Some(sent) if own && sent.command.is_some() => self.follower.follow_own(record, sent.record_time_ms),
            _ => self.follower.follow(record),
        };
        match followed {
            Err(error) => {
                let reason = format!("{}: {error}: {:?}", self.partition(), std::error::Error::source(&error));
                self.stop(reason);
            }
            Ok(Followed::Skipped(reason)) => {
                metrics::counter!("roomlog_log_skipped_records_total", "reader" => "writer", "reason" => reason.name())
                    .increment(1);
                self.skipped(now, record);
            }
            Ok(Followed::Accepted(accepted)) => match accepted.content {
                Content::Claim { claim_id, .. } => self.claimed(now, claim_id, record.append_time_ms),
                Content::Own | Content::Schema(_) if own => self.own_record_accepted(accepted.offset),
                Content::Own => {}
                Content::Schema(_) | Content::Command(_) if self.owns(previous_claim) => {
                    self.stop(format!(
                        "{}: offset {} was accepted under this owner's claim, but this owner did not send it",
                        self.partition(),
                        accepted.offset
                    ));
                }
                Content::Schema(_) => {}
                Content::Command(command) => self.follow_command(&command, accepted.offset),
            },
        }
    }

    /// Whether this writer sent under the claim: only the current one can matter.
    fn owns(&self, claim_id: ClaimId) -> bool {
        matches!(&self.mode, Mode::Owning(speculative) if speculative.claim_id == claim_id)
    }

    fn follow_command(&mut self, command: &roomlog_eventlog::Command, offset: u64) {
        for event in &command.events {
            self.state.apply(event);
        }
        #[cfg(test)]
        if mutated(Mutation::WindowNotRebuilt) {
            return;
        }
        if let (Some(actor), Some(key), Some(fingerprint)) = (command.actor, command.key, &command.fingerprint) {
            let answer = Answer::from_events(&command.events);
            self.window.accept((actor, key), fingerprint.clone(), answer, offset, command.record_time_ms);
        }
    }

    fn own_record_accepted(&mut self, offset: u64) {
        let Some(sent) = self.in_flight.pop_front() else { return };
        self.read_back = sent.ordinal;
        self.state = sent.state_after;
        let Some(command) = sent.command else { return };
        let repeats = self.repeats.remove(&sent.ordinal).unwrap_or_default();
        self.requeue(repeats);
        if let Some((scoped, fingerprint)) = command.key {
            if self.keys_in_flight.get(&scoped) == Some(&sent.ordinal) {
                self.keys_in_flight.remove(&scoped);
            }
            self.window.accept(scoped, fingerprint, command.answer, offset, sent.record_time_ms);
        }
        self.respond(command.request, Outcome::Accepted { answer: command.answer, offset });
    }

    /// A record that does not count: if it is one in flight, this owner's picture is wrong.
    fn skipped(&mut self, now: Millis, record: &LogRecord) {
        if let Mode::Claiming { claim_id, .. } = self.mode
            && matches!(roomlog_eventlog::Frame::decode(&record.value), Ok(roomlog_eventlog::Frame::Claim(claim)) if claim.claim_id == claim_id)
        {
            self.mode = Mode::Following;
        }
        if self.in_flight.iter().any(|sent| sent.value == record.value) {
            #[cfg(test)]
            if mutated(Mutation::NoResetAfterFailure) {
                return;
            }
            self.reset(now);
        }
    }

    /// An accepted claim settles everything in flight.
    fn claimed(&mut self, now: Millis, claim_id: ClaimId, append_time_ms: i64) {
        let own = matches!(self.mode, Mode::Claiming { claim_id: mine, .. } if mine == claim_id);
        self.requeue_in_flight();
        self.requeue_releases();
        self.mode = Mode::Following;
        self.eager = false;
        if !own {
            self.quiet_until = now + LEFT_ALONE_MS;
            return;
        }
        if (append_time_ms - now).abs() > MAX_CLOCK_DIFFERENCE_MS {
            metrics::counter!("roomlog_writer_clock_differs_total").increment(1);
            tracing::warn!(partition = %self.partition(), ms = append_time_ms - now, "this clock differs too much from the log's: not deciding");
            self.quiet_until = now + UNABLE_MS;
            return;
        }
        self.mode = Mode::Owning(Box::new(Speculative {
            claim_id,
            head: self.follower.chain().head(),
            record_time_ms: self.follower.record_time_ms(),
            state: self.state.clone(),
            announced: BTreeSet::new(),
        }));
    }

    /// Drops the speculative state; what is in flight stays listed until a claim settles it.
    fn reset(&mut self, _now: Millis) {
        if !self.is_stopped() {
            self.mode = Mode::Following;
            self.eager = true;
            self.requeue_releases();
        }
    }

    /// Never accepted: whoever still waits is decided again, in the old order.
    fn requeue_in_flight(&mut self) {
        self.keys_in_flight.clear();
        self.read_back = self.sent;
        let mut again: Vec<RequestId> = Vec::new();
        for sent in std::mem::take(&mut self.in_flight) {
            again.extend(sent.command.map(|command| command.request));
        }
        let repeats = std::mem::take(&mut self.repeats).into_values().flatten();
        again.extend(repeats);
        self.requeue(again);
    }

    /// A decision that wrote nothing counts only under the claim that it was made under.
    fn requeue_releases(&mut self) {
        let again: Vec<RequestId> = std::mem::take(&mut self.releases)
            .into_iter()
            .filter(|id| matches!(self.requests.get(id), Some((_, Waiting::Release { .. }))))
            .collect();
        self.requeue(again);
    }

    fn requeue(&mut self, again: Vec<RequestId>) {
        for id in again.into_iter().rev() {
            if let Some((_, waiting)) = self.requests.get_mut(&id) {
                *waiting = Waiting::Decision;
                self.queue.push_front(id);
            }
        }
    }

    fn stop(&mut self, reason: String) {
        self.mode = Mode::Stopped;
        self.effects.push(Effect::Alarm(reason));
        let mut waiting: Vec<RequestId> = self.requests.keys().copied().collect();
        waiting.sort_unstable();
        for id in waiting {
            let unknown = matches!(self.requests[&id].1, Waiting::ReadBack | Waiting::Repeat);
            self.respond(id, if unknown { Outcome::Unknown } else { Outcome::Unavailable });
        }
    }

    /// Everything that the current state allows.
    fn advance(&mut self, now: Millis) {
        if self.is_stopped() {
            return;
        }
        while let Some(&(query, end)) = self.ends.answered.front()
            && self.follower.next_offset() >= end
        {
            self.ends.reached = query;
            self.ends.answered.pop_front();
        }
        self.claim_if_due(now);
        self.decide_queue(now);
        self.release();
        self.query_if_wanted(now);
    }

    fn claim_if_due(&mut self, now: Millis) {
        let wants = self.eager || !self.queue.is_empty() || !self.in_flight.is_empty();
        if !matches!(self.mode, Mode::Following) || !wants || now < self.quiet_until {
            self.claim_query = None;
            return;
        }
        // Read to an end asked for since the wish arose.
        let query = *self.claim_query.get_or_insert(self.ends.issued + 1);
        if self.ends.reached < query {
            self.ends.wanted |= self.ends.issued < query;
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
        self.mode = Mode::Claiming { claim_id, sent_at: now };
        let record = NewRecord { value, headers: vec![("type", "claim".into())], ..NewRecord::default() };
        self.effects.push(Effect::Append { token: self.sent, record });
    }

    fn decide_queue(&mut self, now: Millis) {
        while self.is_owner() && self.in_flight.len() < self.options.max_in_flight {
            let Some(id) = self.queue.pop_front() else { return };
            self.decide(now, id);
        }
    }

    fn decide(&mut self, now: Millis, id: RequestId) {
        let Some((request, _)) = self.requests.get(&id) else { return };
        if request.deadline <= now {
            self.respond(id, Outcome::Unavailable);
            return;
        }
        let Mode::Owning(speculative) = &mut self.mode else { return };
        let record_time_ms = speculative.record_time_ms.max(now);
        let scoped = request.actor.zip(request.key.as_ref().map(|(key, _)| *key));
        if let (Some(scoped), Some((_, fingerprint))) = (scoped, &request.key) {
            if let Some(&ordinal) = self.keys_in_flight.get(&scoped) {
                self.repeats.entry(ordinal).or_default().push(id);
                self.wait(id, Waiting::Repeat);
                return;
            }
            let outcome = match self.window.look_up(scoped, record_time_ms) {
                Lookup::Used(entry) if entry.fingerprint == fingerprint => {
                    Some(Outcome::Accepted { answer: entry.answer, offset: entry.offset })
                }
                Lookup::Used(_) => Some(Outcome::KeyReused),
                Lookup::Refused => Some(Outcome::KeyExpired),
                Lookup::Unused => None,
            };
            if let Some(outcome) = outcome {
                self.respond(id, outcome);
                return;
            }
        }
        match speculative.state.decide(&request.command, &request.context) {
            Err(rejection) => self.wait_for_release(id, Err(rejection)),
            Ok(Decision::Unchanged(answer)) => self.wait_for_release(id, Ok(answer)),
            Ok(Decision::Events(events)) => {
                let announced = |fingerprint| {
                    self.follower.announced().contains(fingerprint) || speculative.announced.contains(&fingerprint)
                };
                match encode(request, &events, record_time_ms, announced) {
                    Err(error) => {
                        let reason = format!("{}: own events do not encode: {error}", self.partition());
                        self.stop(reason);
                    }
                    Ok(encoded) => self.send(id, scoped, events, encoded, record_time_ms),
                }
            }
        }
    }

    fn send(
        &mut self,
        id: RequestId,
        scoped: Option<ScopedKey>,
        events: Vec<roomlog_schemas::Event>,
        encoded: Encoded,
        record_time_ms: Millis,
    ) {
        if encoded.body.len() + roomlog_eventlog::frame::HEADER_LEN > MAX_RECORD_LEN {
            self.respond(id, Outcome::TooLarge);
            return;
        }
        for (fingerprint, json) in encoded.announcements {
            let headers = vec![("type", "schema".into())];
            self.append(Kind::Schema, json.as_bytes(), Bytes::new(), headers, None);
            if let Mode::Owning(speculative) = &mut self.mode {
                speculative.announced.insert(fingerprint);
            }
        }
        let Mode::Owning(speculative) = &mut self.mode else { return };
        speculative.record_time_ms = record_time_ms;
        for event in &events {
            speculative.state.apply(event);
        }
        let answer = Answer::from_events(&events);
        let fingerprint = self.requests.get(&id).and_then(|(request, _)| request.key.clone()).map(|(_, f)| f);
        let key = scoped.zip(fingerprint);
        if let Some(scoped) = scoped {
            self.keys_in_flight.insert(scoped, self.sent + 1);
        }
        let command = SentCommand { request: id, key, answer };
        self.append(Kind::Command, &encoded.body, encoded.key, encoded.headers, Some(command));
        self.wait(id, Waiting::ReadBack);
    }

    fn append(
        &mut self,
        kind: Kind,
        body: &[u8],
        key: Bytes,
        headers: Vec<(&'static str, String)>,
        command: Option<SentCommand>,
    ) {
        let Mode::Owning(speculative) = &mut self.mode else { return };
        let value = encode_record(kind, speculative.claim_id, speculative.head, body);
        speculative.head = speculative.head.extend(&value);
        self.sent += 1;
        self.in_flight.push_back(InFlight {
            ordinal: self.sent,
            value: value.clone(),
            command,
            state_after: speculative.state.clone(),
            record_time_ms: speculative.record_time_ms,
        });
        self.effects.push(Effect::Append { token: self.sent, record: NewRecord { value, key, headers } });
    }

    fn wait_for_release(&mut self, id: RequestId, outcome: Result<Answer, Rejection>) {
        let query = self.ends.issued + 1;
        self.ends.wanted = true;
        self.releases.push_back(id);
        self.wait(id, Waiting::Release { outcome, basis: self.sent, query });
    }

    fn wait(&mut self, id: RequestId, waiting: Waiting) {
        if let Some((_, now_waiting)) = self.requests.get_mut(&id) {
            *now_waiting = waiting;
        }
    }

    /// Answers the decisions that wrote nothing whose time has come.
    fn release(&mut self) {
        let offset = self.follower.next_offset().saturating_sub(1);
        while let Some(&id) = self.releases.front()
            && self.may_release(id)
        {
            self.releases.pop_front();
            let outcome = match self.requests.get(&id) {
                Some((_, Waiting::Release { outcome: Ok(answer), .. })) => Outcome::Unchanged { answer: *answer, offset },
                Some((_, Waiting::Release { outcome: Err(rejection), .. })) => Outcome::Rejected(*rejection),
                _ => continue,
            };
            self.respond(id, outcome);
        }
    }

    fn may_release(&self, id: RequestId) -> bool {
        let Some((_, Waiting::Release { basis, query, .. })) = self.requests.get(&id) else { return true };
        let read_back = self.read_back >= *basis || self.in_flight.is_empty();
        #[cfg(test)]
        if mutated(Mutation::RejectWithoutLogEnd) {
            return read_back;
        }
        // An own record sent after the decision and read back shows the log's end as well.
        read_back && (self.ends.reached >= *query || self.read_back > *basis)
    }

    fn query_if_wanted(&mut self, now: Millis) {
        let resting = self.ends.failed_at.is_some_and(|at| now < at + RETRY_MS);
        if self.ends.wanted && !self.ends.under_way && !resting {
            self.ends.wanted = false;
            self.ends.failed_at = None;
            self.ends.under_way = true;
            self.ends.issued += 1;
            self.effects.push(Effect::QueryEnd { query: self.ends.issued });
        }
    }

    fn respond(&mut self, id: RequestId, outcome: Outcome) {
        if let Some((request, _)) = self.requests.remove(&id) {
            self.deadlines.remove(&(request.deadline, id));
            self.effects.push(Effect::Respond { request: id, outcome });
        }
    }

    fn partition(&self) -> TopicPartition {
        self.follower.chain().partition()
    }
}
