//! What only a log in Kafka has: topics that must be as they must be, and records that others can
//! delete. Skipped without `ROOMLOG_TEST_KAFKA`.

// Clippy knows the tests themselves, not what they share.
#![allow(clippy::unwrap_used)]

mod backends;

use std::time::Duration;

use backends::kafka::Kafka;
use bytes::Bytes;
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use roomlog_eventlog::conformance::{Backend, COUNTS};
use roomlog_eventlog::{EventLog, KafkaLog, LogError, NewRecord, Topic, TopicPartition};
use tokio::time::timeout;

const ROOMS_0: TopicPartition = TopicPartition::rooms(0);
const DEADLINE: Duration = Duration::from_secs(20);

/// The settings of a log topic, written down once more.
const SETTINGS: [(&str, &str); 7] = [
    ("cleanup.policy", "delete"),
    ("retention.ms", "-1"),
    ("retention.bytes", "-1"),
    ("unclean.leader.election.enable", "false"),
    ("message.timestamp.type", "LogAppendTime"),
    ("max.message.bytes", "1048576"),
    ("min.insync.replicas", "1"),
];

/// Creates one of the topics with these settings.
async fn create(kafka: &Kafka, topic: Topic, partitions: i32, settings: &[(&str, &str)]) {
    let name = kafka.topic(topic);
    let mut new = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
    for (name, value) in settings {
        new = new.set(name, value);
    }
    let created = kafka.admin().create_topics([&new], &AdminOptions::new()).await.unwrap();
    created.into_iter().for_each(|created| drop(created.unwrap()));
}

async fn refused(kafka: &Kafka) -> String {
    match kafka.try_open().await {
        Err(LogError::Fatal(reason)) => reason,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the log opened"),
    }
}

fn record(value: &'static str) -> NewRecord {
    NewRecord { value: Bytes::from_static(value.as_bytes()), ..NewRecord::default() }
}

