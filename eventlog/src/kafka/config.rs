//! What a log in Kafka is opened with, and the properties of the clients that speak to it.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use super::security::KafkaSecurity;
use crate::partition::PartitionCounts;
use crate::port::LogError;

/// Copies of each record that a log has outside development, and how many of them must have it
/// before it is confirmed: one broker may be down without anything being lost or stopping.
pub const REPLICATION: i16 = 3;
pub const MIN_ISR: i16 = 2;

/// Half of a request's usual deadline (10 s): the other half is left to find out what became of an
/// append that was not confirmed.
pub const APPEND_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a broker may leave a request unanswered before the connection counts as dead.
const SOCKET_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a fetch waits at a broker for records. Records end the wait at once; it bounds only how
/// soon a partition that joins is asked for.
const LIVE_FETCH_WAIT: Duration = Duration::from_millis(100);

/// The same for the short-lived topics, which nobody joins later.
const BROADCAST_FETCH_WAIT: Duration = Duration::from_secs(1);

/// The same where a reader is behind: the wait's end says that there is nothing more.
const COLD_FETCH_WAIT: Duration = Duration::from_millis(10);

/// An answer this large is not held back to become larger.
const GATHERED_BYTES: &str = "262144";

/// A hint that is older than this is worth nothing.
const BROADCAST_TIMEOUT: Duration = Duration::from_secs(2);

/// Most KiB that a client keeps of what it has fetched or has not sent yet.
const LIVE_QUEUE_KIB: u32 = 32 * 1024;
const COLD_QUEUE_KIB: u32 = 8 * 1024;
const APPEND_QUEUE_KIB: u32 = 64 * 1024;
const BROADCAST_QUEUE_KIB: u32 = 4 * 1024;

#[derive(Debug, Clone)]
pub struct KafkaConfig {
    /// Brokers to ask first: `host:port`, separated by commas.
    pub brokers: String,
    /// Stands before the topics' names; empty but where several logs share a cluster.
    pub topic_prefix: String,
    /// For topics that are created; those that exist keep theirs.
    pub counts: PartitionCounts,
    /// Copies of each record.
    pub replication: i16,
    /// Copies that must be written before an append is confirmed.
    pub min_isr: i16,
    /// For development: fewer copies than asked for are only warned of.
    pub allow_weak: bool,
    /// How long an append may take with all its retries; past it its outcome is unknown.
    pub append_timeout: Duration,
    /// How long a broker may hold records back so that one answer to this process brings many; zero
    /// where somebody waits for each.
    pub gather: Duration,
    /// TLS and SASL.
    pub security: KafkaSecurity,
    /// Further properties of librdkafka's clients. What the log's promises
    /// rest on cannot be changed by them.
    pub properties: BTreeMap<String, String>,
}

impl KafkaConfig {
    pub fn new(brokers: impl Into<String>, counts: PartitionCounts) -> Self {
        Self {
            brokers: brokers.into(),
            topic_prefix: String::new(),
            counts,
            replication: REPLICATION,
            min_isr: MIN_ISR,
            allow_weak: false,
            append_timeout: APPEND_TIMEOUT,
            gather: Duration::ZERO,
            security: KafkaSecurity::default(),
            properties: BTreeMap::new(),
        }
    }

    /// `Fatal` with the reason if no log can be opened with this.
    pub(super) fn check(&self) -> Result<(), LogError> {
        let refuse = |reason: String| Err(LogError::Fatal(reason));
        if self.brokers.trim().is_empty() {
            return refuse("no Kafka brokers are named".into());
        }
        if self.min_isr < 1 || self.replication < self.min_isr {
            return refuse(format!(
                "min.insync.replicas {} does not fit a replication of {}",
                self.min_isr, self.replication
            ));
        }
        if !self.allow_weak && (self.replication < REPLICATION || self.min_isr < MIN_ISR) {
            return refuse(format!(
                "a replication of {} with min.insync.replicas {} can lose confirmed records; at least {REPLICATION} \
                 and {MIN_ISR} are needed unless a weak log is allowed",
                self.replication, self.min_isr
            ));
        }
        self.security.check()
    }

    pub(super) fn topic(&self, topic: crate::Topic) -> String {
        format!("{}{}", self.topic_prefix, topic.name())
    }

