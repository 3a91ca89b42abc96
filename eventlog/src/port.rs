//! The port that the backends implement.

use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;

use crate::partition::{PartitionCounts, TopicPartition};
use crate::trace::{TraceContext, reads_traces};

/// A record as the log holds it.
///
/// ```text
///             start                        end (next offset to be written)
///               │                           │
///   offsets     0   1   2   ·   4   5   6   7        · a gap: offsets need not be contiguous
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    pub offset: u64,
    pub value: Bytes,
    /// What the log's own clock said at the append, milliseconds since 1970. Goes back where that clock is set back.
    pub append_time_ms: i64,
    /// The sampled trace that the record belongs to, as its header says; `None` also while this
    /// process does not [read traces](crate::trace::read_traces).
    pub trace: Option<TraceContext>,
}

/// A record to append. Key and headers are copies for tools: neither hashed nor trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewRecord {
    pub value: Bytes,
    pub key: Bytes,
    pub headers: Vec<(&'static str, String)>,
}

impl NewRecord {
    /// As a reader gets it once it is durable.
    pub(crate) fn appended(&self, at: Appended) -> LogRecord {
        let trace = if reads_traces() { TraceContext::sampled_of(&self.headers) } else { None };
        LogRecord { offset: at.offset, value: self.value.clone(), append_time_ms: at.append_time_ms, trace }
    }
}

/// Where a durable record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    pub offset: u64,
    pub append_time_ms: i64,
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// The record may or may not be, or come to be, in the log.
    #[error("the log did not confirm the append: {0}")]
    UnknownOutcome(String),
    /// The log cannot be reached now; a later attempt may work.
    #[error("the log is unavailable: {0}")]
    Unavailable(String),
    /// Records at this offset are gone or were never there.
    #[error("the log holds nothing at offset {offset} of {partition}: {reason}")]
    OutOfRange { partition: TopicPartition, offset: u64, reason: String },
    /// Trying again will not help.
    #[error("the log cannot be used: {0}")]
    Fatal(String),
}

/// Waits for a backend's answer to an append and records how long it took since the call.
pub(crate) async fn confirmed(
    called: Instant,
    outcome: impl Future<Output = Result<Appended, LogError>>,
) -> Result<Appended, LogError> {
    let appended = outcome.await?;
    metrics::histogram!("roomlog_log_append_seconds").record(called.elapsed().as_secs_f64());
    Ok(appended)
}

/// An append-only log of partitions.
///
/// * [`append`](Self::append) resolves with `Ok` only when the record is durable (SQLite: the
///   commit has been synced; Kafka: all in-sync replicas have it), and with an error when that is
///   not known; the record may then still appear, once or more, at any later time.
/// * Appends to one partition keep the order in which `append` was *called* (not polled), unless
///   one fails.
/// * A record that a reader has been given is durable and stays; every reader sees the same
///   records in the same order.
/// * Nothing here judges records: that is [`Chain::accept`](crate::Chain::accept).
#[async_trait]
pub trait EventLog: Send + Sync + 'static {
    /// What the backend really has, checked when it was opened.
    fn partitions(&self) -> PartitionCounts;

    /// Hands the record over at once; the returned future only waits for its outcome.
    fn append(
        &self,
        partition: TopicPartition,
        record: NewRecord,
    ) -> futures::future::BoxFuture<'static, Result<Appended, LogError>>;

    /// The offset that the next record would get, asked from the log itself now: every append that
    /// was confirmed before this call began lies below it.
    async fn end(&self, partition: TopicPartition) -> Result<u64, LogError>;

    /// Reads from the first record at or after `from`, and then what is appended, for ever.
    async fn read(&self, partition: TopicPartition, from: u64) -> Result<Box<dyn LogReader>, LogError>;
}

/// A position in one partition that moves forward.
#[async_trait]
pub trait LogReader: Send {
    /// The next records in order, at least one: waits until there are some. Cancel-safe: a dropped
    /// call loses nothing. After `Unavailable` the call may be repeated.
    async fn next(&mut self) -> Result<Vec<LogRecord>, LogError>;
}
