//! Against librdkafka's own mock of a cluster, which can be made to fail. What a real one does is
//! in `tests/`.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{DefaultProducerContext, Producer as _};
use tokio::time::timeout;

use super::*;
use crate::conformance::{self, Backend, COUNTS};

const ROOMS_0: TopicPartition = TopicPartition::rooms(0);
const DEADLINE: Duration = Duration::from_secs(20);

/// Two brokers, of which the first leads, on a thread of their own: the mock's handle cannot leave
/// it.
struct Mock {
    config: KafkaConfig,
    commands: mpsc::Sender<(Command, mpsc::Sender<()>)>,
}

enum Command {
    Down,
    Up,
    /// Makes this broker the leader of every partition.
    Lead(i32),
}

const BROKERS: std::ops::RangeInclusive<i32> = 1..=2;

fn lead(cluster: &MockCluster<'static, DefaultProducerContext>, broker: i32) {
    for partition in COUNTS.all() {
        let number = partition.partition.try_into().unwrap();
        cluster.partition_leader(partition.topic.name(), number, Some(broker)).unwrap();
    }
}

impl Mock {
    fn start() -> Self {
        let (ready, brokers) = mpsc::channel();
        let (commands, received) = mpsc::channel::<(Command, mpsc::Sender<()>)>();
        std::thread::spawn(move || {
            let cluster = MockCluster::new(2).unwrap();
            for topic in Topic::ALL {
                cluster.create_topic(topic.name(), COUNTS.of(topic).try_into().unwrap(), 2).unwrap();
            }
            lead(&cluster, 1);
            ready.send(cluster.bootstrap_servers()).unwrap();
            for (command, done) in received {
                match command {
                    Command::Down => BROKERS.for_each(|broker| cluster.broker_down(broker).unwrap()),
                    Command::Up => BROKERS.for_each(|broker| cluster.broker_up(broker).unwrap()),
                    Command::Lead(broker) => lead(&cluster, broker),
                }
                done.send(()).unwrap();
            }
        });
        let brokers = brokers.recv().unwrap();
        let config =
            KafkaConfig { append_timeout: Duration::from_secs(1), ..KafkaConfig::new(brokers, COUNTS) };
        Self { config, commands }
    }

    fn tell(&self, command: Command) {
        let (done, is_done) = mpsc::channel();
        self.commands.send((command, done)).unwrap();
        is_done.recv().unwrap();
    }

    fn connect(&self) -> KafkaLog {
        KafkaLog::connect(&self.config, COUNTS).unwrap()
    }
}

#[async_trait]
impl Backend for Mock {
    async fn open(&self) -> Arc<dyn EventLog> {
        Arc::new(self.connect())
    }

    async fn append_around_gap(&self, _: TopicPartition, _: NewRecord, _: NewRecord) {
        unreachable!("not among the cases below");
    }

    async fn break_it(&self) -> bool {
        self.tell(Command::Down);
        true
    }

    async fn repair(&self) {
        self.tell(Command::Up);
    }

    async fn remove(self) {}
}

fn record(value: &'static str) -> NewRecord {
    NewRecord { value: Bytes::from_static(value.as_bytes()), ..NewRecord::default() }
}

#[tokio::test]
async fn a_broken_cluster_confirms_nothing_and_works_again_when_repaired() {
    conformance::faults::a_broken_log_confirms_nothing_and_works_again_when_repaired(&Mock::start()).await;
}

#[tokio::test]
async fn readers_go_on_after_the_cluster_was_broken() {
    conformance::faults::readers_go_on_after_the_log_was_broken(&Mock::start()).await;
}

#[tokio::test]
async fn while_the_cluster_is_down_the_end_and_new_readers_are_unavailable() {
    let mock = Mock::start();
    let log = mock.connect();
    log.append(ROOMS_0, record("one")).await.unwrap();
    let mut reader = log.read(ROOMS_0, 0).await.unwrap();
    mock.tell(Command::Down);
    let begun = Instant::now();
    assert!(matches!(timeout(DEADLINE, log.end(ROOMS_0)).await.unwrap(), Err(LogError::Unavailable(_))));
    let read = timeout(DEADLINE, log.read(TopicPartition::rooms(1), 0)).await.unwrap();
    assert!(matches!(read, Err(LogError::Unavailable(_))));
    assert!(begun.elapsed() < Duration::from_secs(8), "each within its time: {:?}", begun.elapsed());
    mock.tell(Command::Up);
    let reading = async {
        loop {
            match reader.next().await {
                Ok(records) => break records,
                Err(LogError::Unavailable(_)) => {}
                Err(other) => panic!("{other}"),
            }
        }
    };
    assert_eq!(timeout(DEADLINE, reading).await.unwrap()[0].value, "one");
}

