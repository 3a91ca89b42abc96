//! The single writer of one partition, without I/O: inputs go in, [`Effect`]s come out, time and
//! random numbers are given. The same code runs in production and in the simulation.
//!
//! ```text
//!             read to the end          claim read back
//!  Following ────────────────▶ Claiming ─────────────▶ Owning
//!      ▲   ▲                      │                       │
//!      │   └── other's claim ─────┘                       │
//!      └────── other's claim, delivery error, own record skipped or not read back
//! ```
//!
//! * A command is decided against the *speculative* state and appended at once, on the speculative
//!   head. It is acknowledged when its record has been read back as accepted.
//! * After an error the speculative state is dropped, but not the list of what is in flight. The next
//!   accepted claim, its own or another's, settles it: what was not accepted before it never will be.
//! * A rejection is released when all that it was decided on has been read back, and the log has been
//!   read to an end asked for after the decision.
//!
//! This file takes the inputs; `following` reads, `claiming` owns or not, `sharing` leaves the partition
//! to others, `deciding` decides, sends and releases.

mod claiming;
mod clock;
mod deciding;
mod ends;
mod following;
mod requests;
mod sharing;
mod snapshot;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use bytes::Bytes;
use roomlog_domain::{Answer, State};
#[cfg(not(test))]
use roomlog_eventlog::chaos_mutation;
use roomlog_eventlog::{Chain, ClaimId, Follower, Head, LogIdentity, LogRecord, NewRecord, TopicPartition};
use roomlog_schemas::{CodecError, RoomId};

use self::clock::Clock;
use self::ends::EndQueries;
use self::requests::{Requests, Waiting};
pub use self::sharing::Permit;
pub use self::snapshot::Snapshot;
#[cfg(test)]
use super::mutation::{Mutation, mutated};
use super::request::{Millis, Outcome, Request, RequestId};
use super::window::{MAX_KEYS_PER_ACCOUNT, ScopedKey, Window};

/// Another's new claim is left alone this long.
pub const LEFT_ALONE_MS: Millis = 3_000;
/// A claim that has not come back by then is tried again.
pub const CLAIM_TIMEOUT_MS: Millis = 2_000;
/// A record that has not come back by then is taken for lost. Leaves time to claim, and to decide
/// again, before a deadline of ten seconds.
pub const READ_BACK_TIMEOUT_MS: Millis = 3_000;
/// An end of the log that reading does not come nearer to for this long is not waited for.
pub const STALLED_MS: Millis = 2_000;
/// Between attempts while the log does not answer.
pub const RETRY_MS: Millis = 100;
/// An owner whose clock differs more from the log's does not decide.
pub const MAX_CLOCK_DIFFERENCE_MS: Millis = 5_000;
/// Before such an owner tries again.
pub const UNABLE_MS: Millis = 30_000;
/// Most own claims remembered that may still be read: one is sent at a time, more are on the wire
/// only while the log does not answer.
const CLAIMS_REMEMBERED: usize = 64;

#[derive(Debug, Clone)]
pub struct Options {
    /// Where others reach this owner; part of its claims.
    pub address: String,
    /// Most records sent and not read back.
    pub max_in_flight: usize,
    /// Most requests waiting for anything.
    pub max_waiting: usize,
    /// Part of the replayed state's rules: the same in every process.
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
    Append {
        token: u64,
        record: NewRecord,
    },
    /// Ask the log for its end, and report it with the query's number. The next query comes only
    /// after the report.
    QueryEnd {
        query: u64,
    },
    Respond {
        request: RequestId,
        outcome: Outcome,
    },
    /// This writer has stopped for good; somebody has to look.
    Alarm(String),
}

