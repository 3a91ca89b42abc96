//! Finds the writer of a partition, in this process or another, and stays with a command until it has
//! its one answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use roomlog_eventlog::{EventLog, PartitionCounts, Topic, TopicPartition};
use roomlog_members::{self as members, ProcessId};
use roomlog_schemas::{RoomId, Slot};

use crate::forward::{LocalWriters, PeerAnswer, PeerError, Peers};
use crate::writer::driver::{Handle, clock_ms};
use crate::writer::request::{Millis, Outcome, Request};
use crate::writer::trace;

/// A command goes from process to process at most this often.
const HOPS: u8 = 2;
/// Before the next attempt while a partition is between two owners; sooner if a heartbeat says more.
const BETWEEN_OWNERS: Duration = Duration::from_millis(25);

/// The writers of all partitions; cheap to clone.
#[derive(Clone)]
pub struct Writers {
    log: Arc<dyn EventLog>,
    counts: PartitionCounts,
    handles: Arc<HashMap<TopicPartition, Handle>>,
    elsewhere: Option<Elsewhere>,
}

/// The way to other processes.
#[derive(Clone)]
pub struct Elsewhere {
    pub members: members::Handle,
    pub peers: Arc<dyn Peers>,
}

impl Writers {
    /// `elsewhere` is absent where this process has the log for itself.
    pub fn new(
        log: Arc<dyn EventLog>,
        handles: impl IntoIterator<Item = Handle>,
        elsewhere: Option<Elsewhere>,
    ) -> Self {
        let handles = handles.into_iter().map(|handle| (handle.partition(), handle)).collect();
        Self { counts: log.partitions(), log, handles: Arc::new(handles), elsewhere }
    }

    /// The writers of this process.
    pub fn local(&self) -> impl Iterator<Item = &Handle> {
        self.handles.values()
    }

    pub fn partition_of(&self, topic: Topic, slot: Slot) -> TopicPartition {
        self.counts.partition_of(topic, slot)
    }

    /// The offset that the next record of a partition would get.
    pub async fn end(&self, partition: TopicPartition) -> Option<u64> {
        self.log.end(partition).await.ok()
    }

    /// Runs one command to its outcome, wherever the partition is owned, until the request's deadline.
    /// Dropping the future does not stop the command.
    pub async fn run(&self, partition: TopicPartition, request: Request) -> Outcome {
        trace::command(partition, request, |request| self.run_to_outcome(partition, request)).await
    }

    async fn run_to_outcome(&self, partition: TopicPartition, request: Request) -> Outcome {
        let Some(handle) = self.handles.get(&partition) else { return Outcome::Unavailable };
        let Some(elsewhere) = &self.elsewhere else { return handle.run(request).await };
        let mut heard = elsewhere.members.heard();
        // An attempt that may have been sent: its events may be, or come to be, in the log.
        let mut maybe_sent = false;
        loop {
            let answer = self.attempt(handle, elsewhere, partition, &request, HOPS).await;
            match answer {
                Ok(PeerAnswer::Outcome(Outcome::Moved) | PeerAnswer::Moved { .. }) => {}
                Ok(PeerAnswer::Outcome(outcome)) if maybe_sent && !settles(&outcome) => {
                    return Outcome::Unknown;
                }
                Ok(PeerAnswer::Outcome(outcome)) => return outcome,
                Err(error) => {
                    maybe_sent |= matches!(error, PeerError::MaybeSent(_));
                    tracing::debug!(%partition, %error, "the owner could not be asked");
                }
            }
            let left = remaining(&request);
            if left <= BETWEEN_OWNERS {
                return if maybe_sent { Outcome::Unknown } else { Outcome::Unavailable };
            }
            let _ = tokio::time::timeout(BETWEEN_OWNERS, heard.changed()).await;
            heard.mark_unchanged();
        }
    }

    /// How far a source has been imported into a room, as far as has been read back.
    pub async fn imported(&self, partition: TopicPartition, room: RoomId, source: String) -> Option<u64> {
        let handle = self.handles.get(&partition)?;
        match &self.elsewhere {
            Some(elsewhere) if !handle.status().owns => {
                let (_, address) = owner(elsewhere, partition)?;
                elsewhere.peers.imported(&address, partition, room, source).await.ok()?
            }
            _ => handle.imported(room, source).await,
        }
    }

    /// Once: here, or at the process that is taken for the owner.
    async fn attempt(
        &self,
        handle: &Handle,
        elsewhere: &Elsewhere,
        partition: TopicPartition,
        request: &Request,
        hops_left: u8,
    ) -> Result<PeerAnswer, PeerError> {
        let outcome = handle.run(request.clone()).await;
        if outcome != Outcome::Moved {
            return Ok(PeerAnswer::Outcome(outcome));
        }
        match owner(elsewhere, partition) {
            Some((process, address)) if process != elsewhere.members.me() && hops_left > 0 => {
                metrics::counter!("roomlog_forwarded_commands_total", "command" => request.command.name())
                    .increment(1);
                elsewhere.peers.run(&address, partition, request.clone(), hops_left - 1).await
            }
            other => Ok(PeerAnswer::Moved { owner: other.map(|(_, address)| address) }),
        }
    }
}

#[async_trait]
impl LocalWriters for Writers {
    async fn run_local(&self, partition: TopicPartition, request: Request, hops_left: u8) -> PeerAnswer {
        let (Some(handle), Some(elsewhere)) = (self.handles.get(&partition), &self.elsewhere) else {
            return PeerAnswer::Moved { owner: None };
        };
        match self.attempt(handle, elsewhere, partition, &request, hops_left).await {
            Ok(answer) => answer,
            Err(PeerError::NotSent(_)) => PeerAnswer::Moved { owner: None },
            Err(PeerError::MaybeSent(_)) => PeerAnswer::Outcome(Outcome::Unknown),
        }
    }

    async fn imported_local(&self, partition: TopicPartition, room: RoomId, source: String) -> Option<u64> {
        let handle = self.handles.get(&partition)?;
        if handle.status().owns { handle.imported(room, source).await } else { None }
    }
}

/// Whether an outcome speaks for every attempt of its key. Those that do not rest on the key's record: an
/// earlier attempt may still be on its way, and be accepted after this one was not.
fn settles(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Accepted { .. } | Outcome::KeyReused => true,
        Outcome::Unchanged { .. }
        | Outcome::Rejected(_)
        | Outcome::KeyExpired
        | Outcome::TooLarge
        | Outcome::Overloaded
        | Outcome::Unavailable
        | Outcome::Unknown
        | Outcome::Moved => false,
    }
}

/// Who names the partition, or did last and lives.
fn owner(elsewhere: &Elsewhere, partition: TopicPartition) -> Option<(ProcessId, String)> {
    let now = elsewhere.members.now();
    let roster = elsewhere.members.roster();
    let named = roster.owner(now, partition).or_else(|| roster.last_named(partition))?;
    let living = roster.living(now).find(|member| member.heartbeat.process == named.owner)?;
    Some((named.owner, living.heartbeat.address.clone())).filter(|(_, address)| !address.is_empty())
}

fn remaining(request: &Request) -> Duration {
    let left: Millis = request.deadline - clock_ms();
    Duration::from_millis(left.max(0) as u64)
}
