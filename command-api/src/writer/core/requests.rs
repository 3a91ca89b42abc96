//! The requests without an answer: what each waits for, in the order of their arrival.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use roomlog_domain::{Answer, Rejection};

use crate::writer::request::{Millis, Outcome, Request, RequestId};

/// Why a request has no answer yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// Queued for a decision.
    Decision,
    /// Its own record is in flight.
    ReadBack,
    /// Another record with its key is in flight.
    Repeat,
    /// A decision that wrote nothing, made when `basis` records had been sent. Released when they have
    /// been read back and the log has been read to the end that `query` gave.
    Release { decided: Decided, basis: u64, query: u64 },
}

/// A decision that writes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decided {
    Unchanged(Answer),
    Rejected(Rejection),
    TooLarge,
}

impl Decided {
    /// The answer, once everything below `next_offset` has been read.
    pub fn outcome(self, next_offset: u64) -> Outcome {
        match self {
            Decided::Unchanged(answer) => {
                Outcome::Unchanged { answer, offset: next_offset.saturating_sub(1) }
            }
            Decided::Rejected(rejection) => Outcome::Rejected(rejection),
            Decided::TooLarge => Outcome::TooLarge,
        }
    }
}

#[derive(Debug)]
pub struct Pending {
    pub request: Request,
    /// By the time that has passed, not by the wall clock.
    pub deadline: Millis,
    pub waiting: Waiting,
    arrival: u64,
}

#[derive(Debug, Default)]
pub struct Requests {
    pending: HashMap<RequestId, Pending>,
    /// Those that wait for a decision, and no others, by arrival.
    queue: BTreeMap<u64, RequestId>,
    deadlines: BTreeSet<(Millis, RequestId)>,
    arrivals: u64,
}

impl Requests {
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    pub fn get(&self, id: RequestId) -> Option<&Pending> {
        self.pending.get(&id)
    }

    /// Queues a new request.
    pub fn insert(&mut self, id: RequestId, request: Request, deadline: Millis) {
        self.arrivals += 1;
        let arrival = self.arrivals;
        let pending = Pending { request, deadline, waiting: Waiting::Decision, arrival };
        let replaced = self.pending.insert(id, pending);
        debug_assert!(replaced.is_none(), "ids are never used twice");
        self.queue.insert(arrival, id);
        self.deadlines.insert((deadline, id));
    }

    /// The next to decide.
    pub fn first_queued(&self) -> Option<RequestId> {
        self.queue.first_key_value().map(|(_, id)| *id)
    }

    /// What a request waits for from now on; whoever has its answer already is left out.
    pub fn wait(&mut self, id: RequestId, waiting: Waiting) {
        let Some(pending) = self.pending.get_mut(&id) else { return };
        pending.waiting = waiting;
        if waiting == Waiting::Decision {
            self.queue.insert(pending.arrival, id);
        } else {
            self.queue.remove(&pending.arrival);
        }
    }

    pub fn remove(&mut self, id: RequestId) -> Option<Request> {
        let pending = self.pending.remove(&id)?;
        self.queue.remove(&pending.arrival);
        self.deadlines.remove(&(pending.deadline, id));
        Some(pending.request)
    }

    /// A request whose deadline has come.
    pub fn overdue(&self, elapsed: Millis) -> Option<RequestId> {
        self.deadlines.first().filter(|(deadline, _)| *deadline <= elapsed).map(|(_, id)| *id)
    }

    /// All of them, by arrival.
    pub fn ids(&self) -> Vec<RequestId> {
        let mut ids: Vec<(u64, RequestId)> =
            self.pending.iter().map(|(id, pending)| (pending.arrival, *id)).collect();
        ids.sort_unstable();
        ids.into_iter().map(|(_, id)| id).collect()
    }
}