#[derive(Debug)]
enum Mode {
    Following,
    /// `token` of the claim's append.
    Claiming {
        token: u64,
        sent_at: Millis,
    },
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

/// A claim for the next epoch. However late it is read, if it is accepted this writer owns.
#[derive(Debug, Clone, Copy)]
struct SentClaim {
    claim_id: ClaimId,
    /// By the wall clock.
    sent_at: Millis,
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
    /// By the time that has passed.
    sent_at: Millis,
}

#[derive(Debug)]
struct SentCommand {
    request: RequestId,
    key: Option<(ScopedKey, Bytes)>,
    answer: Answer,
}

pub struct Core {
    options: Options,
    identity: LogIdentity,
    fresh_claim_id: Box<dyn FnMut() -> ClaimId + Send>,
    clock: Clock,
    follower: Follower,
    /// Confirmed: after everything read and accepted.
    state: State,
    window: Window,
    mode: Mode,
    /// Own claims that the next epoch may be decided by.
    claims_sent: VecDeque<SentClaim>,
    /// The current claim, if it is this writer's.
    own_claim: Option<ClaimId>,
    /// In the order sent. The only record that may be accepted next is the first.
    in_flight: VecDeque<InFlight>,
    /// Keys in flight, with their ordinal.
    keys_in_flight: HashMap<ScopedKey, u64>,
    sent: u64,
    read_back: u64,
    requests: Requests,
    /// Decisions that wrote nothing, in the order made: what lets one go lets go all before it.
    releases: VecDeque<RequestId>,
    /// Who waits for the record of this ordinal, which has its key.
    repeats: BTreeMap<u64, Vec<RequestId>>,
    ends: EndQueries,
    /// The query whose end has to be read before claiming.
    claim_query: Option<u64>,
    /// Nothing is claimed before this much time has passed.
    quiet_until: Millis,
    /// Until then another's claim is left alone, unless its owner asks to be succeeded.
    left_alone_until: Millis,
    /// Claim even though no request waits.
    eager: bool,
    permit: Permit,
    /// Whether the log's end has been asked for to know when all of it has been read.
    looked: bool,
    /// Decides nothing more, for another is about to claim.
    yielding: bool,
    effects: Vec<Effect>,
}

impl Core {
    /// A writer at the start of its partition. It claims once it has read to the log's end, and leaves
    /// alone whoever claims after that.
    pub fn new(
        partition: TopicPartition,
        identity: LogIdentity,
        options: Options,
        fresh_claim_id: Box<dyn FnMut() -> ClaimId + Send>,
    ) -> Self {
        let follower = Follower::from_start(Chain::new(partition, Some(identity)));
        let window = Window::new(options.max_keys_per_account);
        Self::from_parts(identity, options, fresh_claim_id, follower, State::default(), window)
    }

    /// A writer that goes on from a snapshot, as if it had read from the start. That the snapshot is
    /// of this log is the caller's to prove, by the record that its cursor was made after.
    pub fn from_snapshot(
        snapshot: Snapshot,
        options: Options,
        fresh_claim_id: Box<dyn FnMut() -> ClaimId + Send>,
    ) -> Result<Self, CodecError> {
        let Snapshot { cursor, state, window } = snapshot;
        let follower = Follower::from_cursor(&cursor)?;
        Ok(Self::from_parts(cursor.identity, options, fresh_claim_id, follower, state, window))
    }

    fn from_parts(
        identity: LogIdentity,
        options: Options,
        fresh_claim_id: Box<dyn FnMut() -> ClaimId + Send>,
        follower: Follower,
        state: State,
        window: Window,
    ) -> Self {
        Self {
            options,
            identity,
            fresh_claim_id,
            clock: Clock::default(),
            follower,
            state,
            window,
            mode: Mode::Following,
            claims_sent: VecDeque::new(),
            own_claim: None,
            in_flight: VecDeque::new(),
            keys_in_flight: HashMap::new(),
            sent: 0,
            read_back: 0,
            requests: Requests::default(),
            releases: VecDeque::new(),
            repeats: BTreeMap::new(),
            ends: EndQueries::default(),
            claim_query: None,
            quiet_until: 0,
            left_alone_until: 0,
            eager: true,
            permit: Permit::Free,
            looked: false,
            yielding: false,
            effects: Vec::new(),
        }
    }

