//! One partition: its rooms in memory, how far its tail is, and who needs the tail.
//!
//! A [`Lease`] keeps the tail running. Rooms exist only while it runs: what is handed over to a room
//! begins where the tail began, and ends with it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use roomlog_eventlog::TopicPartition;
use roomlog_schemas::RoomId;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use crate::handle::{PartitionStatus, State};
use crate::queue::SocketQueue;
use crate::room::Room;

pub(crate) struct Partition {
    pub id: TopicPartition,
    rooms: Mutex<HashMap<RoomId, Arc<Room>>>,
    progress: watch::Sender<Progress>,
    position: metrics::Gauge,
    stopped: metrics::Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Everything below has been delivered, if the tail has begun.
    pub processed: u64,
    /// It has reached the end that the log had when the tail began.
    pub is_caught_up: bool,
    pub state: State,
    /// None while no tail has begun to read.
    pub began: Option<Began>,
    /// Tails that have begun so far.
    begun: u64,
    leases: usize,
}

/// Where and when the running tail began: what lies below was in the room store by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Began {
    pub offset: u64,
    pub at: Instant,
    number: u64,
}

/// Keeps the tail of a partition running.
pub(crate) struct Lease(Arc<Partition>);

impl Clone for Lease {
    fn clone(&self) -> Self {
        self.0.lease()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.progress.send_if_modified(|now| {
            now.leases -= 1;
            now.leases == 0
        });
    }
}

impl std::ops::Deref for Lease {
    type Target = Arc<Partition>;

    fn deref(&self) -> &Arc<Partition> {
        &self.0
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lease({})", self.0.id)
    }
}

impl Partition {
    pub fn new(id: TopicPartition) -> Self {
        let progress = Progress {
            processed: 0,
            is_caught_up: false,
            state: State::Idle,
            began: None,
            begun: 0,
            leases: 0,
        };
        Self {
            id,
            rooms: Mutex::default(),
            progress: watch::Sender::new(progress),
            position: metrics::gauge!("roomlog_fanout_position", "partition" => id.to_string()),
            stopped: metrics::gauge!("roomlog_fanout_stopped", "partition" => id.to_string()),
        }
    }

    pub fn lease(self: &Arc<Self>) -> Lease {
        self.progress.send_if_modified(|now| {
            now.leases += 1;
            now.leases == 1
        });
        Lease(self.clone())
    }

    /// Everything below has been delivered.
    pub fn processed(&self) -> u64 {
        self.progress.borrow().processed
    }

    pub fn began(&self) -> Option<Began> {
        self.progress.borrow().began
    }

    pub fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    pub fn status(&self) -> PartitionStatus {
        let Progress { processed, state, .. } = self.progress();
        PartitionStatus { partition: self.id, next_offset: processed, state }
    }

    /// Waits until everything below `offset` has been delivered; false if the deadline came first. A
    /// tail that has stopped is not waited for.
    pub async fn has_processed(&self, offset: u64, deadline: Instant) -> bool {
        self.reaches(deadline, |now| now.began.is_some() && now.processed >= offset).await
    }

    /// The same for the tail's beginning. Somebody has to hold a lease.
    pub async fn has_begun(&self, deadline: Instant) -> bool {
        self.reaches(deadline, |now| now.began.is_some()).await
    }

    async fn reaches(&self, deadline: Instant, holds: impl Fn(&Progress) -> bool) -> bool {
        let mut progress = self.progress.subscribe();
        let reached = progress.wait_for(|now| holds(now) || matches!(now.state, State::Stopped { .. }));
        matches!(timeout_at(deadline, reached).await, Ok(Ok(_)))
    }

    /// Waits for the first lease.
    pub async fn is_wanted(&self) {
        // The sender is here: it cannot have gone.
        let _ = self.progress.subscribe().wait_for(|now| now.leases > 0).await;
    }

    /// Waits until there has been no lease for so long.
    pub async fn is_unwanted(&self, linger: Duration) {
        let mut progress = self.progress.subscribe();
        loop {
            let _ = progress.wait_for(|now| now.leases == 0).await;
            tokio::select! {
                () = sleep(linger) => return,
                _ = progress.wait_for(|now| now.leases > 0) => {}
            }
        }
    }

