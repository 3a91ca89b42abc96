//! One process with its writer: what a driver does, with every step of it open to delay and failure.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use uuid::Uuid;

use super::clients::AttemptId;
use super::log::{PARTITION, identity};
use super::profile::Profile;
use super::sharing::Sharing;
use crate::writer::core::{Core, Effect, Options, Snapshot};
use crate::writer::request::{Millis, Outcome, Request, RequestId};

/// An append on its way to the log.
#[derive(Debug, Clone)]
pub struct Send {
    /// Of the process that sent it: a later one knows nothing of it.
    pub life: u32,
    pub token: u64,
    pub value: Bytes,
    pub attempt: Option<AttemptId>,
}

/// The outcome of an append on its way back.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    pub token: u64,
    pub confirmed: bool,
}

pub struct Node {
    pub index: usize,
    /// `None` while it is down.
    pub core: Option<Core>,
    pub life: u32,
    /// Its clock less the log's.
    pub skew: Millis,
    pub paused_until: Millis,
    pub down_until: Millis,
    /// The next of the log's records to be read.
    pub at: usize,
    pub reader_rests_until: Millis,
    /// Outlives a crash.
    pub wire: VecDeque<Send>,
    pub wire_rests_until: Millis,
    pub reports: VecDeque<Report>,
    /// A query for the log's end, and the end once the log has seen the query.
    pub query: Option<(u64, Option<u64>)>,
    pub requests: HashMap<RequestId, AttemptId>,
    next_request: RequestId,
    options: Options,
    shared: bool,
    /// Absent where each process claims as it likes.
    pub sharing: Option<Sharing>,
}

/// What its writer wants of the world.
pub enum Wish {
    Outcome(AttemptId, Outcome),
    /// An answer to a request that has one already, or never was.
    StrayOutcome(RequestId),
    Alarm(String),
}

impl Node {
    pub fn new(index: usize, profile: &Profile) -> Self {
        let options = Options {
            address: format!("node-{index}"),
            max_in_flight: profile.max_in_flight,
            max_waiting: profile.max_waiting,
            max_keys_per_account: profile.max_keys,
        };
        let mut node = Self {
            index,
            core: None,
            life: 0,
            skew: 0,
            paused_until: 0,
            down_until: 0,
            at: 0,
            reader_rests_until: 0,
            wire: VecDeque::new(),
            wire_rests_until: 0,
            reports: VecDeque::new(),
            query: None,
            requests: HashMap::new(),
            next_request: 0,
            options,
            shared: profile.shared,
            sharing: None,
        };
        node.start(None, 0);
        node
    }

    /// Starts the process, at the partition's start or from a snapshot; `at` is where its reader goes on.
    pub fn start(&mut self, snapshot: Option<Snapshot>, at: usize) {
        self.life += 1;
        let mut claims = u128::from(self.life) << 64 | (self.index as u128 + 1) << 32;
        let fresh_claim_id = Box::new(move || {
            claims += 1;
            Uuid::from_u128(claims)
        });
        let options = self.options.clone();
        self.core = Some(match snapshot {
            None => Core::new(PARTITION, identity(), options, fresh_claim_id),
            Some(snapshot) => {
                Core::from_snapshot(snapshot, options, fresh_claim_id).expect("its schemas parse")
            }
        });
        self.at = at;
        self.sharing = self.shared.then(|| Sharing::new(self.index, self.life));
    }

    /// Everything in the process's memory is gone; what is on the wire stays there.
    pub fn crash(&mut self, down_until: Millis) -> Vec<AttemptId> {
        self.core = None;
        self.down_until = down_until;
        self.reports.clear();
        self.query = None;
        let mut lost: Vec<AttemptId> = self.requests.drain().map(|(_, attempt)| attempt).collect();
        lost.sort_unstable();
        lost
    }

    pub fn runs(&self, now: Millis) -> bool {
        self.core.is_some() && self.paused_until <= now
    }

    pub fn owns(&self) -> bool {
        self.core.as_ref().is_some_and(Core::is_owner)
    }

    pub fn request(&mut self, now: Millis, attempt: AttemptId, request: Request) {
        self.next_request += 1;
        self.requests.insert(self.next_request, attempt);
        let (id, clock) = (self.next_request, now + self.skew);
        self.with(|core| core.request(clock, id, request));
    }

    pub fn with(&mut self, input: impl FnOnce(&mut Core)) {
        if let Some(core) = &mut self.core {
            input(core);
        }
    }

    /// Takes over what the writer wants done.
    pub fn effects(&mut self) -> Vec<Wish> {
        let Some(core) = &mut self.core else { return Vec::new() };
        let mut wishes = Vec::new();
        for effect in core.effects() {
            match effect {
                Effect::Append { token, record } => {
                    let header = record.headers.iter().find(|(name, _)| *name == "traceparent");
                    let attempt = header.and_then(|(_, value)| value.parse().ok());
                    self.wire.push_back(Send { life: self.life, token, value: record.value, attempt });
                }
                Effect::QueryEnd { query } => {
                    assert!(self.query.is_none(), "one query at a time");
                    self.query = Some((query, None));
                }
                Effect::Respond { request, outcome } => wishes.push(match self.requests.remove(&request) {
                    Some(attempt) => Wish::Outcome(attempt, outcome),
                    None => Wish::StrayOutcome(request),
                }),
                Effect::Alarm(reason) => wishes.push(Wish::Alarm(reason)),
            }
        }
        wishes
    }
}
