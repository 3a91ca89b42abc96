//! A writer on a bench: each thing that a driver does is one call.

use std::collections::VecDeque;

use bytes::Bytes;
use roomlog_domain::command::CreateRoom;
use roomlog_domain::{Answer, Command, Context};
use roomlog_eventlog::frame::{encode_claim, encode_record};
use roomlog_eventlog::{
    Chain, Claim, Follower, Frame, Kind, LogIdentity, LogRecord, PartitionCounts, TopicPartition,
};
use roomlog_schemas::{Access, AccountId, History, IdempotencyKey, RoomId, RoomKind};
use uuid::Uuid;

use crate::writer::core::{Core, Effect, Options, Snapshot};
use crate::writer::request::{Millis, Outcome, Request, RequestId};

pub const NOW: Millis = 1_750_000_000_000;
pub const PATIENCE: Millis = 10_000;
pub const ALICE: AccountId = AccountId::from_u128(1);
pub const BOB: AccountId = AccountId::from_u128(2);
pub const ROOM: RoomId = RoomId::from_u128(100);

const PARTITION: TopicPartition = TopicPartition::rooms(0);

pub struct Bench {
    pub core: Core,
    pub now: Millis,
    /// Its clock less the log's.
    pub skew: Millis,
    pub log: Vec<LogRecord>,
    pub next_offset: u64,
    /// Sent and not in the log.
    pub wire: VecDeque<(u64, Bytes)>,
    pub queries: VecDeque<u64>,
    pub alarms: Vec<String>,
    outcomes: Vec<(RequestId, Outcome)>,
    read: usize,
    requests: RequestId,
}

fn identity() -> LogIdentity {
    LogIdentity { log_id: Uuid::from_u128(1), partitions: PartitionCounts { accounts: 1, rooms: 1 } }
}

fn fresh_claim_ids(first: u128) -> Box<dyn FnMut() -> Uuid + Send> {
    let mut last = first;
    Box::new(move || {
        last += 1;
        Uuid::from_u128(last)
    })
}

impl Bench {
    pub fn new(options: Options) -> Self {
        Self {
            core: Core::new(PARTITION, identity(), options, fresh_claim_ids(1000)),
            now: NOW,
            skew: 0,
            log: Vec::new(),
            next_offset: 0,
            wire: VecDeque::new(),
            queries: VecDeque::new(),
            alarms: Vec::new(),
            outcomes: Vec::new(),
            read: 0,
            requests: 0,
        }
    }

    /// A writer that owns its partition, which is empty but for its claim.
    pub fn owner() -> Self {
        Self::owner_with(Options::default())
    }

    pub fn owner_with(options: Options) -> Self {
        let mut bench = Self::new(options);
        bench.pass(0);
        bench.settle();
        assert!(bench.core.is_owner());
        bench
    }

    /// An owner with a room of Alice's.
    pub fn with_room() -> Self {
        let mut bench = Self::owner();
        let created = bench.ask(ALICE, create(ROOM));
        bench.settle();
        assert!(matches!(bench.outcome(created), Some(Outcome::Accepted { .. })));
        bench
    }

    /// The process starts again, from the partition's start or a snapshot; the log stays.
    pub fn restart(&mut self, snapshot: Option<Snapshot>) {
        let from = snapshot.as_ref().map_or(0, |snapshot| snapshot.cursor.next_offset);
        self.core = match snapshot {
            None => Core::new(PARTITION, identity(), Options::default(), fresh_claim_ids(2000)),
            Some(snapshot) => {
                Core::from_snapshot(snapshot, Options::default(), fresh_claim_ids(2000)).unwrap()
            }
        };
        self.read = self.log.partition_point(|record| record.offset < from);
        self.wire.clear();
        self.queries.clear();
    }

    fn input<T>(&mut self, input: impl FnOnce(&mut Core, Millis) -> T) -> T {
        let result = input(&mut self.core, self.now + self.skew);
        for effect in self.core.effects() {
            match effect {
                Effect::Append { token, record } => self.wire.push_back((token, record.value)),
                Effect::QueryEnd { query } => self.queries.push_back(query),
                Effect::Respond { request, outcome } => self.outcomes.push((request, outcome)),
                Effect::Alarm(reason) => self.alarms.push(reason),
            }
        }
        result
    }

    /// Without a key.
    pub fn ask(&mut self, actor: AccountId, command: Command) -> RequestId {
        self.give(Request { key: None, ..request(actor, key(0), 0, command) })
    }

    /// With a key, and a fingerprint of what stands for the body.
    pub fn ask_keyed(
        &mut self,
        actor: AccountId,
        key: IdempotencyKey,
        body: u8,
        command: Command,
    ) -> RequestId {
        self.give(request(actor, key, body, command))
    }

    pub fn give(&mut self, request: Request) -> RequestId {
        self.requests += 1;
        let (id, deadline) = (self.requests, self.now + self.skew + PATIENCE);
        self.input(|core, now| core.request(now, id, Request { deadline, ..request }));
        id
    }

