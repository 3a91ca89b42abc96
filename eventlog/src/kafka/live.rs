//! Following: one consumer for all readers of this process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rdkafka::TopicPartitionList;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::Offset;

use super::client::{Context, log_error};
use super::ends::Ends;
use super::{KafkaConfig, Topics};
use crate::partition::TopicPartition;
use crate::per_partition::PerPartition;
use crate::port::{LogError, LogRecord};
use crate::tail::Tail;
use crate::trace::{TRACEPARENT, TraceContext, reads_traces};

/// How long the thread waits for records at a time; it bounds how long it outlives the log.
const POLL: Duration = Duration::from_millis(100);

/// Most records that are taken before the rings are filled.
const BATCH: usize = 1_000;

/// How long the start waits to learn who leads a topic's partitions.
const LEARN_TIMEOUT: Duration = Duration::from_secs(1);

/// Between two looks at partitions whose position was refused.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The consumer, and the ring of each partition that it follows. A partition joins with its first
/// reader and stays: readers come again.
pub(super) struct Live {
    shared: Arc<Shared>,
    /// Held while a partition joins, so that it joins once.
    joining: PerPartition<tokio::sync::Mutex<()>>,
}

struct Shared {
    consumer: BaseConsumer<Context>,
    topics: Topics,
    ends: Arc<Ends>,
    tails: PerPartition<RwLock<Option<Arc<Tail>>>>,
    is_closed: AtomicBool,
}

impl Live {
    pub fn new(config: &KafkaConfig, topics: Topics, ends: Arc<Ends>) -> Result<Self, LogError> {
        let consumer = BaseConsumer::from_config_and_context(&config.live(), Context::default())
            .map_err(|error| log_error("starting the consumer", &error))?;
        learn_leaders(&consumer, &topics);
        let counts = topics.counts();
        let tails = PerPartition::new(counts, |_| RwLock::default());
        let shared = Arc::new(Shared { consumer, topics, ends, tails, is_closed: AtomicBool::new(false) });
        let following = shared.clone();
        std::thread::Builder::new()
            .name("roomlog-live".into())
            .spawn(move || following.run())
            .map_err(|error| LogError::Unavailable(format!("cannot start the consumer's thread: {error}")))?;
        Ok(Self { shared, joining: PerPartition::new(counts, |_| tokio::sync::Mutex::default()) })
    }

    /// The ring of a partition, which begins at the log's end of the moment when it is first asked
    /// for. `Unavailable` if that end cannot be found out.
    pub async fn follow(&self, partition: TopicPartition) -> Result<Arc<Tail>, LogError> {
        if let Some(tail) = self.shared.tail(partition)? {
            return Ok(tail);
        }
        let _joining = self.joining.get(partition)?.lock().await;
        if let Some(tail) = self.shared.tail(partition)? {
            return Ok(tail);
        }
        let end = self.shared.ends.end(partition).await?;
        let tail = Tail::starting_at(end);
        self.shared.set_tail(partition, Some(tail.clone()))?;
        // Answered by the library's own thread without a question to a broker.
        if let Err(error) = self.shared.assign(partition, end) {
            self.shared.set_tail(partition, None)?;
            return Err(error);
        }
        Ok(tail)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.shared.is_closed.store(true, Ordering::Relaxed);
        for tail in self.shared.tails.values().filter_map(read) {
            tail.close(LogError::Fatal("the log is closed".into()));
        }
    }
}

impl Shared {
    /// Until the log is dropped.
    fn run(&self) {
        let mut look_at = None;
        while !self.is_closed.load(Ordering::Relaxed) {
            if self.take_batch() {
                look_at.get_or_insert_with(Instant::now);
            }
            if look_at.is_some_and(|at| at <= Instant::now()) {
                look_at = self.look_at_positions().is_err().then(|| Instant::now() + LOOK_AGAIN);
            }
        }
    }

