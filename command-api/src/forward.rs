//! Ports between the processes that run writers: a command goes to the process that owns its
//! partition. [`Peers`] is the way out, [`LocalWriters`] the way in; the transport between them is
//! not this crate's business.

use async_trait::async_trait;
use roomlog_eventlog::TopicPartition;
use roomlog_schemas::RoomId;

use crate::writer::{Outcome, Request};

/// The writers of other processes.
///
/// An answer, or an error, is there soon after the request's deadline at the latest. Dropping the
/// future does not stop the command.
#[async_trait]
pub trait Peers: Send + Sync + 'static {
    /// Runs the request on the process at this address, if that owns the partition. `hops_left`: how
    /// often that process may send it on.
    async fn run(
        &self,
        address: &str,
        partition: TopicPartition,
        request: Request,
        hops_left: u8,
    ) -> Result<PeerAnswer, PeerError>;

    /// How far a source has been imported into a room; see
    /// [`Handle::imported`](crate::writer::driver::Handle::imported).
    async fn imported(
        &self,
        address: &str,
        partition: TopicPartition,
        room: RoomId,
        source: String,
    ) -> Result<Option<u64>, PeerError>;
}

/// The writers of this process, as other processes ask them.
#[async_trait]
pub trait LocalWriters: Send + Sync + 'static {
    /// As [`Peers::run`]. `request.deadline` is already by this process's clock.
    async fn run_local(&self, partition: TopicPartition, request: Request, hops_left: u8) -> PeerAnswer;

    /// As [`Peers::imported`]; `None` also where this process does not own the partition.
    async fn imported_local(&self, partition: TopicPartition, room: RoomId, source: String) -> Option<u64>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerAnswer {
    Outcome(Outcome),
    /// The process does not own the partition; nothing was written. `owner` is the address of the
    /// one that it takes for the owner.
    Moved {
        owner: Option<String>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// The request has not reached the process: nothing was written.
    #[error("the request was not sent: {0}")]
    NotSent(String),
    /// The request was, or may have been, sent: its events may be, or come to be, in the log.
    #[error("the request may have been sent: {0}")]
    MaybeSent(String),
}
