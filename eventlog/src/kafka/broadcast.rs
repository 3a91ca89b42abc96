//! The short-lived topics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, ProducerContext, ThreadedProducer};
use rdkafka::topic_partition_list::Offset;

use super::client::{self, Context, log_error};
use super::{KafkaConfig, topics};
use crate::broadcast::{Broadcast, BroadcastTopic, LocalBroadcast};
use crate::port::LogError;

/// How long the thread waits for a message at a time; it bounds how long it outlives the value.
const POLL: Duration = Duration::from_millis(100);

/// For the topic's end to be known at the start.
const END_TIMEOUT: Duration = Duration::from_secs(10);
/// For one question about it.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// One partition: everybody hears everything.
const PARTITION: i32 = 0;

/// Messages over one of the topics `members` and `signals` of a Kafka cluster.
///
/// * A message that no broker has confirmed after 2 s is given up and counted; one of more than 1 MiB
///   is as well.
/// * One consumer listens from [`open`](Self::open) on, whether or not somebody has subscribed. After a
///   break it goes on where it was, or, if that is gone, with what is said then.
/// * A subscriber that falls 4096 messages behind loses the oldest of them.
pub struct KafkaBroadcast {
    topic: BroadcastTopic,
    name: String,
    producer: ThreadedProducer<Deliveries>,
    heard: LocalBroadcast,
    is_closed: Arc<AtomicBool>,
}

impl KafkaBroadcast {
    /// Creates the topic if it is missing and begins to listen at its end. Blocks, up to some 30 s.
    ///
    /// `Fatal` if the topic cannot be used, `Unavailable` if the cluster cannot be reached. Of the
    /// configuration, `counts` and the settings about appends do not matter.
    pub fn open(config: &KafkaConfig, topic: BroadcastTopic) -> Result<Self, LogError> {
        config.check()?;
        let name = config.broadcast_topic(topic);
        topics::prepare_broadcast(config, &name)?;
        Self::connect(config, topic)
    }

    /// Without a look at the topic, which must exist.
    pub(super) fn connect(config: &KafkaConfig, topic: BroadcastTopic) -> Result<Self, LogError> {
        let name = config.broadcast_topic(topic);
        let producer =
            ThreadedProducer::from_config_and_context(&config.broadcasting(), Deliveries { topic })
                .map_err(|error| log_error("starting a producer", &error))?;
        let consumer = BaseConsumer::from_config_and_context(&config.listening(), Context::default())
            .map_err(|error| log_error("starting a consumer", &error))?;
        begin_at_the_end(&consumer, &name)?;
        let heard = LocalBroadcast::default();
        let is_closed = Arc::new(AtomicBool::new(false));
        let (to, until) = (heard.clone(), is_closed.clone());
        std::thread::Builder::new()
            .name(format!("roomlog-{topic}"))
            .spawn(move || listen(&consumer, topic, &to, &until))
            .map_err(|error| LogError::Unavailable(format!("cannot start the consumer's thread: {error}")))?;
        Ok(Self { topic, name, producer, heard, is_closed })
    }
}

impl Drop for KafkaBroadcast {
    fn drop(&mut self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl Broadcast for KafkaBroadcast {
    fn publish(&self, message: Bytes) {
        let record = BaseRecord::<(), [u8]>::to(&self.name).partition(PARTITION).payload(&message);
        if let Err((error, _)) = self.producer.send(record) {
            lost(self.topic, &error);
        }
    }

    async fn subscribe(&self) -> Result<BoxStream<'static, Bytes>, LogError> {
        // The consumer's position lies before whatever is published from now on.
        self.heard.subscribe().await
    }
}

/// At an offset rather than "the end": what is published before the first fetch is read as well.
fn begin_at_the_end(consumer: &BaseConsumer<Context>, name: &str) -> Result<(), LogError> {
    let deadline = Instant::now() + END_TIMEOUT;
    let end = loop {
        match consumer.fetch_watermarks(name, PARTITION, ASK_TIMEOUT) {
            Ok((_, end)) => break end,
            // The leader of a new topic may not know it yet.
            Err(error) if Instant::now() >= deadline => {
                return Err(log_error(&format!("asking for the end of {name}"), &error));
            }
            // Serves the client's log meanwhile.
            Err(_) => drop(consumer.poll(POLL)),
        }
    };
    let failed = |error| log_error(&format!("listening to {name}"), &error);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(name, PARTITION, Offset::Offset(end)).map_err(failed)?;
    consumer.assign(&list).map_err(failed)
}

fn listen(
    consumer: &BaseConsumer<Context>,
    topic: BroadcastTopic,
    heard: &LocalBroadcast,
    is_closed: &AtomicBool,
) {
    while !is_closed.load(Ordering::Relaxed) {
        match consumer.poll(POLL) {
            Some(Ok(message)) => {
                heard.publish(message.payload().map(Bytes::copy_from_slice).unwrap_or_default());
            }
            // The library tries again by itself.
            Some(Err(error)) => tracing::info!(%topic, %error, "a short-lived topic cannot be heard now"),
            None => {}
        }
    }
}

fn lost(topic: BroadcastTopic, error: &KafkaError) {
    metrics::counter!("roomlog_broadcast_unsent_total", "topic" => topic.name()).increment(1);
    tracing::debug!(%topic, %error, "a message was not sent");
}

/// Counts what does not arrive; called on the producer's thread.
struct Deliveries {
    topic: BroadcastTopic,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client::report(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            lost(self.topic, error);
        }
    }
}
