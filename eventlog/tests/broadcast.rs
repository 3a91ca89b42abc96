//! The conformance suite of the short-lived topics on every implementation.

// Clippy knows the tests themselves, not what they share.
#![allow(clippy::unwrap_used)]

mod backends;

use std::sync::Arc;

use async_trait::async_trait;
use backends::kafka::Kafka;
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use roomlog_eventlog::conformance::broadcast::Medium;
use roomlog_eventlog::{
    Broadcast, BroadcastTopic, KafkaBroadcast, LocalBroadcast, LogError, broadcast_conformance,
};

broadcast_conformance!(local, Some(Local(LocalBroadcast::default())));
broadcast_conformance!(kafka, Kafka::new());
broadcast_conformance!(kafka_over_tls, Kafka::over_tls());

struct Local(LocalBroadcast);

#[async_trait]
impl Medium for Local {
    async fn join(&self) -> Arc<dyn Broadcast> {
        Arc::new(self.0.clone())
    }

    async fn remove(self) {}
}

async fn open(kafka: &Kafka) -> Result<KafkaBroadcast, LogError> {
    let config = kafka.config.clone();
    tokio::task::spawn_blocking(move || KafkaBroadcast::open(&config, BroadcastTopic::Members)).await.unwrap()
}

fn topic(kafka: &Kafka) -> String {
    format!("{}members", kafka.config.topic_prefix)
}

#[async_trait]
impl Medium for Kafka {
    async fn join(&self) -> Arc<dyn Broadcast> {
        Arc::new(open(self).await.unwrap())
    }

    async fn remove(self) {
        self.admin().delete_topics(&[&topic(&self)], &AdminOptions::new()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_at_the_same_time_create_the_topic_once() {
    let Some(kafka) = Kafka::new() else { return };
    for opened in futures::future::join_all((0..4).map(|_| open(&kafka))).await {
        opened.unwrap();
    }
    Medium::remove(kafka).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compacted_topic_is_refused() {
    let Some(kafka) = Kafka::new() else { return };
    let name = topic(&kafka);
    let new = NewTopic::new(&name, 1, TopicReplication::Fixed(1)).set("cleanup.policy", "compact");
    for created in kafka.admin().create_topics([&new], &AdminOptions::new()).await.unwrap() {
        created.unwrap();
    }
    match open(&kafka).await {
        Err(LogError::Fatal(reason)) => {
            assert_eq!(reason, format!("the topic {name} has cleanup.policy compact, wanted is delete"));
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    }
    Medium::remove(kafka).await;
}
