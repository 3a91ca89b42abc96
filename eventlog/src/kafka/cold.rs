//! Reading what no ring holds: at start, and wherever a reader has fallen behind.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Topics;
use super::client::{Context, log_error};
use super::live::{at, is_refused_position, to_record};
use crate::cold::{BATCH_BYTES, ColdSource, size_of};
use crate::partition::TopicPartition;
use crate::port::{LogError, LogRecord};

/// Most consumers at a time, which bounds memory (each keeps up to 8 MiB) and threads. Readers take
/// turns, a batch each.
const CONSUMERS: usize = 4;

/// How long a read may take without a record, and without word that there is none.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How long a read that has records waits for more of them.
const GATHER: Duration = Duration::from_millis(2);

/// A consumer that nobody used for so long is let go.
const IDLE: Duration = Duration::from_secs(30);

pub(super) struct ColdConsumers {
    config: ClientConfig,
    topics: Topics,
    turns: Arc<Semaphore>,
    idle: Mutex<Vec<Positioned>>,
}

/// A consumer that stays where it stopped: it fetches ahead, and the reader that comes back for
/// the next batch finds that already there.
struct Positioned {
    consumer: BaseConsumer<Context>,
    next: Option<(TopicPartition, u64)>,
    used: Instant,
}

impl ColdConsumers {
    pub fn new(config: ClientConfig, topics: Topics) -> Self {
        Self { config, topics, turns: Arc::new(Semaphore::new(CONSUMERS)), idle: Mutex::default() }
    }

    /// Blocks.
    fn read_batch(&self, partition: TopicPartition, from: u64) -> Result<Vec<LogRecord>, LogError> {
        let mut positioned = self.take((partition, from))?;
        if positioned.next != Some((partition, from)) {
            positioned
                .consumer
                .assign(&at(&self.topics, partition, from)?)
                .map_err(|error| log_error(&format!("reading {partition}"), &error))?;
        }
        // After an error the consumer is not used again.
        let (records, at_the_end) = poll_batch(&positioned.consumer, &self.topics, partition, from)?;
        positioned.next = None;
        if at_the_end {
            // An assigned consumer would go on asking.
            positioned
                .consumer
                .unassign()
                .map_err(|error| log_error(&format!("reading {partition}"), &error))?;
        } else if let Some(last) = records.last() {
            positioned.next = Some((partition, last.offset + 1));
        }
        positioned.used = Instant::now();
        self.idle.lock().expect("nothing panics while it holds the consumers").push(positioned);
        Ok(records)
    }

    /// The consumer that stands there, or else the one that nobody used for longest, or a new one.
    fn take(&self, wanted: (TopicPartition, u64)) -> Result<Positioned, LogError> {
        let (taken, stale) = {
            let mut idle = self.idle.lock().expect("nothing panics while it holds the consumers");
            let place =
                idle.iter().position(|idle| idle.next == Some(wanted)).or((!idle.is_empty()).then_some(0));
            let taken = place.map(|place| idle.remove(place));
            (taken, idle.extract_if(.., |idle| idle.used.elapsed() > IDLE).collect::<Vec<_>>())
        };
        drop(stale);
        taken.map_or_else(|| self.start(), Ok)
    }

    fn start(&self) -> Result<Positioned, LogError> {
        let consumer = BaseConsumer::from_config_and_context(&self.config, Context::default())
            .map_err(|error| log_error("starting a consumer", &error))?;
        Ok(Positioned { consumer, next: None, used: Instant::now() })
    }
}

impl ColdSource for ColdConsumers {
    fn read(
        self: Arc<Self>,
        partition: TopicPartition,
        from: u64,
    ) -> BoxFuture<'static, Result<Vec<LogRecord>, LogError>> {
        let cut_off =
            |error: &dyn std::fmt::Display| LogError::Unavailable(format!("a read was cut off: {error}"));
        async move {
            let turn = self.turns.clone().acquire_owned().await.map_err(|error| cut_off(&error))?;
            let reading = tokio::task::spawn_blocking(move || {
                // Ends with the work, even where nobody waits for it any more.
                let _turn: OwnedSemaphorePermit = turn;
                self.read_batch(partition, from)
            });
            reading.await.map_err(|error| cut_off(&error))?
        }
        .boxed()
    }
}

/// The next records, and whether there were no more. At least one record unless so.
fn poll_batch(
    consumer: &BaseConsumer<Context>,
    topics: &Topics,
    partition: TopicPartition,
    from: u64,
) -> Result<(Vec<LogRecord>, bool), LogError> {
    let deadline = Instant::now() + TIMEOUT;
    let mut records: Vec<LogRecord> = Vec::new();
    let mut bytes = 0;
    let mut problem = None;
    while bytes < BATCH_BYTES {
        let wait =
            if records.is_empty() { deadline.saturating_duration_since(Instant::now()) } else { GATHER };
        match consumer.poll(wait) {
            Some(Ok(message)) => {
                let record = to_record(&message);
                let next = records.last().map_or(from, |last| last.offset + 1);
                // Anything else would be left over from where the consumer stood before.
                if topics.ours(message.topic(), message.partition()) == Some(partition)
                    && record.offset >= next
                {
                    bytes += size_of(&record);
                    records.push(record);
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok((records, true)),
            Some(Err(error)) if is_refused_position(&error) => {
                return Err(LogError::OutOfRange { partition, offset: from, reason: error.to_string() });
            }
            // The client goes on by itself.
            Some(Err(error)) => problem = Some(error),
            None if !records.is_empty() => break,
            None => {}
        }
        if records.is_empty() && Instant::now() >= deadline {
            let problem = problem.map_or_else(|| "no answer".into(), |error| error.to_string());
            return Err(LogError::Unavailable(format!("reading {partition} at {from}: {problem}")));
        }
    }
    Ok((records, false))
}
