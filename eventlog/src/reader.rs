//! Reading the accepted records of a partition from any cursor: what projectors, fan-out and
//! auditors use.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::chain::{Chain, LogIdentity, Verdict};
use crate::cursor::Cursor;
use crate::follow::{Accepted, FollowError, Follower, Outcome};
use crate::frame::{Claim, encode_claim};
use crate::partition::TopicPartition;
use crate::port::{EventLog, LogError, LogReader, LogRecord, NewRecord};
use roomlog_schemas::CodecError;

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Waiting and trying again may help.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Only a newer build or a repair helps.
    #[error("reading {partition} stopped")]
    Stopped {
        partition: TopicPartition,
        #[source]
        source: FollowError,
    },
    #[error(
        "the cursor of {partition} is not of this log: the record at offset {offset} is not the one it was made after"
    )]
    CursorNotOfThisLog { partition: TopicPartition, offset: u64 },
    #[error("the cursor of {partition} cannot be read")]
    Cursor {
        partition: TopicPartition,
        #[source]
        source: CodecError,
    },
}

/// Follows one partition from a cursor and yields what is accepted. Skipped records are counted in
/// `roomlog_log_skipped_records_total{reader,reason}`.
pub struct AcceptedReader {
    follower: Follower,
    reader: Box<dyn LogReader>,
    /// Read and not judged yet: more than none only behind a record that stops this reader.
    pending: VecDeque<LogRecord>,
    name: &'static str,
}

impl AcceptedReader {
    /// `name` labels the metrics: the role that reads.
    pub async fn open(
        log: &Arc<dyn EventLog>,
        cursor: &Cursor,
        name: &'static str,
    ) -> Result<Self, ReadError> {
        let partition = cursor.partition;
        prove(log, cursor).await?;
        let follower =
            Follower::from_cursor(cursor).map_err(|source| ReadError::Cursor { partition, source })?;
        let reader = log.read(partition, cursor.next_offset).await?;
        Ok(Self { follower, reader, pending: VecDeque::new(), name })
    }

    /// The accepted records among the next ones, perhaps none. Waits until there is something to
    /// read. Cancel-safe. After any error but `Log` the reader stays where it is: what was accepted
    /// before is returned first, and then the same error by every call.
    pub async fn next(&mut self) -> Result<Vec<Accepted>, ReadError> {
        if self.pending.is_empty() {
            self.pending = self.reader.next().await?.into();
        }
        let mut accepted = Vec::with_capacity(self.pending.len());
        while let Some(record) = self.pending.front() {
            match self.follower.follow(record) {
                Ok(Outcome::Accepted(record)) => accepted.push(record),
                Ok(Outcome::Skipped(reason)) => {
                    metrics::counter!("roomlog_log_skipped_records_total", "reader" => self.name, "reason" => reason.name())
                        .increment(1);
                }
                Err(_) if !accepted.is_empty() => break,
                Err(source) => {
                    let partition = self.follower.chain().partition();
                    return Err(ReadError::Stopped { partition, source });
                }
            }
            self.pending.pop_front();
        }
        Ok(accepted)
    }

    /// After everything that `next` has returned.
    pub fn cursor(&self) -> Cursor {
        self.follower.cursor().expect("opened from a cursor, which names the log")
    }

    pub fn next_offset(&self) -> u64 {
        self.follower.next_offset()
    }
}

/// Reads the cursor's last accepted record again: is this the log that the cursor was made on?
pub async fn prove(log: &Arc<dyn EventLog>, cursor: &Cursor) -> Result<(), ReadError> {
    let Some(last) = cursor.last_accepted else { return Ok(()) };
    let partition = cursor.partition;
    let foreign = ReadError::CursorNotOfThisLog { partition, offset: last.offset };
    if log.end(partition).await? <= last.offset {
        return Err(foreign);
    }
    let records = log.read(partition, last.offset).await?.next().await?;
    match records.first() {
        Some(record)
            if record.offset == last.offset && last.previous_head.extend(&record.value) == cursor.head =>
        {
            Ok(())
        }
        _ => Err(foreign),
    }
}

/// The log's identity: named by the first accepted record of `accounts/0`. `None` if there is none
/// yet.
pub async fn discover_identity(log: &Arc<dyn EventLog>) -> Result<Option<LogIdentity>, ReadError> {
    let partition = TopicPartition::accounts(0);
    let end = log.end(partition).await?;
    let mut chain = Chain::new(partition, None);
    let mut next = 0;
    let mut reader = log.read(partition, 0).await?;
    while next < end {
        for record in reader.next().await? {
            next = record.offset + 1;
            let verdict = chain.accept(&record.value).map_err(|source| ReadError::Stopped {
                partition,
                source: FollowError::Frame { offset: record.offset, source },
            })?;
            if let Verdict::Claim(claim) = verdict {
                return Ok(Some(claim.identity));
            }
        }
    }
    Ok(None)
}

/// The log's identity; gives a log that has none a fresh one. Of several that do so at the same
/// time the first in the log wins, and all get its identity. It does so by a claim whose id is the
/// log id: that one has no owner behind it.
pub async fn ensure_identity(log: &Arc<dyn EventLog>, log_id: uuid::Uuid) -> Result<LogIdentity, ReadError> {
    if let Some(identity) = discover_identity(log).await? {
        return Ok(identity);
    }
    let claim = Claim {
        epoch: 1,
        claim_id: log_id,
        identity: LogIdentity { log_id, partitions: log.partitions() },
        address: "",
    };
    let record = NewRecord { value: encode_claim(&claim), ..NewRecord::default() };
    log.append(TopicPartition::accounts(0), record).await?;
    discover_identity(log)
        .await?
        .ok_or_else(|| LogError::Unavailable("the first claim is not in the log yet".into()).into())
}
