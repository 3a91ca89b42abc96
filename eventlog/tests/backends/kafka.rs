use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use roomlog_eventlog::conformance::{Backend, COUNTS};
use roomlog_eventlog::{EventLog, KafkaConfig, KafkaLog, NewRecord, Topic, TopicPartition};

/// Topics of its own in the cluster that `ROOMLOG_TEST_KAFKA` names.
pub struct Kafka {
    pub config: KafkaConfig,
}

impl Kafka {
    /// `None` where there is no Kafka to test with; an error if there must be one.
    pub fn new() -> Option<Self> {
        let Ok(brokers) = std::env::var("ROOMLOG_TEST_KAFKA") else {
            assert!(
                std::env::var_os("ROOMLOG_TEST_REQUIRE_KAFKA").is_none(),
                "ROOMLOG_TEST_REQUIRE_KAFKA is set and ROOMLOG_TEST_KAFKA is not"
            );
            println!("skipped: ROOMLOG_TEST_KAFKA is not set");
            return None;
        };
        let mut random = [0; 8];
        getrandom::fill(&mut random).unwrap();
        let config = KafkaConfig {
            topic_prefix: format!("test-{:016x}-", u64::from_le_bytes(random)),
            allow_weak: true,
            ..KafkaConfig::new(brokers, COUNTS)
        };
        Some(Self { config })
    }

    pub async fn try_open(&self) -> Result<KafkaLog, roomlog_eventlog::LogError> {
        let config = self.config.clone();
        tokio::task::spawn_blocking(move || KafkaLog::open(config)).await.unwrap()
    }

    pub fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.config.brokers);
        client
    }

    pub fn topic(&self, topic: Topic) -> String {
        format!("{}{}", self.config.topic_prefix, topic.name())
    }

    pub fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().unwrap()
    }

    /// A transaction of one record. The marker that ends it takes an offset; it is written a little
    /// after the commit, and this waits for it.
    pub fn append_transaction(&self, partition: TopicPartition, record: &NewRecord) {
        let wait = Duration::from_secs(20);
        let id = format!("{}{}", self.config.topic_prefix, partition.partition);
        let producer: BaseProducer = self.client().set("transactional.id", id).create().unwrap();
        producer.init_transactions(wait).unwrap();
        producer.begin_transaction().unwrap();
        let topic = self.topic(partition.topic);
        let number = partition.partition.try_into().unwrap();
        let native = BaseRecord::<[u8], [u8]>::to(&topic).partition(number).payload(&record.value);
        assert!(producer.send(native).is_ok());
        let end = || {
            let asking: BaseConsumer =
                self.client().set("isolation.level", "read_uncommitted").create().unwrap();
            asking.fetch_watermarks(&topic, number, wait).unwrap().1
        };
        producer.flush(wait).unwrap();
        let before_the_marker = end();
        producer.commit_transaction(wait).unwrap();
        let deadline = Instant::now() + wait;
        while end() == before_the_marker {
            assert!(Instant::now() < deadline, "the transaction's marker does not come");
        }
    }
}

#[async_trait]
impl Backend for Kafka {
    async fn open(&self) -> Arc<dyn EventLog> {
        Arc::new(self.try_open().await.unwrap())
    }

    async fn append_around_gap(&self, partition: TopicPartition, before: NewRecord, after: NewRecord) {
        let log = self.try_open().await.unwrap();
        tokio::task::block_in_place(|| self.append_transaction(partition, &before));
        log.append(partition, after).await.unwrap();
    }

    /// See `kafka::tests` for a cluster that fails.
    async fn break_it(&self) -> bool {
        false
    }

    async fn repair(&self) {}

    async fn remove(self) {
        let topics = Topic::ALL.map(|topic| self.topic(topic));
        let topics = topics.each_ref().map(String::as_str);
        self.admin().delete_topics(&topics, &AdminOptions::new()).await.unwrap();
    }
}
