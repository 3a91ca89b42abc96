//! Reading the accepted records of a partition from any cursor: what projectors, fan-out and
//! auditors use.

use std::sync::Arc;

use crate::chain::{Chain, LogIdentity, Verdict};
use crate::cursor::Cursor;
use crate::follow::{Accepted, FollowError, Follower, Outcome};
use crate::partition::TopicPartition;
use crate::port::{EventLog, LogError, LogReader};
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
    #[error("the cursor of {partition} is not of this log: the record at offset {offset} is not the one it was made after")]
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
    name: &'static str,
}

impl AcceptedReader {
    /// `name` labels the metrics: the role that reads.
    pub async fn open(log: &Arc<dyn EventLog>, cursor: &Cursor, name: &'static str) -> Result<Self, ReadError> {
        let partition = cursor.partition;
        prove(log, cursor).await?;
        let follower =
            Follower::from_cursor(cursor).map_err(|source| ReadError::Cursor { partition, source })?;
        let reader = log.read(partition, cursor.next_offset).await?;
        Ok(Self { follower, reader, name })
    }

    /// The accepted records among the next ones, perhaps none. Waits until there is something to
    /// read. Cancel-safe. After any error but `Log` the reader stays where it is.
    pub async fn next(&mut self) -> Result<Vec<Accepted>, ReadError> {
        let records = self.reader.next().await?;
        let mut accepted = Vec::with_capacity(records.len());
        for record in &records {
            match self.follower.follow(record) {
                Ok(Outcome::Accepted(record)) => accepted.push(record),
                Ok(Outcome::Skipped(reason)) => {
                    metrics::counter!("roomlog_log_skipped_records_total", "reader" => self.name, "reason" => reason.name())
                        .increment(1);
                }
                Err(source) => {
                    let partition = self.follower.chain().partition();
                    return Err(ReadError::Stopped { partition, source });
                }
            }
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
async fn prove(log: &Arc<dyn EventLog>, cursor: &Cursor) -> Result<(), ReadError> {
    let Some(last) = cursor.last_accepted else { return Ok(()) };
    let partition = cursor.partition;
    let foreign = ReadError::CursorNotOfThisLog { partition, offset: last.offset };
    if log.end(partition).await? <= last.offset {
        return Err(foreign);
    }
    let records = log.read(partition, last.offset).await?.next().await?;
    match records.first() {
        Some(record) if record.offset == last.offset && last.previous_head.extend(&record.value) == cursor.head => {
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

