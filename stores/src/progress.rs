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
    places: Mutex<HashMap<(Projection, TopicPartition), Place>>,
}

struct Place {
    /// Everything below is stored.
    reached: watch::Sender<u64>,
    /// How many readers wait for more.
    waiting: watch::Sender<usize>,
}

impl Progress {
    /// A projector has stored everything below `next_offset`.
    pub fn report(&self, projection: Projection, partition: TopicPartition, next_offset: u64) {
        self.place(projection, partition, |place| {
            place.reached.send_if_modified(|reached| {
                let moved = next_offset > *reached;
                *reached = next_offset.max(*reached);
                moved
            });
        });
    }

    /// Everything below the answer is stored, as far as this process has heard; 0 if it has not.
    pub fn reached(&self, projection: Projection, partition: TopicPartition) -> u64 {
        self.place(projection, partition, |place| *place.reached.borrow())
    }

    /// Returns when a reader of this process waits for more than is stored.
    pub async fn wanted(&self, projection: Projection, partition: TopicPartition) {
        let mut waiting = self.place(projection, partition, |place| place.waiting.subscribe());
        // Its sender stays as long as `self`.
        let _ = waiting.wait_for(|readers| *readers > 0).await;
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
        let (mut heard, waiting) =
            self.place(projection, partition, |place| (place.reached.subscribe(), place.waiting.clone()));
        if *heard.borrow_and_update() > offset {
            return Ok(true);
        }
        let _waiting = Waiting::new(waiting);
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

    fn place<T>(
        &self,
        projection: Projection,
        partition: TopicPartition,
        with: impl FnOnce(&Place) -> T,
    ) -> T {
        let mut places = self.places.lock().expect("no holder panics");
        let new = || Place { reached: watch::channel(0).0, waiting: watch::channel(0).0 };
        with(places.entry((projection, partition)).or_insert_with(new))
    }
}

/// Counts a reader for as long as it waits.
struct Waiting(watch::Sender<usize>);

impl Waiting {
    fn new(readers: watch::Sender<usize>) -> Self {
        readers.send_modify(|readers| *readers += 1);
        Self(readers)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.send_modify(|readers| *readers -= 1);
    }
}
