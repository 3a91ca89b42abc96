//! Which process owns which partition: a hint that may be wrong but has to be calm. Without I/O; the
//! same code runs in production and in the simulation.
//!
//! * *Whoever owns keeps*: nobody claims a partition whose owner names it in its heartbeats.
//! * After [`SILENCE_MS`] without being named, going by the time in which the own heartbeats came back,
//!   the able processes claim in rendezvous order, each [`RANK_MS`] after the one before.
//! * An owner whose appends or queries stay unanswered for [`UNANSWERED_MS`] stops naming the partition
//!   and is unable for a while. Where nobody is able, the unable ones may claim after all.
//! * For balance, and when it stops, an owner hands over: it stops deciding, lets what is in flight come
//!   back, names its successor, and reads on until that has claimed.

use std::collections::BTreeMap;

use roomlog_eventlog::TopicPartition;
use roomlog_members::{Heartbeat, Named, Owned, ProcessId, Role, Roster, SILENCE_MS, rendezvous};

use super::core::Permit;
use super::request::Millis;

/// Between the claims of two processes that find the same partition without an owner.
pub const RANK_MS: Millis = 300;
/// An append or query without an answer for this long makes its owner unable.
pub const UNANSWERED_MS: Millis = 1_000;
/// For how long.
pub const UNABLE_MS: Millis = 30_000;
/// At most this long an owner waits for what is in flight before it names its successor.
pub const LAST_RECORDS_MS: Millis = 300;
/// A successor that has not claimed by then is not waited for.
pub const HAND_OVER_MS: Millis = 2_500;
/// Who is not among the first two for a partition keeps its state for this long all the same.
const COOL_DOWN_MS: Millis = 30_000;
/// Processes that keep a partition's state in memory: its owner and the next.
const WARM: usize = 2;

#[derive(Debug, Clone)]
pub struct Options {
    /// A partition is not moved for balance before it has been here this long.
    pub balance_after_ms: Millis,
    /// Nor to a process that has not been there this long.
    pub settled_after_ms: Millis,
    /// Spreads the claims of processes that see the same.
    pub jitter_ms: Millis,
    /// Keep the state of every partition, not only of those that this process is first or second for.
    pub warm_all: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { balance_after_ms: 60_000, settled_after_ms: 5_000, jitter_ms: 0, warm_all: false }
    }
}

/// How a partition's writer stands in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status {
    /// It decides.
    pub owns: bool,
    /// The current claim is its own, whether it decides under it or not.
    pub holds_claim: bool,
    pub epoch: u64,
    /// It has read the log to its end.
    pub caught_up: bool,
    /// It has stopped for good.
    pub stopped: bool,
    /// Records that it sent have not been settled.
    pub in_flight: bool,
    /// A record or a query of it has had no answer for [`UNANSWERED_MS`].
    pub unanswered: bool,
}

/// What a partition's writer is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duty {
    pub permit: Permit,
    /// Follow the log and keep the state.
    pub warm: bool,
    pub yielding: bool,
}

impl Duty {
    /// Of a process that is alone with its log.
    pub const ALONE: Duty = Duty { permit: Permit::Free, warm: true, yielding: false };
    /// Before anything is known of others.
    pub const WAIT: Duty = Duty { permit: Permit::Leave, warm: false, yielding: false };
}

#[derive(Debug, Default)]
struct Place {
    status: Status,
    unable_until: Millis,
    /// Since when this process owns it.
    owned_since: Option<Millis>,
    handing: Option<Handing>,
    /// Until when the state is kept although others come first.
    warm_until: Millis,
}

#[derive(Debug, Clone, Copy)]
struct Handing {
    successor: ProcessId,
    since: Millis,
    /// What was in flight is back, or was waited for long enough.
    named: bool,
}

#[derive(Debug)]
pub struct Ownership {
    options: Options,
    places: BTreeMap<TopicPartition, Place>,
    stopping: bool,
}

impl Ownership {
    pub fn new(partitions: impl IntoIterator<Item = TopicPartition>, options: Options) -> Self {
        let places = partitions.into_iter().map(|partition| (partition, Place::default())).collect();
        Self { options, places, stopping: false }
    }

