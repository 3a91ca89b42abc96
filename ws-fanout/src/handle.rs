//! How the live stream is doing, for the process that runs it.

use std::sync::Arc;

use roomlog_eventlog::TopicPartition;
use roomlog_schemas::SessionId;

use crate::CloseReason;
use crate::hub::Hub;

/// What the tail of a partition is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// No socket needs it.
    Idle,
    /// Not yet reading.
    Starting,
    Running,
    /// The log or the room store is away; the same is tried again until it is back. Sockets stay open.
    Retrying {
        error: String,
    },
    /// It won't go on in this process: events of this partition are not delivered any more.
    Stopped {
        error: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionStatus {
    pub partition: TopicPartition,
    /// Everything below has been delivered.
    pub next_offset: u64,
    pub state: State,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(crate) hub: Arc<Hub>,
}

impl Handle {
    /// Whether the service runs and no tail has stopped; with `tail_all`, whether besides each has
    /// once reached the end of its partition. While the log is away after that, this stays true.
    pub fn is_ready(&self) -> bool {
        let must_have_caught_up = self.hub.options.tail_all;
        self.hub.is_running()
            && self.hub.partitions().all(|partition| {
                let progress = partition.progress();
                let is_there = progress.is_caught_up || !must_have_caught_up;
                is_there && !matches!(progress.state, State::Stopped { .. })
            })
    }

    /// One for each partition, also of those that are not followed now.
    pub fn statuses(&self) -> Vec<PartitionStatus> {
        self.hub.partitions().map(|partition| partition.status()).collect()
    }

    pub fn stopped(&self) -> Vec<PartitionStatus> {
        let mut statuses = self.statuses();
        statuses.retain(|status| matches!(status.state, State::Stopped { .. }));
        statuses
    }

    /// Sockets open now.
    pub fn sockets(&self) -> usize {
        self.hub.accounts.sockets()
    }

    /// Closes the sockets of a session that was revoked, at once.
    pub fn close_session(&self, session: SessionId) {
        for queue in self.hub.accounts.all() {
            if queue.session() == session {
                queue.close(CloseReason::Unauthorized);
            }
        }
    }
}