    pub(super) fn broadcast_topic(&self, topic: crate::BroadcastTopic) -> String {
        format!("{}{}", self.topic_prefix, topic.name())
    }

    /// For clients that only ask questions. `read_uncommitted` concerns them as well: otherwise the
    /// end of a partition would be that of the last finished transaction.
    pub(super) fn asking(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        for (name, value) in &self.properties {
            client.set(name, value);
        }
        self.security.apply(&mut client);
        client
            .set_log_level(RDKafkaLogLevel::Info)
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "roomlog")
            .set("socket.timeout.ms", millis(SOCKET_TIMEOUT))
            .set("socket.connection.setup.timeout.ms", millis(SOCKET_TIMEOUT))
            .set("socket.keepalive.enable", "true")
            // Back soon after a broker's restart.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("retry.backoff.ms", "20")
            .set("retry.backoff.max.ms", "500")
            .set("allow.auto.create.topics", "false")
            .set("enable.metrics.push", "false")
            .set("isolation.level", "read_uncommitted");
        client
    }

    pub(super) fn appending(&self) -> ClientConfig {
        let mut client = self.asking();
        // Consumers only.
        client.remove("isolation.level");
        client.remove("allow.auto.create.topics");
        client
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0")
            .set("message.timeout.ms", millis(self.append_timeout))
            .set("request.timeout.ms", millis(self.append_timeout))
            .set("message.max.bytes", super::topics::MAX_MESSAGE_BYTES.to_string())
            .set("queue.buffering.max.messages", "100000")
            .set("queue.buffering.max.kbytes", APPEND_QUEUE_KIB.to_string())
            // Content is sealed: there is nothing to compress.
            .set("compression.type", "none");
        client
    }

    /// For messages that may be lost, but keep their order: one request at a time.
    pub(super) fn broadcasting(&self) -> ClientConfig {
        let mut client = self.asking();
        // Consumers only.
        client.remove("isolation.level");
        client.remove("allow.auto.create.topics");
        client
            .set("enable.idempotence", "false")
            .set("max.in.flight.requests.per.connection", "1")
            .set("acks", "1")
            .set("linger.ms", "0")
            .set("message.timeout.ms", millis(BROADCAST_TIMEOUT))
            .set("request.timeout.ms", millis(BROADCAST_TIMEOUT))
            .set("message.max.bytes", super::topics::MAX_MESSAGE_BYTES.to_string())
            .set("queue.buffering.max.messages", "10000")
            .set("queue.buffering.max.kbytes", BROADCAST_QUEUE_KIB.to_string());
        client
    }

    /// A position that is gone means that this process was away: it goes on with what is said now.
    pub(super) fn listening(&self) -> ClientConfig {
        let mut client = self.reading(BROADCAST_FETCH_WAIT, BROADCAST_QUEUE_KIB);
        client.set("enable.partition.eof", "false").set("auto.offset.reset", "latest");
        client
    }

    pub(super) fn live(&self) -> ClientConfig {
        let mut client = self.reading(LIVE_FETCH_WAIT, LIVE_QUEUE_KIB);
        client.set("enable.partition.eof", "false");
        if !self.gather.is_zero() {
            client.set("fetch.wait.max.ms", millis(self.gather)).set("fetch.min.bytes", GATHERED_BYTES);
        }
        client
    }

    pub(super) fn cold(&self) -> ClientConfig {
        let mut client = self.reading(COLD_FETCH_WAIT, COLD_QUEUE_KIB);
        client.set("enable.partition.eof", "true").set("fetch.message.max.bytes", "4194304");
        client
    }

    /// Partitions are assigned and positions are ours: the group, which the library asks for, is
    /// never joined, and nothing is committed to it.
    fn reading(&self, fetch_wait: Duration, queue_kib: u32) -> ClientConfig {
        let mut client = self.asking();
        client
            .set("group.id", "roomlog")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("fetch.wait.max.ms", millis(fetch_wait))
            .set("fetch.min.bytes", "1")
            .set("fetch.error.backoff.ms", "20")
            .set("fetch.queue.backoff.ms", "5")
            .set("queued.max.messages.kbytes", queue_kib.to_string());
        client
    }
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}