    /// From now on everything is handed over and nothing taken on.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// Whether nothing is left to hand over.
    pub fn is_handed_over(&self) -> bool {
        self.places.values().all(|place| !place.status.holds_claim)
    }

    /// What each writer is to do now. `now` is on the roster's clock.
    pub fn plan(
        &mut self,
        now: Millis,
        roster: &Roster,
        status: impl Fn(TopicPartition) -> Status,
    ) -> Vec<(TopicPartition, Duty)> {
        let mut moving = self.places.values().filter(|place| place.handing.is_some()).count();
        let mut duties = Vec::with_capacity(self.places.len());
        for (&partition, place) in &mut self.places {
            place.note(now, status(partition));
            let candidates = Candidates::new(now, roster, partition);
            let was_moving = place.handing.is_some();
            // One at a time for balance; all at once on the way out.
            if was_moving || self.stopping || moving == 0 {
                place.hand_over(now, roster, &candidates, self.stopping, &self.options);
                moving += usize::from(place.handing.is_some() && !was_moving);
            }
            let permit = place.permit(now, roster, partition, &candidates, self.stopping, &self.options);
            let takes = matches!(permit, Permit::Take | Permit::Succeed);
            let first_two = candidates.rank(roster.me()).is_some_and(|rank| rank < WARM);
            if first_two || place.status.holds_claim || takes || self.options.warm_all {
                place.warm_until = now + COOL_DOWN_MS;
            }
            // What cannot be heard is no reason to forget.
            let deaf = place.status.caught_up && !roster.hears_itself(now);
            let warm = now < place.warm_until || deaf;
            duties.push((partition, Duty { permit, warm, yielding: place.handing.is_some() }));
        }
        duties
    }

    /// Writes into the own heartbeat what others have to know; true if they should know at once.
    pub fn describe(&self, now: Millis, heartbeat: &mut Heartbeat) -> bool {
        let owned = self.places.iter().filter(|(_, place)| place.status.owns && now >= place.unable_until);
        let owned: Vec<Owned> = owned
            .map(|(&partition, place)| Owned {
                partition,
                epoch: place.status.epoch,
                successor: place.handing.filter(|handing| handing.named).map(|handing| handing.successor),
            })
            .collect();
        let of = |which: fn(&Place, Millis) -> bool| {
            let places = self.places.iter().filter(|(_, place)| which(place, now));
            places.map(|(&partition, _)| partition).collect::<Vec<_>>()
        };
        let unable = of(|place, now| now < place.unable_until || place.status.stopped);
        let warm = of(|place, _| place.status.caught_up);
        let urgent =
            heartbeat.owned != owned || heartbeat.unable != unable || heartbeat.stopping != self.stopping;
        heartbeat.stopping = self.stopping;
        (heartbeat.owned, heartbeat.unable, heartbeat.warm) = (owned, unable, warm);
        urgent
    }
}

impl Place {
    fn note(&mut self, now: Millis, status: Status) {
        if status.holds_claim && status.unanswered {
            self.unable_until = now + UNABLE_MS;
        }
        // A clock that differs from the log's shows after the claim: it is held, but nothing is decided.
        self.owned_since = status.owns.then(|| self.owned_since.unwrap_or(now));
        if !status.holds_claim {
            self.handing = None;
        }
        self.status = status;
    }

    fn permit(
        &self,
        now: Millis,
        roster: &Roster,
        partition: TopicPartition,
        candidates: &Candidates,
        stopping: bool,
        options: &Options,
    ) -> Permit {
        let me = roster.me();
        if self.status.stopped {
            return Permit::Leave;
        }
        if self.status.holds_claim {
            let others = candidates.others(me).next().is_some();
            let leave = self.handing.is_some() || (now < self.unable_until && others);
            return if leave { Permit::Leave } else { Permit::Keep };
        }
        if stopping || !roster.hears_itself(now) {
            return Permit::Leave;
        }
        // Once somebody has claimed after those words, they are about the past.
        let left_to_me = |named: &Named| named.successor == Some(me) && named.epoch >= self.status.epoch;
        if roster.last_named(partition).is_some_and(left_to_me) {
            return Permit::Succeed;
        }
        // Those that are unable come after all that are able.
        let rank = candidates.rank(me).unwrap_or(candidates.able.len() + 1) as Millis;
        if roster.unnamed_for(now, partition) >= SILENCE_MS + rank * RANK_MS + options.jitter_ms {
            Permit::Take
        } else {
            Permit::Leave
        }
    }

