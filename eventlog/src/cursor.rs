//! Where a reader stands, stored atomically with what it built.

use serde::{Deserialize, Serialize};

use crate::chain::{Chain, Head, LogIdentity};
use crate::frame::ClaimId;
use crate::partition::TopicPartition;

/// Everything that a reader needs to go on as if it had read from offset 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    pub identity: LogIdentity,
    pub partition: TopicPartition,
    /// The first offset that has not been read.
    pub next_offset: u64,
    pub epoch: u64,
    pub claim_id: ClaimId,
    pub head: Head,
    /// Record time of the last accepted command, milliseconds since 1970; 0 before the first.
    pub record_time_ms: i64,
    /// Schemas announced in this partition so far, as their JSON, in order.
    pub announced: Vec<String>,
    /// The last accepted record, if there is one: read again before going on, to prove that this
    /// is still the same log.
    pub last_accepted: Option<LastAccepted>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastAccepted {
    pub offset: u64,
    /// The head before it.
    pub previous_head: Head,
}

impl Cursor {
    pub fn start(identity: LogIdentity, partition: TopicPartition) -> Self {
        let chain = Chain::new(partition, Some(identity));
        Self {
            identity,
            partition,
            next_offset: 0,
            epoch: 0,
            claim_id: chain.claim_id(),
            head: chain.head(),
            record_time_ms: 0,
            announced: Vec::new(),
            last_accepted: None,
        }
    }

    pub fn chain(&self) -> Chain {
        Chain::at(self.partition, self.identity, self.epoch, self.claim_id, self.head)
    }

    /// Whether everything up to and including `offset` has been read.
    pub fn covers(&self, offset: u64) -> bool {
        self.next_offset > offset
    }
}