    /// What has been confirmed so far; costs little, for all of it is shared.
    pub fn snapshot(&self) -> Snapshot {
        let cursor = self.follower.cursor().expect("a writer knows its log's identity");
        Snapshot { cursor, state: self.state.clone(), window: self.window.clone() }
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

    /// Whether nothing waits for time to pass: until the next input, no [`tick`](Self::tick) is needed.
    pub fn is_idle(&self) -> bool {
        let claims = match self.mode {
            Mode::Following => self.may_claim(),
            Mode::Claiming { .. } => true,
            Mode::Owning(_) | Mode::Stopped => false,
        };
        !claims && self.requests.len() == 0 && self.in_flight.is_empty() && self.ends.is_idle()
    }

    /// How far a source has been imported into a room, as confirmed.
    pub fn imported(&self, room: RoomId, source: &str) -> Option<u64> {
        self.state.rooms.get(&room)?.imports.get(source).copied()
    }

    /// A request arrives. Ids are never used twice.
    pub fn request(&mut self, now: Millis, id: RequestId, request: Request) {
        self.clock.set(now);
        let refused = if self.is_stopped() || request.deadline <= now {
            Some(Outcome::Unavailable)
        } else if self.requests.len() >= self.options.max_waiting {
            Some(Outcome::Overloaded)
        } else if self.is_owner() {
            None
        } else {
            // What has been read back stays so: to say it again, nobody has to own.
            self.used(&request)
        };
        if let Some(outcome) = refused {
            self.effects.push(Effect::Respond { request: id, outcome });
            return;
        }
        let deadline = self.clock.elapsed() + (request.deadline - now);
        self.requests.insert(id, request, deadline);
        self.advance();
    }

    /// The next records of the partition have been read, in order.
    pub fn records(&mut self, now: Millis, records: &[LogRecord]) {
        self.clock.set(now);
        for record in records {
            if self.is_stopped() {
                return;
            }
            self.record(record);
        }
        if !records.is_empty() {
            self.ends.moved(self.clock.elapsed());
        }
        self.advance();
    }

    /// The log confirmed an append. Says nothing about whether the record counts.
    pub fn appended(&mut self, now: Millis, token: u64) {
        self.clock.set(now);
        #[cfg(test)]
        let is_mutated = mutated(Mutation::AcknowledgeOnDelivery);
        #[cfg(not(test))]
        let is_mutated = chaos_mutation::is_on(chaos_mutation::Mutation::ReadBack);
        if is_mutated
            && let Some(sent) = self.in_flight.iter().find(|sent| sent.ordinal == token)
            && let Some(command) = &sent.command
        {
            let (id, answer) = (command.request, command.answer);
            self.respond(id, Outcome::Accepted { answer, offset: self.follower.next_offset() });
        }
    }

    /// The log did not confirm an append: the record may be there, or come, or not.
    pub fn append_failed(&mut self, now: Millis, token: u64) {
        self.clock.set(now);
        // A failure of what has been settled since means nothing any more.
        let concerned = match &self.mode {
            Mode::Claiming { token: claim, .. } => *claim == token,
            Mode::Owning(_) => self.in_flight.binary_search_by_key(&token, |sent| sent.ordinal).is_ok(),
            Mode::Following | Mode::Stopped => false,
        };
        #[cfg(test)]
        if mutated(Mutation::SettleOnDeliveryError) {
            self.requeue_in_flight();
        }
        if concerned {
            self.reset();
            self.quiet_until = self.quiet_until.max(self.clock.elapsed() + RETRY_MS);
        }
        self.advance();
    }

    /// The answer to [`Effect::QueryEnd`]; `None` if the log did not answer.
    pub fn end(&mut self, now: Millis, query: u64, end: Option<u64>) {
        self.clock.set(now);
        self.ends.answer(query, end, self.clock.elapsed());
        self.advance();
    }

    /// To be called every few milliseconds unless [`is_idle`](Self::is_idle).
    pub fn tick(&mut self, now: Millis) {
        self.clock.set(now);
        let elapsed = self.clock.elapsed();
        while let Some(id) = self.requests.overdue(elapsed) {
            let outcome = self.unanswered(id);
            self.respond(id, outcome);
        }
        let overdue = match &self.mode {
            Mode::Claiming { sent_at, .. } => elapsed >= sent_at + CLAIM_TIMEOUT_MS,
            Mode::Owning(_) => {
                let lost =
                    self.in_flight.front().is_some_and(|sent| elapsed >= sent.sent_at + READ_BACK_TIMEOUT_MS);
                lost || (!self.releases.is_empty() && self.ends.stalled(elapsed))
            }
            Mode::Following | Mode::Stopped => false,
        };
        if overdue {
            self.reset();
        }
        self.advance();
    }

    /// What is said of a request that ends without a decision that could be released.
    fn unanswered(&self, id: RequestId) -> Outcome {
        let Some(pending) = self.requests.get(id) else { return Outcome::Unavailable };
        let earlier_in_flight =
            || scoped_key(&pending.request).is_some_and(|scoped| self.keys_in_flight.contains_key(&scoped));
        match pending.waiting {
            Waiting::ReadBack | Waiting::Repeat => Outcome::Unknown,
            Waiting::Decision if earlier_in_flight() => Outcome::Unknown,
            Waiting::Decision | Waiting::Release { .. } => Outcome::Unavailable,
        }
    }

    fn stop(&mut self, reason: String) {
        self.mode = Mode::Stopped;
        self.effects.push(Effect::Alarm(reason));
        for id in self.requests.ids() {
            let outcome = self.unanswered(id);
            self.respond(id, outcome);
        }
    }

    /// Everything that the current state allows.
    fn advance(&mut self) {
        if self.is_stopped() {
            return;
        }
        self.ends.read_to(self.follower.next_offset());
        self.look_where_the_log_ends();
        self.claim_if_due();
        self.pass_on();
        self.decide_queue();
        self.release();
        if let Some(query) = self.ends.next(self.clock.elapsed()) {
            self.effects.push(Effect::QueryEnd { query });
        }
    }

    fn respond(&mut self, id: RequestId, outcome: Outcome) {
        if self.requests.remove(id).is_some() {
            self.effects.push(Effect::Respond { request: id, outcome });
        }
    }

    fn partition(&self) -> TopicPartition {
        self.follower.chain().partition()
    }
}

/// The key that a request is remembered by, if it has one and somebody to scope it to.
fn scoped_key(request: &Request) -> Option<ScopedKey> {
    request.actor.zip(request.key.as_ref().map(|(key, _)| *key))
}

#[cfg(test)]
mod tests;
