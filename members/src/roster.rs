//! Who lives and who owns what, as one process has heard it. Without I/O: times are given, in
//! milliseconds that have passed since any fixed moment of this process.

use std::collections::{BTreeMap, HashMap};

use roomlog_eventlog::TopicPartition;

use crate::{HEARTBEAT_MS, Heartbeat, ProcessId, Role, SILENCE_MS, rendezvous};

pub type Millis = i64;

/// The own heartbeats have stopped coming back when none has for this long. Shorter than the silence
/// that counts against others, so that a hiccup of the topic is not taken for their death.
const HEARING_MS: Millis = 2 * HEARTBEAT_MS;

/// A process and when it was last heard.
#[derive(Debug, Clone)]
pub struct Member {
    pub heartbeat: Heartbeat,
    /// When its first heartbeat arrived.
    pub since: Millis,
    pub heard_at: Millis,
}

/// The last word of an owner about its partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    pub owner: ProcessId,
    pub epoch: u64,
    pub successor: Option<ProcessId>,
    pub at: Millis,
}

#[derive(Debug, Clone)]
pub struct Roster {
    me: ProcessId,
    members: BTreeMap<ProcessId, Member>,
    named: HashMap<TopicPartition, Named>,
    /// Since when the own heartbeats come back without a break; `None` if they do not.
    hearing_since: Option<Millis>,
}

impl Roster {
    pub fn new(me: ProcessId) -> Self {
        Self { me, members: BTreeMap::new(), named: HashMap::new(), hearing_since: None }
    }

    pub fn me(&self) -> ProcessId {
        self.me
    }

    /// A heartbeat has arrived. One that is older than the last of its process says nothing new.
    pub fn heard(&mut self, now: Millis, heartbeat: Heartbeat) {
        let process = heartbeat.process;
        if let Some(known) = self.members.get(&process)
            && known.heartbeat.sequence >= heartbeat.sequence
        {
            return;
        }
        if process == self.me && !self.hears_itself(now) {
            self.hearing_since = Some(now);
        }
        for owned in &heartbeat.owned {
            let newer = self.named.get(&owned.partition).is_none_or(|named| owned.epoch >= named.epoch);
            if newer {
                let named = Named { owner: process, epoch: owned.epoch, successor: owned.successor, at: now };
                self.named.insert(owned.partition, named);
            }
        }
        let since = self.members.get(&process).map_or(now, |member| member.since);
        self.members.insert(process, Member { heartbeat, since, heard_at: now });
        self.members.retain(|_, member| now - member.heard_at < 10 * SILENCE_MS);
    }

    /// Processes heard of lately, in the order of their ids.
    pub fn living(&self, now: Millis) -> impl Iterator<Item = &Member> {
        self.members.values().filter(move |member| now - member.heard_at < SILENCE_MS)
    }

    /// Those of a role that are here to stay.
    pub fn with_role(&self, now: Millis, role: Role) -> impl Iterator<Item = &Member> {
        self.living(now).filter(move |member| member.heartbeat.has_role(role) && !member.heartbeat.stopping)
    }

    pub fn member(&self, process: ProcessId) -> Option<&Member> {
        self.members.get(&process)
    }

    /// Whether the own heartbeats come back: what is not heard otherwise says nothing about others.
    pub fn hears_itself(&self, now: Millis) -> bool {
        self.hearing_since.is_some()
            && self.members.get(&self.me).is_some_and(|member| now - member.heard_at < HEARING_MS)
    }

    /// How long the own heartbeats have come back without a break.
    pub fn hearing_for(&self, now: Millis) -> Millis {
        match self.hearing_since {
            Some(since) if self.hears_itself(now) => now - since,
            _ => 0,
        }
    }

    /// The last that an owner said of the partition, at whatever time.
    pub fn last_named(&self, partition: TopicPartition) -> Option<&Named> {
        self.named.get(&partition)
    }

    /// The owner that names the partition now.
    pub fn owner(&self, now: Millis, partition: TopicPartition) -> Option<&Named> {
        self.named.get(&partition).filter(|named| {
            now - named.at < SILENCE_MS
                && self
                    .members
                    .get(&named.owner)
                    .is_some_and(|member| member.heartbeat.owns(partition).is_some())
        })
    }

    /// For how long nobody has named the partition, going by the time in which the own heartbeats came
    /// back.
    pub fn unnamed_for(&self, now: Millis, partition: TopicPartition) -> Millis {
        let silent = self.named.get(&partition).map_or(Millis::MAX, |named| now - named.at);
        silent.min(self.hearing_for(now))
    }

    /// The processes of a role, in rendezvous order for a piece of work.
    pub fn order(&self, now: Millis, role: Role, work: &str) -> Vec<ProcessId> {
        rendezvous::order(work, self.with_role(now, role).map(|member| member.heartbeat.process))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::Owned;

    const PARTITION: TopicPartition = TopicPartition::rooms(3);

    fn process(number: u128) -> ProcessId {
        ProcessId(Uuid::from_u128(number))
    }

    fn beat(number: u128, sequence: u64, epoch: Option<u64>) -> Heartbeat {
        let mut heartbeat =
            Heartbeat::new(process(number), vec![Role::CommandApi], format!("http://{number}"));
        heartbeat.sequence = sequence;
        heartbeat.owned =
            epoch.map(|epoch| Owned { partition: PARTITION, epoch, successor: None }).into_iter().collect();
        heartbeat
    }

    #[test]
    fn a_process_that_falls_silent_is_dead() {
        let mut roster = Roster::new(process(1));
        roster.heard(0, beat(2, 1, None));
        assert_eq!(roster.living(SILENCE_MS - 1).count(), 1);
        assert_eq!(roster.living(SILENCE_MS).count(), 0);
    }

    #[test]
    fn silence_counts_only_while_the_own_heartbeats_come_back() {
        let mut roster = Roster::new(process(1));
        roster.heard(0, beat(2, 1, Some(7)));
        for n in 0..4 {
            roster.heard(n * 500, beat(1, n as u64 + 1, None));
        }
        assert_eq!(roster.unnamed_for(1_500, PARTITION), 1_500);
        // The topic falls silent as a whole, and comes back.
        assert_eq!(roster.unnamed_for(4_000, PARTITION), 0);
        roster.heard(4_000, beat(1, 9, None));
        assert_eq!(roster.unnamed_for(4_500, PARTITION), 500);
    }

    #[test]
    fn a_deposed_owner_is_not_believed() {
        let mut roster = Roster::new(process(1));
        roster.heard(0, beat(2, 1, Some(8)));
        roster.heard(100, beat(3, 1, Some(7)));
        assert_eq!(roster.owner(200, PARTITION).map(|named| named.owner), Some(process(2)));
    }

    #[test]
    fn an_owner_that_stops_naming_the_partition_owns_it_no_more() {
        let mut roster = Roster::new(process(1));
        roster.heard(0, beat(2, 1, Some(8)));
        roster.heard(500, beat(2, 2, None));
        assert_eq!(roster.owner(500, PARTITION), None);
        assert!(roster.last_named(PARTITION).is_some_and(|named| named.at == 0));
    }

    #[test]
    fn an_old_heartbeat_says_nothing_new() {
        let mut roster = Roster::new(process(1));
        roster.heard(0, beat(2, 5, None));
        roster.heard(100, beat(2, 4, Some(8)));
        assert_eq!(roster.owner(100, PARTITION), None);
    }
}