async fn next(reader: &mut Box<dyn roomlog_eventlog::LogReader>) -> Vec<Bytes> {
    let records = timeout(DEADLINE, reader.next()).await.expect("in time").unwrap();
    records.into_iter().map(|record| record.value).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_at_the_same_time_create_the_topics_once() {
    let Some(kafka) = Kafka::new() else { return };
    let opened = futures::future::join_all((0..4).map(|_| kafka.try_open())).await;
    for log in opened {
        assert_eq!(log.unwrap().partitions(), COUNTS);
    }
    kafka.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_setting_that_is_not_as_it_must_be_is_named() {
    let Some(mut kafka) = Kafka::new() else { return };
    let prefix = kafka.config.topic_prefix.clone();
    let wrong = ["compact", "1000", "1000", "true", "CreateTime", "2000000"];
    for ((setting, wanted), wrong) in SETTINGS.into_iter().zip(wrong) {
        kafka.config.topic_prefix = format!("{prefix}{setting}-");
        let mut settings = SETTINGS;
        settings.iter_mut().filter(|(name, _)| *name == setting).for_each(|(_, value)| *value = wrong);
        create(&kafka, Topic::Accounts, 1, &SETTINGS).await;
        create(&kafka, Topic::Rooms, 1, &settings).await;
        let reason = refused(&kafka).await;
        let topic = kafka.topic(Topic::Rooms);
        assert_eq!(reason, format!("the topic {topic} has {setting} {wrong}, wanted is {wanted}"));
        let names = Topic::ALL.map(|topic| kafka.topic(topic));
        kafka.admin().delete_topics(&[&names[0], &names[1]], &AdminOptions::new()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn existing_topics_keep_their_partitions_and_fewer_copies_need_permission() {
    let Some(mut kafka) = Kafka::new() else { return };
    create(&kafka, Topic::Accounts, 2, &SETTINGS).await;
    create(&kafka, Topic::Rooms, 5, &SETTINGS).await;
    let log = kafka.try_open().await.unwrap();
    assert_eq!((log.partitions().accounts, log.partitions().rooms), (2, 5));
    kafka.config.allow_weak = false;
    let reason = refused(&kafka).await;
    assert!(reason.ends_with("accounts has replication 1, wanted is at least 3"), "{reason}");
    kafka.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_for_more_copies_than_there_are_brokers_is_not_created() {
    let Some(mut kafka) = Kafka::new() else { return };
    kafka.config.allow_weak = false;
    kafka.config.replication = 100;
    let reason = refused(&kafka).await;
    assert!(reason.contains("fewer brokers than the 100 copies"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn key_and_headers_are_copied_for_other_tools() {
    let Some(kafka) = Kafka::new() else { return };
    let log = kafka.try_open().await.unwrap();
    let headers = vec![("event_type", "message_sent".to_owned()), ("traceparent", "00-1-2-3".to_owned())];
    let new = NewRecord { value: Bytes::from_static(b"v"), key: Bytes::from_static(b"room"), headers };
    let appended = log.append(ROOMS_0, new).await.unwrap();
    let consumer: BaseConsumer = kafka.client().set("group.id", "test").create().unwrap();
    let mut at = TopicPartitionList::new();
    at.add_partition_offset(&kafka.topic(Topic::Rooms), 0, Offset::Beginning).unwrap();
    consumer.assign(&at).unwrap();
    let message = consumer.poll(DEADLINE).expect("in time").unwrap();
    assert_eq!((message.key(), message.payload()), (Some(&b"room"[..]), Some(&b"v"[..])));
    assert_eq!(message.timestamp().to_millis(), Some(appended.append_time_ms));
    let headers: Vec<_> =
        message.headers().unwrap().iter().map(|header| (header.key, header.value.unwrap())).collect();
    assert_eq!(headers, [("event_type", &b"message_sent"[..]), ("traceparent", b"00-1-2-3")]);
    kafka.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_were_deleted_are_out_of_range() {
    let Some(kafka) = Kafka::new() else { return };
    let log = kafka.try_open().await.unwrap();
    for _ in 0..10 {
        log.append(ROOMS_0, record("x")).await.unwrap();
    }
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(&kafka.topic(Topic::Rooms), 0, Offset::Offset(5)).unwrap();
    kafka.admin().delete_records(&before, &AdminOptions::new()).await.unwrap();
    let mut reader = log.read(ROOMS_0, 3).await.unwrap();
    let gone = timeout(DEADLINE, reader.next()).await.expect("in time");
    assert!(matches!(gone, Err(LogError::OutOfRange { partition: ROOMS_0, offset: 3, .. })), "{gone:?}");
    assert_eq!(next(&mut log.read(ROOMS_0, 5).await.unwrap()).await.len(), 5);
    kafka.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_before_a_marker_at_the_end_goes_on_with_the_next_record() {
    let Some(kafka) = Kafka::new() else { return };
    let log = kafka.try_open().await.unwrap();
    tokio::task::block_in_place(|| kafka.append_transaction(ROOMS_0, &record("in a transaction")));
    assert_eq!(log.end(ROOMS_0).await.unwrap(), 2);
    let mut reader = log.read(ROOMS_0, 0).await.unwrap();
    assert_eq!(next(&mut reader).await, ["in a transaction"]);
    let waiting = timeout(Duration::from_secs(1), reader.next()).await;
    assert!(waiting.is_err(), "there is nothing more: {waiting:?}");
    assert_eq!(log.append(ROOMS_0, record("after")).await.unwrap().offset, 2);
    assert_eq!(next(&mut reader).await, ["after"]);
    kafka.remove().await;
}

/// Not a thing that happens to a log: but if it does, its readers must not wait for ever.
#[tokio::test(flavor = "multi_thread")]
async fn readers_of_a_topic_that_was_made_anew_are_told() {
    let Some(kafka) = Kafka::new() else { return };
    let log = kafka.try_open().await.unwrap();
    for _ in 0..10 {
        log.append(ROOMS_0, record("old")).await.unwrap();
    }
    let mut reader = log.read(ROOMS_0, 10).await.unwrap();
    let name = kafka.topic(Topic::Rooms);
    kafka.admin().delete_topics(&[&name], &AdminOptions::new()).await.unwrap();
    let anew: KafkaLog = kafka.try_open().await.unwrap();
    anew.append(ROOMS_0, record("new")).await.unwrap();
    let told = timeout(DEADLINE, reader.next()).await.expect("in time");
    assert!(matches!(told, Err(LogError::OutOfRange { .. })), "{told:?}");
    kafka.remove().await;
}
