//! One partition of the topic `rooms`: its rooms in memory, and how far the tail is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use roomlog_eventlog::TopicPartition;
use roomlog_schemas::RoomId;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

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
    /// Everything below has been delivered.
    pub processed: u64,
    /// It has reached the end that the log had when the tail began.
    pub is_caught_up: bool,
    pub state: State,
}

impl Partition {
    pub fn new(id: TopicPartition) -> Self {
        let state = State::Starting;
        Self {
            id,
            rooms: Mutex::default(),
            progress: watch::Sender::new(Progress { processed: 0, is_caught_up: false, state }),
            position: metrics::gauge!("roomlog_fanout_position", "partition" => id.to_string()),
            stopped: metrics::gauge!("roomlog_fanout_stopped", "partition" => id.to_string()),
        }
    }

    /// Everything below has been delivered.
    pub fn processed(&self) -> u64 {
        self.progress.borrow().processed
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
        let mut progress = self.progress.subscribe();
        let reached =
            progress.wait_for(|now| now.processed >= offset || matches!(now.state, State::Stopped { .. }));
        matches!(timeout_at(deadline, reached).await, Ok(Ok(_)))
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

    pub fn room(&self, id: RoomId) -> Arc<Room> {
        let mut rooms = self.lock();
        // Read under the lock: what the tail processes later finds the room that is made here.
        let room = || Arc::new(Room::new(id, self.id, self.processed()));
        rooms.entry(id).or_insert_with(room).clone()
    }

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
