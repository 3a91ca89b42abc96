//! How far the projections are, and waiting until they are far enough.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use roomlog_eventlog::TopicPartition;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::{DirectoryStore, RoomStore, StoreError};

/// How often a store is asked where no projector of this process says how far it is.
const POLL: Duration = Duration::from_millis(20);

/// The projections that queries read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Projection {
    RoomEvents,
    Directory,
}

impl Projection {
    pub const ALL: [Projection; 2] = [Projection::RoomEvents, Projection::Directory];

    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|projection| projection.name() == name)
    }

    pub const fn name(self) -> &'static str {
        match self {
            Projection::RoomEvents => crate::rooms::PROJECTION,
            Projection::Directory => crate::directory::PROJECTION,
        }
    }
}

/// Tells waiting readers of this process that a projector of this process moved on: a hint that
/// saves asking the store. Without one, the store is polled.
#[derive(Default)]
pub struct Progress {
    reached: Mutex<HashMap<(Projection, TopicPartition), watch::Sender<u64>>>,
}

impl Progress {
    /// A projector has stored everything below `next_offset`.
    pub fn report(&self, projection: Projection, partition: TopicPartition, next_offset: u64) {
        self.watch(projection, partition, |sender| {
            sender.send_if_modified(|reached| {
                let moved = next_offset > *reached;
                *reached = next_offset.max(*reached);
                moved
            });
        });
    }

    /// Everything below the answer is stored, as far as this process has heard; 0 if it has not.
    pub fn reached(&self, projection: Projection, partition: TopicPartition) -> u64 {
        self.watch(projection, partition, |sender| *sender.borrow())
    }

    /// Waits until the room store holds everything up to and including `offset`; false if the
    /// deadline came first.
    pub async fn rooms_cover(
        &self,
        store: &dyn RoomStore,
        partition: TopicPartition,
        offset: u64,
        deadline: Instant,
    ) -> Result<bool, StoreError> {
        self.cover(Projection::RoomEvents, partition, offset, deadline, || store.cursor(partition)).await
    }

    /// The same for the directory.
    pub async fn directory_covers(
        &self,
        store: &dyn DirectoryStore,
        partition: TopicPartition,
        offset: u64,
        deadline: Instant,
    ) -> Result<bool, StoreError> {
        self.cover(Projection::Directory, partition, offset, deadline, || store.cursor(partition)).await
    }

    async fn cover<F>(
        &self,
        projection: Projection,
        partition: TopicPartition,
        offset: u64,
        deadline: Instant,
        cursor: impl Fn() -> F,
    ) -> Result<bool, StoreError>
    where
        F: Future<Output = Result<Option<roomlog_eventlog::Cursor>, StoreError>>,
    {
        let mut heard = self.watch(projection, partition, watch::Sender::subscribe);
        let mut next_poll = Instant::now();
        loop {
            if *heard.borrow_and_update() > offset {
                return Ok(true);
            }
            // Not after each report: where a projector reports, the store knows no more than it says.
            if Instant::now() >= next_poll {
                if let Some(cursor) = cursor().await? {
                    self.report(projection, partition, cursor.next_offset);
                    if cursor.covers(offset) {
                        return Ok(true);
                    }
                }
                next_poll = Instant::now() + POLL;
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            // Whether something was heard or not: look again.
            let _ = tokio::time::timeout_at(deadline.min(next_poll), heard.changed()).await;
        }
    }

    fn watch<T>(
        &self,
        projection: Projection,
        partition: TopicPartition,
        with: impl FnOnce(&watch::Sender<u64>) -> T,
    ) -> T {
        let mut reached = self.reached.lock().expect("no holder panics");
        with(reached.entry((projection, partition)).or_insert_with(|| watch::channel(0).0))
    }
}