#[tokio::test]
async fn a_new_leader_interrupts_nobody() {
    let mock = Mock::start();
    let log = mock.connect();
    let mut reader = log.read(ROOMS_0, 0).await.unwrap();
    for (n, leader) in [2, 1, 2].into_iter().enumerate() {
        let before = log.append(ROOMS_0, record("before")).await.unwrap();
        mock.tell(Command::Lead(leader));
        let begun = Instant::now();
        assert_eq!(timeout(DEADLINE, log.end(ROOMS_0)).await.unwrap().unwrap(), before.offset + 1);
        let after = timeout(DEADLINE, log.append(ROOMS_0, record("after"))).await.unwrap().unwrap();
        assert_eq!(after.offset, 2 * n as u64 + 1);
        let mut next = 0;
        while next <= after.offset {
            next = timeout(DEADLINE, reader.next()).await.unwrap().unwrap().last().unwrap().offset + 1;
        }
        println!("{leader} leads: read on after {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_producer_that_failed_for_good_is_replaced() {
    let mock = Mock::start();
    let log = mock.connect();
    log.append(ROOMS_0, record("before")).await.unwrap();
    mock.tell(Command::Down);
    let in_flight = log.append(ROOMS_0, record("in flight"));
    fail_for_good(&log);
    let outcome = timeout(DEADLINE, in_flight).await.unwrap();
    assert!(matches!(outcome, Err(LogError::UnknownOutcome(_))), "{outcome:?}");
    mock.tell(Command::Up);
    let appending = async {
        loop {
            if let Ok(appended) = log.append(ROOMS_0, record("after")).await {
                break appended;
            }
        }
    };
    timeout(DEADLINE, appending).await.unwrap();
}

/// What a broker's answer can lead to that breaks the idempotent producer's promise.
#[allow(unsafe_code)]
fn fail_for_good(log: &KafkaLog) {
    let client = log.producer.current();
    let code = rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
    // SAFETY: the client outlives the call, and the reason is a static string with its NUL.
    unsafe {
        rdkafka::bindings::rd_kafka_test_fatal_error(client.client().native_ptr(), code, c"a test".as_ptr());
    }
}

#[tokio::test]
async fn an_append_past_what_may_wait_is_refused_and_not_sent() {
    let mock = Mock::start();
    mock.tell(Command::Down);
    let log = mock.connect();
    let large = NewRecord { value: Bytes::from(vec![0; 900_000]), ..NewRecord::default() };
    let appends: Vec<_> = (0..100).map(|_| log.append(ROOMS_0, large.clone())).collect();
    let outcomes = timeout(DEADLINE, futures::future::join_all(appends)).await.unwrap();
    let refused =
        outcomes.iter().filter(|o| matches!(o, Err(LogError::Unavailable(reason)) if reason == "queue full"));
    assert!(refused.count() > 20, "100 times 900 kB do not fit");
    assert!(outcomes.iter().all(Result::is_err));
}

#[test]
fn a_cluster_that_is_not_there_is_unavailable() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let opened = KafkaLog::open(KafkaConfig::new(format!("127.0.0.1:{port}"), COUNTS));
    assert!(matches!(opened, Err(LogError::Unavailable(_))));
}

fn refused(change: impl FnOnce(&mut KafkaConfig)) -> String {
    let mut config = KafkaConfig::new("127.0.0.1:9", COUNTS);
    change(&mut config);
    match KafkaLog::open(config) {
        Err(LogError::Fatal(reason)) => reason,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    }
}

#[test]
fn a_log_that_can_lose_records_is_refused_unless_it_may() {
    assert!(refused(|config| config.replication = 2).contains("can lose confirmed records"));
    assert!(refused(|config| config.min_isr = 1).contains("can lose confirmed records"));
    assert!(refused(|config| config.min_isr = 4).contains("does not fit"));
}

#[test]
fn a_property_that_does_not_exist_is_refused() {
    let reason = refused(|config| {
        config.properties.insert("no.such.property".into(), "1".into());
    });
    assert!(reason.contains("no.such.property"), "{reason}");
}
