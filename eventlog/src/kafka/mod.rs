//! The log in Kafka: the distributed profile.
//!
//! Appends go through one idempotent producer (`producer`). Records come back through one
//! consumer of all followed partitions, which fills the rings (`live`); readers that are behind
//! use a few consumers of their own (`cold`). The end of a partition is asked from its leader
//! each time (`ends`). The short-lived topics have clients of their own (`broadcast`).

mod broadcast;
mod client;
mod cold;
mod config;
mod ends;
mod live;
mod producer;
pub mod security;
#[cfg(test)]
mod tests;
mod topics;

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;

pub use self::broadcast::KafkaBroadcast;
pub use self::config::{APPEND_TIMEOUT, KafkaConfig, MIN_ISR, REPLICATION};
pub use self::security::KafkaSecurity;

use self::cold::ColdConsumers;
use self::ends::Ends;
use self::live::Live;
use self::producer::Producer;
use crate::partition::{PartitionCounts, Topic, TopicPartition};
use crate::per_partition::PerPartition;
use crate::port::{Appended, EventLog, LogError, LogReader, NewRecord};
use crate::tail::TailReader;

/// A log in the topics `accounts` and `rooms` of a Kafka cluster.
///
/// * An append that resolves with `Ok` is on all replicas that are in sync, at least
///   `min.insync.replicas` of them. Kafka does not wait for their disks: a power cut that takes all
///   of them at once can lose it.
/// * `Unavailable` says that the record was not sent; `UnknownOutcome` that it may have been.
/// * Offsets have gaps where transactions have left their markers; append times are the brokers'.
/// * While the cluster cannot be reached readers wait, or get `Unavailable` and may go on; both
///   resume by themselves.
/// * Appends that are in flight when the log is dropped resolve with `UnknownOutcome`.
pub struct KafkaLog {
    topics: Topics,
    producer: Producer,
    ends: Arc<Ends>,
    live: Live,
    cold: Arc<ColdConsumers>,
}

impl KafkaLog {
    /// Creates the topics if they are missing and checks them if not. Blocks, up to some 30 s.
    ///
    /// `Fatal` if a topic is not as it must be, or if a replication weaker than it must be is asked
    /// for; `Unavailable` if the cluster cannot be reached.
    pub fn open(config: KafkaConfig) -> Result<Self, LogError> {
        config.check()?;
        let counts = topics::prepare(&config, true)?;
        Self::connect(&config, counts)
    }

    /// As [`open`](Self::open), but `Fatal` if a topic is missing: for whoever only reads.
    pub fn open_existing(config: KafkaConfig) -> Result<Self, LogError> {
        config.check()?;
        let counts = topics::prepare(&config, false)?;
        Self::connect(&config, counts)
    }

    /// Without a look at the topics, which must exist.
    fn connect(config: &KafkaConfig, counts: PartitionCounts) -> Result<Self, LogError> {
        let topics = Topics::new(config, counts);
        let ends = Arc::new(Ends::new(config, topics.clone())?);
        Ok(Self {
            producer: Producer::new(config.appending())?,
            live: Live::new(config, topics.clone(), ends.clone())?,
            cold: Arc::new(ColdConsumers::new(config.cold(), topics.clone())),
            ends,
            topics,
        })
    }
}

#[async_trait]
impl EventLog for KafkaLog {
    fn partitions(&self) -> PartitionCounts {
        self.topics.counts()
    }

    fn append(
        &self,
        partition: TopicPartition,
        record: NewRecord,
    ) -> BoxFuture<'static, Result<Appended, LogError>> {
        self.producer.append(self.topics.native(partition), &record)
    }

    async fn end(&self, partition: TopicPartition) -> Result<u64, LogError> {
        self.ends.end(partition).await
    }

    async fn read(&self, partition: TopicPartition, from: u64) -> Result<Box<dyn LogReader>, LogError> {
        let tail = self.live.follow(partition).await?;
        if from > tail.next() {
            let end = self.ends.end(partition).await?;
            if from > end {
                return Err(LogError::beyond_the_end(partition, from, end));
            }
        }
        Ok(Box::new(TailReader::new(tail, self.cold.clone(), partition, from)))
    }
}

/// The names that Kafka knows partitions by.
#[derive(Clone)]
struct Topics {
    accounts: Arc<str>,
    rooms: Arc<str>,
    native: Arc<PerPartition<(Arc<str>, i32)>>,
}

impl Topics {
    fn new(config: &KafkaConfig, counts: PartitionCounts) -> Self {
        let accounts: Arc<str> = config.topic(Topic::Accounts).into();
        let rooms: Arc<str> = config.topic(Topic::Rooms).into();
        let native = PerPartition::new(counts, |partition| {
            let topic = if partition.topic == Topic::Accounts { &accounts } else { &rooms };
            let number = i32::try_from(partition.partition).expect("Kafka itself counts partitions in i32");
            (topic.clone(), number)
        });
        Self { native: Arc::new(native), accounts, rooms }
    }

    fn counts(&self) -> PartitionCounts {
        self.native.counts()
    }

    fn native(&self, partition: TopicPartition) -> Result<(&str, i32), LogError> {
        self.native.get(partition).map(|(topic, number)| (&**topic, *number))
    }

    /// `None` for what is not of this log.
    fn ours(&self, topic: &str, number: i32) -> Option<TopicPartition> {
        let topic = match topic {
            topic if topic == &*self.accounts => Topic::Accounts,
            topic if topic == &*self.rooms => Topic::Rooms,
            _ => return None,
        };
        Some(TopicPartition::new(topic, u32::try_from(number).ok()?))
    }
}