    fn hand_over(
        &mut self,
        now: Millis,
        roster: &Roster,
        candidates: &Candidates,
        stopping: bool,
        options: &Options,
    ) {
        let me = roster.me();
        match &mut self.handing {
            Some(handing) if now - handing.since >= HAND_OVER_MS => {
                self.handing = None;
                self.owned_since = self.owned_since.map(|_| now);
            }
            Some(handing) => {
                handing.named |= !self.status.in_flight || now - handing.since >= LAST_RECORDS_MS;
            }
            None if !self.status.owns => {}
            None => {
                let successor = if stopping {
                    candidates.warm_others(me).next().or_else(|| candidates.others(me).next())
                } else {
                    let stayed =
                        self.owned_since.is_some_and(|since| now - since >= options.balance_after_ms);
                    candidates.first().filter(|first| {
                        *first != me
                            && stayed
                            && candidates.is_warm(*first)
                            && roster
                                .member(*first)
                                .is_some_and(|member| now - member.since >= options.settled_after_ms)
                    })
                };
                self.handing = successor.map(|successor| Handing { successor, since: now, named: false });
            }
        }
    }
}

/// Who could own a partition, in rendezvous order.
struct Candidates {
    able: Vec<ProcessId>,
    warm: Vec<ProcessId>,
}

impl Candidates {
    fn new(now: Millis, roster: &Roster, partition: TopicPartition) -> Self {
        let members: Vec<&Heartbeat> =
            roster.with_role(now, Role::CommandApi).map(|member| &member.heartbeat).collect();
        let able = members.iter().filter(|member| !member.unable.contains(&partition));
        let able = rendezvous::order(&partition.to_string(), able.map(|member| member.process));
        let warm = members.iter().filter(|member| member.warm.contains(&partition));
        Self { able, warm: warm.map(|member| member.process).collect() }
    }

    fn first(&self) -> Option<ProcessId> {
        self.able.first().copied()
    }

    fn rank(&self, process: ProcessId) -> Option<usize> {
        self.able.iter().position(|other| *other == process)
    }

    fn others(&self, me: ProcessId) -> impl Iterator<Item = ProcessId> {
        self.able.iter().copied().filter(move |process| *process != me)
    }

    fn is_warm(&self, process: ProcessId) -> bool {
        self.warm.contains(&process)
    }

    fn warm_others(&self, me: ProcessId) -> impl Iterator<Item = ProcessId> {
        self.others(me).filter(|process| self.is_warm(*process))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const PARTITION: TopicPartition = TopicPartition::rooms(3);
    const ME: ProcessId = ProcessId(Uuid::from_u128(1));
    const OTHER: ProcessId = ProcessId(Uuid::from_u128(2));

    /// What this process may do after the other one, owner by claim 7, has named it as its successor.
    fn permit_where_the_log_has_epoch(epoch: u64) -> Permit {
        let mut roster = Roster::new(ME);
        roster.heard(0, Heartbeat::new(ME, vec![Role::CommandApi], "me".into()));
        let mut other = Heartbeat::new(OTHER, vec![Role::CommandApi], "other".into());
        other.owned = vec![Owned { partition: PARTITION, epoch: 7, successor: Some(ME) }];
        roster.heard(0, other);
        let mut ownership = Ownership::new([PARTITION], Options::default());
        let status = Status { epoch, caught_up: true, ..Status::default() };
        ownership.plan(1, &roster, |_| status)[0].1.permit
    }

    #[test]
    fn whoever_is_named_by_the_owner_succeeds_it() {
        assert_eq!(permit_where_the_log_has_epoch(7), Permit::Succeed);
        assert_eq!(permit_where_the_log_has_epoch(6), Permit::Succeed, "the owner's claim is yet to be read");
    }

    #[test]
    fn words_of_an_owner_that_has_been_replaced_mean_nothing() {
        assert_eq!(permit_where_the_log_has_epoch(8), Permit::Leave);
    }
}
