//! Which process works on what, where several share the projections.
//!
//! Every process finds the same answer from the heartbeats that it hears, and none asks another. Two
//! may answer differently for a while: the stored cursors make that harmless.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use roomlog_eventlog::TopicPartition;
use roomlog_members::{Handle, Heartbeat, Millis, ProcessId, Role, Roster, rendezvous};
use roomlog_stores::progress::Projection;

use crate::status::Cell;

/// Work moves when the same processes have been heard for this long: a little more than a heartbeat
/// takes to come round, so that who starts has heard everyone. With the silence that counts as death
/// it keeps a take-over below 3 s.
const SETTLE_MS: Millis = 600;
/// How often to look when nothing is heard: silence makes no sound.
const LOOK: Duration = Duration::from_millis(100);

/// Keeps telling the cells whether this process is in charge of them.
pub(crate) async fn watch(members: &Handle, cells: &[Arc<Cell>]) -> Infallible {
    let me = members.me();
    let mut heard = members.heard();
    let mut settled = Settled::default();
    let mut shared_by = Vec::new();
    loop {
        let sharers = settled.look(&members.roster(), members.now()).map(<[Sharer]>::to_vec);
        if let Some(sharers) = sharers.filter(|sharers| *sharers != shared_by) {
            shared_by = sharers;
            for cell in cells {
                // Where no other process has this version, what was goes on.
                if let Some(first) = first(&shared_by, cell.projection, cell.version, cell.partition) {
                    cell.put_in_charge(first == me);
                }
            }
        }
        // Whatever it was: look again.
        let _ = tokio::time::timeout(LOOK, heard.changed()).await;
    }
}

/// Who works on this version of a projection in this partition; `None` if nobody has it.
fn first(
    sharers: &[Sharer],
    projection: Projection,
    version: u32,
    partition: TopicPartition,
) -> Option<ProcessId> {
    let with_it = sharers.iter().filter(|sharer| sharer.fills(projection, version));
    let order = rendezvous::order(&work(projection, partition), with_it.map(|sharer| sharer.process));
    order.first().copied()
}

/// A process that shares the work.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sharer {
    process: ProcessId,
    /// Of each projection's rows, in the order of [`Projection::ALL`].
    versions: [u32; Projection::ALL.len()],
}

impl Sharer {
    fn of(heartbeat: &Heartbeat) -> Self {
        let versions = Projection::ALL.map(|projection| heartbeat.version_of(projection.name()));
        Self { process: heartbeat.process, versions }
    }

    fn fills(&self, projection: Projection, version: u32) -> bool {
        Projection::ALL.iter().zip(self.versions).any(|(one, its)| *one == projection && its == version)
    }
}

/// The name of the work in rendezvous.
fn work(projection: Projection, partition: TopicPartition) -> String {
    format!("{} {partition}", projection.name())
}

/// The processes that share the work, as soon as they have been the same for a while.
#[derive(Default)]
struct Settled {
    sharers: Vec<Sharer>,
    since: Millis,
}

impl Settled {
    /// `None`: too early to tell, or nobody to hand the work to. What was goes on.
    fn look(&mut self, roster: &Roster, now: Millis) -> Option<&[Sharer]> {
        let living: Vec<_> =
            roster.with_role(now, Role::Projectors).map(|member| Sharer::of(&member.heartbeat)).collect();
        if living != self.sharers {
            (self.sharers, self.since) = (living, now);
        }
        let quiet = (now - self.since).min(roster.hearing_for(now));
        (quiet >= SETTLE_MS && !self.sharers.is_empty()).then_some(&self.sharers[..])
    }
}

#[cfg(test)]
mod tests {
    use roomlog_members::{HEARTBEAT_MS, SILENCE_MS};

    use super::*;

    struct Heard {
        roster: Roster,
        settled: Settled,
        sequence: u64,
    }

    fn process(number: u128) -> ProcessId {
        ProcessId(uuid::Uuid::from_u128(number))
    }

    impl Heard {
        fn new() -> Self {
            Self { roster: Roster::new(process(1)), settled: Settled::default(), sequence: 0 }
        }

        fn beat(&mut self, now: Millis, numbers: &[u128], stopping: bool) {
            self.sequence += 1;
            for &number in numbers {
                let mut heartbeat = Heartbeat::new(process(number), vec![Role::Projectors], String::new());
                heartbeat.sequence = self.sequence;
                heartbeat.stopping = stopping;
                self.roster.heard(now, heartbeat);
            }
        }

        fn look(&mut self, now: Millis) -> Option<Vec<ProcessId>> {
            let sharers = self.settled.look(&self.roster, now);
            sharers.map(|sharers| sharers.iter().map(|sharer| sharer.process).collect())
        }
    }

    #[test]
    fn nothing_is_taken_over_before_everyone_had_time_to_speak() {
        let mut heard = Heard::new();
        assert_eq!(heard.look(5_000), None, "nobody was heard");
        heard.beat(5_000, &[1], false);
        assert_eq!(heard.look(5_000 + SETTLE_MS - 1), None);
        heard.beat(5_500, &[1, 2], false);
        assert_eq!(heard.look(5_500), None, "the other spoke up");
        assert_eq!(heard.look(5_500 + SETTLE_MS), Some(vec![process(1), process(2)]));
    }

    #[test]
    fn who_falls_silent_is_replaced_within_three_seconds() {
        let mut heard = Heard::new();
        heard.beat(0, &[1, 2], false);
        let mut now = 0;
        let replaced_at = loop {
            now += 100;
            if now % HEARTBEAT_MS == 0 {
                heard.beat(now, &[1], false);
            }
            if heard.look(now) == Some(vec![process(1)]) {
                break now;
            }
        };
        assert!((SILENCE_MS..3_000).contains(&replaced_at), "{replaced_at}");
    }

    #[test]
    fn who_does_not_hear_itself_changes_nothing() {
        let mut heard = Heard::new();
        heard.beat(0, &[1, 2], false);
        heard.look(0);
        heard.beat(500, &[1, 2], false);
        assert!(heard.look(700).is_some());
        for now in (700..10_000).step_by(100) {
            let processes = heard.look(now);
            assert!(processes.is_none_or(|processes| processes.len() == 2), "at {now}");
        }
    }

    #[test]
    fn each_version_of_a_projection_is_filled_by_processes_that_have_it() {
        let sharer = |number, directory: Option<u32>| {
            let mut heartbeat = Heartbeat::new(process(number), vec![Role::Projectors], String::new());
            let versions = directory.map(|version| (Projection::Directory.name().to_owned(), version));
            heartbeat.projections.extend(versions);
            Sharer::of(&heartbeat)
        };
        // The first one's build says nothing of versions yet.
        let sharers = [sharer(1, None), sharer(2, Some(2)), sharer(3, Some(2))];
        let who = |projection, version| -> std::collections::BTreeSet<ProcessId> {
            let partitions = (0..64).map(TopicPartition::rooms);
            partitions.filter_map(|partition| first(&sharers, projection, version, partition)).collect()
        };
        assert_eq!(who(Projection::Directory, 1), [process(1)].into());
        assert_eq!(who(Projection::Directory, 2), [process(2), process(3)].into());
        assert_eq!(who(Projection::RoomEvents, 1).len(), 3, "all have the same version of it");
        assert!(who(Projection::Directory, 3).is_empty());
    }

    #[test]
    fn the_last_one_to_stop_keeps_the_work() {
        let mut heard = Heard::new();
        heard.beat(0, &[1], true);
        heard.beat(500, &[1], true);
        assert_eq!(heard.look(900), None);
    }
}
