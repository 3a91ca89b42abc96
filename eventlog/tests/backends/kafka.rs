use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use roomlog_eventlog::conformance::{Backend, COUNTS};
use roomlog_eventlog::kafka::security::{Mechanism, Password, Protocol};
use roomlog_eventlog::{EventLog, KafkaConfig, KafkaLog, KafkaSecurity, NewRecord, Topic, TopicPartition};

/// Topics of its own in a cluster.
pub struct Kafka {
    pub config: KafkaConfig,
    /// How the tests' own clients reach it.
    properties: Vec<(&'static str, String)>,
}

impl Kafka {
    /// In the cluster that `ROOMLOG_TEST_KAFKA` names. `None` where there is no Kafka to test with; an
    /// error if there must be one.
    pub fn new() -> Option<Self> {
        let brokers = named("ROOMLOG_TEST_KAFKA", "ROOMLOG_TEST_REQUIRE_KAFKA")?;
        Some(Self::at(brokers, KafkaSecurity::default(), Vec::new()))
    }

    /// Over mutual TLS: `ROOMLOG_TEST_KAFKA_TLS` names a listener that asks for a client certificate.
    pub fn over_tls() -> Option<Self> {
        let brokers = named("ROOMLOG_TEST_KAFKA_TLS", "ROOMLOG_TEST_REQUIRE_KAFKA_TLS")?;
        let [ca, cert, key] = ["ca.pem", "process.pem", "process.key"].map(certificate);
        let security = KafkaSecurity {
            protocol: Protocol::Ssl,
            ca_file: Some(ca.clone().into()),
            cert_file: Some(cert.clone().into()),
            key_file: Some(key.clone().into()),
            ..KafkaSecurity::default()
        };
        let properties = vec![
            ("security.protocol", "ssl".into()),
            ("ssl.ca.location", ca),
            ("ssl.certificate.location", cert),
            ("ssl.key.location", key),
        ];
        Some(Self::at(brokers, security, properties))
    }

    /// With a password over TLS: `ROOMLOG_TEST_KAFKA_SASL` names a listener for it, and
    /// `ROOMLOG_TEST_KAFKA_USER` and `_PASSWORD` the rest.
    pub fn over_sasl(mechanism: Mechanism) -> Option<Self> {
        let brokers = named("ROOMLOG_TEST_KAFKA_SASL", "ROOMLOG_TEST_REQUIRE_KAFKA_SASL")?;
        let [user, password] = ["USER", "PASSWORD"].map(|name| setting(&format!("KAFKA_{name}")));
        let ca = certificate("ca.pem");
        let security = KafkaSecurity {
            protocol: Protocol::SaslSsl,
            ca_file: Some(ca.clone().into()),
            mechanism: Some(mechanism),
            user: Some(user.clone()),
            password: Some(Password(password.clone())),
            ..KafkaSecurity::default()
        };
        let properties = vec![
            ("security.protocol", "sasl_ssl".into()),
            ("ssl.ca.location", ca),
            ("sasl.mechanism", mechanism.name().into()),
            ("sasl.username", user),
            ("sasl.password", password),
        ];
        Some(Self::at(brokers, security, properties))
    }

    fn at(brokers: String, security: KafkaSecurity, properties: Vec<(&'static str, String)>) -> Self {
        let mut random = [0; 8];
        getrandom::fill(&mut random).unwrap();
        let config = KafkaConfig {
            topic_prefix: format!("test-{:016x}-", u64::from_le_bytes(random)),
            allow_weak: true,
            security,
            ..KafkaConfig::new(brokers, COUNTS)
        };
        Self { config, properties }
    }

    pub async fn try_open(&self) -> Result<KafkaLog, roomlog_eventlog::LogError> {
        let config = self.config.clone();
        tokio::task::spawn_blocking(move || KafkaLog::open(config)).await.unwrap()
    }

    pub fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.config.brokers);
        for (name, value) in &self.properties {
            client.set(*name, value);
        }
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

fn named(address: &str, required: &str) -> Option<String> {
    let found = std::env::var(address).ok();
    if found.is_none() {
        assert!(std::env::var_os(required).is_none(), "{required} is set and {address} is not");
        println!("skipped: {address} is not set");
    }
    found
}

/// A file of `ROOMLOG_TEST_CERTIFICATES`: `ca.pem` is whom the brokers believe, `process` is of it, and `foreign` is of
/// `foreign-ca.pem`, whom nobody believes.
pub fn certificate(file: &str) -> String {
    format!("{}/{file}", setting("CERTIFICATES"))
}

fn setting(name: &str) -> String {
    let name = format!("ROOMLOG_TEST_{name}");
    std::env::var(&name).unwrap_or_else(|_| panic!("{name} is not set"))
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
