//! What tails and sockets share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use roomlog_eventlog::{Topic, TopicPartition};
use roomlog_schemas::RoomId;
use roomlog_stores::StoreError;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::accounts::Accounts;
use crate::backoff::Backoff;
use crate::partition::Partition;
use crate::telemetry::Telemetry;
use crate::{CloseReason, FanoutDeps, Options};

pub(crate) struct Hub {
    pub deps: FanoutDeps,
    pub options: Options,
    pub accounts: Accounts,
    pub telemetry: Telemetry,
    /// Bounds the pages of the room store that are in memory at the same time.
    pub store_readers: Semaphore,
    /// The sockets' tasks.
    pub tasks: TaskTracker,
    partitions: Vec<Arc<Partition>>,
    is_closing: AtomicBool,
}

impl Hub {
    pub fn new(deps: FanoutDeps, options: Options) -> Self {
        let partitions = (0..deps.identity.partitions.rooms).map(TopicPartition::rooms);
        Self {
            partitions: partitions.map(|id| Arc::new(Partition::new(id))).collect(),
            store_readers: Semaphore::new(options.store_readers),
            accounts: Accounts::default(),
            telemetry: Telemetry::new(),
            tasks: TaskTracker::new(),
            is_closing: AtomicBool::new(false),
            deps,
            options,
        }
    }

    pub fn partitions(&self) -> &[Arc<Partition>] {
        &self.partitions
    }

    pub fn partition_of(&self, room: RoomId) -> &Arc<Partition> {
        let id = self.deps.identity.partitions.partition_of(Topic::Rooms, room.slot());
        &self.partitions[id.partition as usize]
    }

    /// Waits until the room store holds everything below `next_offset`; false if the deadline came
    /// first.
    pub async fn store_covers(
        &self,
        partition: TopicPartition,
        next_offset: u64,
        deadline: Instant,
    ) -> Result<bool, StoreError> {
        match next_offset.checked_sub(1) {
            None => Ok(true),
            Some(last) => {
                let deps = &self.deps;
                deps.progress.rooms_cover(&*deps.rooms, partition, last, deadline).await
            }
        }
    }

    pub fn backoff(&self) -> Backoff {
        Backoff::new(self.options.shortest_pause, self.options.longest_pause)
    }

    pub fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::SeqCst)
    }

    /// From here on no socket opens, and those that are open are asked to close.
    pub fn close_all(&self) {
        self.is_closing.store(true, Ordering::SeqCst);
        self.tasks.close();
        for queue in self.accounts.all() {
            queue.close(CloseReason::Restart);
        }
    }
}