    /// Waits for a record and takes with it what else has come. Whether a position was refused.
    fn take_batch(&self) -> bool {
        let mut batch = Batch::default();
        let mut refused = false;
        let mut wait = POLL;
        while batch.records < BATCH {
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    if let Some(partition) = self.topics.ours(message.topic(), message.partition()) {
                        batch.add(partition, to_record(&message));
                    }
                }
                Some(Err(error)) => refused |= is_refused_position(&error),
                None => break,
            }
            wait = Duration::ZERO;
        }
        for (partition, records) in batch.by_partition {
            if let Ok(Some(tail)) = self.tail(partition) {
                tail.push(records);
            }
        }
        refused
    }

    /// The library gives up a partition whose position a broker refuses, without saying which. One
    /// whose next record can still come is taken up again; the readers of any other must know.
    fn look_at_positions(&self) -> Result<(), LogError> {
        for partition in self.topics.counts().all() {
            let Some(tail) = self.tail(partition)? else { continue };
            let (low, high) = self.ends.range(partition)?;
            let next = tail.next();
            self.unassign(partition)?;
            if (low..=high).contains(&next) {
                self.assign(partition, next)?;
                continue;
            }
            let reason = format!("the log now goes from {low} to {high}");
            tracing::error!(%partition, next, low, high, "records that were to be read next are gone");
            self.set_tail(partition, None)?;
            tail.close(LogError::OutOfRange { partition, offset: next, reason });
        }
        Ok(())
    }

    fn assign(&self, partition: TopicPartition, next: u64) -> Result<(), LogError> {
        self.consumer
            .incremental_assign(&at(&self.topics, partition, next)?)
            .map_err(|error| log_error(&format!("following {partition}"), &error))
    }

    fn unassign(&self, partition: TopicPartition) -> Result<(), LogError> {
        self.consumer
            .incremental_unassign(&at(&self.topics, partition, 0)?)
            .map_err(|error| log_error(&format!("following {partition}"), &error))
    }

    fn tail(&self, partition: TopicPartition) -> Result<Option<Arc<Tail>>, LogError> {
        Ok(read(self.tails.get(partition)?))
    }

    fn set_tail(&self, partition: TopicPartition, tail: Option<Arc<Tail>>) -> Result<(), LogError> {
        *self.tails.get(partition)?.write().expect("nothing panics while it holds a ring's place") = tail;
        Ok(())
    }
}

/// So that the first partition to join need not wait for one of the library's slow timers. Without
/// an answer the library finds the leaders later.
fn learn_leaders(consumer: &BaseConsumer<Context>, topics: &Topics) {
    for topic in [&topics.accounts, &topics.rooms] {
        if let Err(error) = consumer.fetch_metadata(Some(topic), LEARN_TIMEOUT) {
            tracing::info!(%error, %topic, "the leaders of the log's partitions are not known yet");
        }
    }
}

/// Records taken together, by partition in their order.
#[derive(Default)]
struct Batch {
    records: usize,
    by_partition: Vec<(TopicPartition, Vec<LogRecord>)>,
}

impl Batch {
    fn add(&mut self, partition: TopicPartition, record: LogRecord) {
        self.records += 1;
        match self.by_partition.iter_mut().find(|(of, _)| *of == partition) {
            Some((_, records)) => records.push(record),
            None => self.by_partition.push((partition, vec![record])),
        }
    }
}

/// Copies the message: the library's memory holds a whole fetch.
pub(super) fn to_record(message: &BorrowedMessage<'_>) -> LogRecord {
    LogRecord {
        offset: u64::try_from(message.offset()).expect("a message that was read has an offset"),
        value: message.payload().map(Bytes::copy_from_slice).unwrap_or_default(),
        append_time_ms: message.timestamp().to_millis().unwrap_or_default(),
        trace: if reads_traces() { trace(message) } else { None },
    }
}

/// The sampled trace among the message's headers.
fn trace(message: &BorrowedMessage<'_>) -> Option<TraceContext> {
    let headers = message.headers()?;
    let header = headers.iter().find(|header| header.key == TRACEPARENT)?;
    TraceContext::parse(header.value?).filter(|context| context.is_sampled)
}

/// One partition at an offset, as the library wants it.
pub(super) fn at(
    topics: &Topics,
    partition: TopicPartition,
    offset: u64,
) -> Result<TopicPartitionList, LogError> {
    let (topic, number) = topics.native(partition)?;
    let mut list = TopicPartitionList::new();
    let offset = Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
    list.add_partition_offset(topic, number, offset)
        .map_err(|error| log_error(&format!("positioning at {partition}"), &error))?;
    Ok(list)
}

/// Whether a broker does not have the offset that it was asked for.
pub(super) fn is_refused_position(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::AutoOffsetReset
                | RDKafkaErrorCode::OffsetOutOfRange
                | RDKafkaErrorCode::LogTruncation
        )
    )
}

fn read(tail: &RwLock<Option<Arc<Tail>>>) -> Option<Arc<Tail>> {
    tail.read().expect("nothing panics while it holds a ring's place").clone()
}