    pub fn outcome(&self, id: RequestId) -> Option<&Outcome> {
        let mut outcomes = self.outcomes.iter().filter(|(request, _)| *request == id);
        let outcome = outcomes.next();
        assert!(outcomes.next().is_none(), "one outcome each");
        outcome.map(|(_, outcome)| outcome)
    }

    pub fn accepted(&self, id: RequestId) -> bool {
        matches!(self.outcome(id), Some(Outcome::Accepted { .. }))
    }

    /// Requests in the order of their outcomes.
    pub fn order(&self) -> Vec<RequestId> {
        self.outcomes.iter().map(|(id, _)| *id).collect()
    }

    pub fn append(&mut self, value: Bytes) {
        self.log.push(LogRecord { offset: self.next_offset, value, append_time_ms: self.now, trace: None });
        self.next_offset += 1;
    }

    /// The next send reaches the log.
    pub fn land(&mut self) {
        let (_, value) = self.wire.pop_front().expect("something is on the wire");
        self.append(value);
    }

    pub fn land_all(&mut self) {
        while !self.wire.is_empty() {
            self.land();
        }
    }

    /// The next send does not reach the log; its token.
    pub fn lose(&mut self) -> u64 {
        self.wire.pop_front().expect("something is on the wire").0
    }

    pub fn fail(&mut self, token: u64) {
        self.input(|core, now| core.append_failed(now, token));
    }

    pub fn confirm(&mut self, token: u64) {
        self.input(|core, now| core.appended(now, token));
    }

    pub fn read(&mut self) {
        let records = self.log[self.read..].to_vec();
        self.read = self.log.len();
        self.input(|core, now| core.records(now, &records));
    }

    /// The log answers the query for its end.
    pub fn answer_end(&mut self) {
        let (query, end) = (self.queries.pop_front().expect("asked for the end"), self.next_offset);
        self.input(|core, now| core.end(now, query, Some(end)));
    }

    pub fn pass(&mut self, ms: Millis) {
        self.now += ms;
        self.input(Core::tick);
    }

    /// Everything under way comes to its end, without any time passing.
    pub fn settle(&mut self) {
        while !self.wire.is_empty() || !self.queries.is_empty() || self.read < self.log.len() {
            self.land_all();
            while !self.queries.is_empty() {
                self.answer_end();
            }
            self.read();
        }
    }

    /// Time passes in small steps, nothing else is late.
    pub fn settle_for(&mut self, ms: Millis) {
        for _ in 0..ms / 50 {
            self.pass(50);
            self.settle();
        }
    }

    /// Another process claims.
    pub fn claim_by_another(&mut self) {
        let follower = self.reader();
        let epoch = follower.chain().epoch() + 1;
        let claim_id = Uuid::from_u128(u128::from(epoch));
        self.append(encode_claim(&Claim { epoch, claim_id, identity: identity(), address: "" }));
    }

    /// Somebody writes under the current claim, on the head.
    pub fn forge(&mut self) {
        let follower = self.reader();
        let (claim_id, head) = (follower.chain().claim_id(), follower.chain().head());
        let schema = follower.cursor().unwrap().announced[0].clone();
        self.append(encode_record(Kind::Schema, claim_id, head, schema.as_bytes()));
    }

    /// A reader of everything in the log.
    pub fn reader(&self) -> Follower {
        let mut follower = Follower::from_start(Chain::new(PARTITION, Some(identity())));
        for record in &self.log {
            follower.follow(record).unwrap();
        }
        follower
    }

    /// What is on the wire.
    pub fn kinds_sent(&self) -> Vec<Kind> {
        let kind = |value: &Bytes| match Frame::decode(value).unwrap() {
            Frame::Claim(_) => Kind::Claim,
            Frame::Record { kind, .. } => kind,
        };
        self.wire.iter().map(|(_, value)| kind(value)).collect()
    }
}

pub fn request(actor: AccountId, key: IdempotencyKey, body: u8, command: Command) -> Request {
    Request {
        actor: Some(actor),
        key: Some((key, Bytes::copy_from_slice(&[body]))),
        command,
        context: Context::default(),
        deadline: 0,
        traceparent: None,
    }
}

pub fn create(room_id: RoomId) -> Command {
    Command::CreateRoom(CreateRoom {
        room_id,
        parent_id: None,
        kind: RoomKind::Group,
        access: Access::Public,
        history: History::default(),
        name: Bytes::from_static(b"name"),
        creator_id: ALICE,
        source: None,
    })
}

pub fn join(account_id: AccountId) -> Command {
    Command::JoinRoom { room_id: ROOM, account_id }
}

pub fn leave(account_id: AccountId) -> Command {
    Command::LeaveRoom { room_id: ROOM, account_id }
}

/// A key made this much later than now.
pub fn key(later_ms: Millis) -> IdempotencyKey {
    let bits = ((NOW + later_ms) as u128) << 80 | 0x7 << 76 | 0b10 << 62;
    IdempotencyKey::new(Uuid::from_u128(bits)).unwrap()
}

pub fn answer_of(outcome: Option<&Outcome>) -> Option<Answer> {
    match outcome {
        Some(Outcome::Accepted { answer, .. } | Outcome::Unchanged { answer, .. }) => Some(*answer),
        _ => None,
    }
}
