//! What tails and sockets share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use roomlog_eventlog::{Topic, TopicPartition};
use roomlog_schemas::{AccountId, RoomId};
use roomlog_stores::StoreError;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
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
    rooms: Vec<Arc<Partition>>,
    account_partitions: Vec<Arc<Partition>>,
    is_running: AtomicBool,
    is_closing: AtomicBool,
}

impl Hub {
    pub fn new(deps: FanoutDeps, options: Options) -> Self {
        let counts = deps.identity.partitions;
        let partition = |id| Arc::new(Partition::new(id));
        Self {
            rooms: (0..counts.rooms).map(TopicPartition::rooms).map(partition).collect(),
            account_partitions: (0..counts.accounts).map(TopicPartition::accounts).map(partition).collect(),
            is_running: AtomicBool::new(false),
            store_readers: Semaphore::new(options.store_readers),
            accounts: Accounts::default(),
            telemetry: Telemetry::new(),
            tasks: TaskTracker::new(),
            is_closing: AtomicBool::new(false),
            deps,
            options,
        }
    }

    /// All of them.
    pub fn partitions(&self) -> impl Iterator<Item = &Arc<Partition>> {
        self.rooms.iter().chain(&self.account_partitions)
    }

    /// Those of rooms, by their number.
    pub fn room_partitions(&self) -> &[Arc<Partition>] {
        &self.rooms
    }

    pub fn partition_of(&self, room: RoomId) -> &Arc<Partition> {
        let id = self.deps.identity.partitions.partition_of(Topic::Rooms, room.slot());
        &self.rooms[id.partition as usize]
    }

    pub fn partition_of_account(&self, account: AccountId) -> &Arc<Partition> {
        let id = self.deps.identity.partitions.partition_of(Topic::Accounts, account.slot());
        &self.account_partitions[id.partition as usize]
    }

    /// Where the log ends now. While the log is away nothing is accepted: then it ends where the tail
    /// is, as far as anybody can tell.
    pub async fn end(&self, partition: &Partition, deadline: Instant) -> u64 {
        match timeout_at(deadline, self.deps.log.end(partition.id)).await {
            Ok(Ok(end)) => end,
            Ok(Err(_)) | Err(_) => partition.processed(),
        }
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

    /// From here on tails begin and sockets open.
    pub fn run(&self) {
        self.is_running.store(true, Ordering::SeqCst);
    }

    pub fn is_running(&self) -> bool {
        self.is_running.load(Ordering::SeqCst) && !self.is_closing()
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