    /// A tail is about to read.
    pub fn starting(&self) {
        self.progress.send_modify(|now| now.state = State::Starting);
    }

    /// The tail begins with this offset.
    pub fn begin(&self, offset: u64, is_caught_up: bool) {
        self.progress.send_modify(|now| {
            now.begun += 1;
            now.began = Some(Began { offset, at: Instant::now(), number: now.begun });
            now.processed = offset;
        });
        self.advance(offset, is_caught_up);
    }

    pub fn advance(&self, processed: u64, is_caught_up: bool) {
        self.progress.send_if_modified(|now| {
            now.is_caught_up |= is_caught_up;
            if now.state != State::Running {
                now.state = State::Running;
            }
            now.processed = processed;
            true
        });
        self.position.set(processed as f64);
        self.stopped.set(0.0);
    }

    pub fn retrying(&self, error: String) {
        self.progress.send_modify(|now| now.state = State::Retrying { error });
    }

    pub fn stopped(&self, error: String) {
        tracing::error!(partition = %self.id, error, "the live stream of a partition stopped");
        self.progress.send_modify(|now| now.state = State::Stopped { error });
        self.stopped.set(1.0);
    }

    /// Ends what the tail has begun, unless there is a lease again. True if the tail has to go; nobody
    /// is in any room then.
    pub fn retire(&self) -> bool {
        let is_idle = self.progress.send_if_modified(|now| {
            let is_idle = now.leases == 0;
            if is_idle {
                now.began = None;
                now.is_caught_up = false;
                now.state = State::Idle;
            }
            is_idle
        });
        if is_idle {
            for (_, room) in self.lock().drain() {
                room.evict();
                let is_empty = room.retire();
                debug_assert!(is_empty, "whoever is in a room holds a lease");
            }
        }
        is_idle
    }

    pub fn room(&self, id: RoomId) -> Arc<Room> {
        let mut rooms = self.lock();
        // Read under the lock: what the tail processes later finds the room that is made here.
        let room = || Arc::new(Room::new(id, self.id, self.processed()));
        rooms.entry(id).or_insert_with(room).clone()
    }

    /// The caller holds a lease, and the tail has begun.
    pub fn attach(&self, id: RoomId, queue: &Arc<SocketQueue>) -> (Arc<Room>, usize) {
        loop {
            let room = self.room(id);
            if let Some(key) = room.attach(queue) {
                return (room, key);
            }
        }
    }

    pub fn detach(&self, room: &Room, key: usize, queue: &Arc<SocketQueue>) {
        if room.detach(key, queue) {
            let mut rooms = self.lock();
            if room.retire() && rooms.get(&room.id).is_some_and(|known| std::ptr::eq(&**known, room)) {
                rooms.remove(&room.id);
            }
        }
    }

    /// Drops the rings of the rooms that have been quiet for longest, until so many bytes are free;
    /// how many are.
    pub fn evict(&self, bytes: usize) -> usize {
        let mut rooms = self.lock();
        let mut quiet: Vec<_> = rooms.values().map(|room| (room.usage(), room.clone())).collect();
        quiet.retain(|((_, bytes), _)| *bytes > 0);
        quiet.sort_unstable_by_key(|((touched, _), _)| *touched);
        let mut freed = 0;
        for (_, room) in quiet {
            if freed >= bytes {
                break;
            }
            freed += room.evict();
            if room.retire() {
                rooms.remove(&room.id);
            }
        }
        freed
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RoomId, Arc<Room>>> {
        self.rooms.lock().expect("no holder panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tail_stays_while_there_is_a_lease() {
        let partition = Arc::new(Partition::new(TopicPartition::rooms(0)));
        let lease = partition.lease();
        partition.is_wanted().await;
        partition.begin(7, true);
        let first = partition.began();
        assert!(!partition.retire());
        let other = lease.clone();
        drop(lease);
        assert!(!partition.retire());
        drop(other);
        partition.is_unwanted(Duration::ZERO).await;
        assert!(partition.retire());
        assert_eq!((partition.began(), partition.status().state), (None, State::Idle));
        let _lease = partition.lease();
        partition.begin(7, true);
        assert_ne!(partition.began(), first, "another tail began at the same offset");
    }
}
