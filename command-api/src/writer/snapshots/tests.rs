use std::sync::Mutex;

use async_trait::async_trait;
use futures::future::BoxFuture;
use roomlog_domain::command::CreateRoom;
use roomlog_domain::{Command, Context};
use roomlog_eventlog::memory::MemoryLog;
use roomlog_eventlog::{
    Appended, LogError, LogReader, LogRecord, NewRecord, PartitionCounts, ensure_identity,
};
use roomlog_schemas::{Access, AccountId, History, IdempotencyKey, RoomId, RoomKind};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::*;
use crate::writer::core::Options;
use crate::writer::driver::{self, Handle, Outside, clock_ms};
use crate::writer::ownership::Duty;
use crate::writer::request::{Outcome, Request};

const PARTITION: TopicPartition = TopicPartition::rooms(0);
const COUNTS: PartitionCounts = PartitionCounts { accounts: 1, rooms: 1 };
const PATIENCE: Duration = Duration::from_secs(60);

/// Notes from where the partition is read.
struct WatchedLog {
    log: MemoryLog,
    read_from: Mutex<Vec<u64>>,
}

#[async_trait]
impl EventLog for WatchedLog {
    fn partitions(&self) -> PartitionCounts {
        self.log.partitions()
    }

    fn append(
        &self,
        partition: TopicPartition,
        record: NewRecord,
    ) -> BoxFuture<'static, Result<Appended, LogError>> {
        self.log.append(partition, record)
    }

    async fn end(&self, partition: TopicPartition) -> Result<u64, LogError> {
        self.log.end(partition).await
    }

    async fn read(&self, partition: TopicPartition, from: u64) -> Result<Box<dyn LogReader>, LogError> {
        if partition == PARTITION {
            self.read_from.lock().unwrap().push(from);
        }
        Ok(Box::new(WatchedReader(self.log.read(partition, from).await?)))
    }
}

/// Gives records a time: those of the log in memory are of 1970, which no owner's clock agrees with.
struct WatchedReader(Box<dyn LogReader>);

#[async_trait]
impl LogReader for WatchedReader {
    async fn next(&mut self) -> Result<Vec<LogRecord>, LogError> {
        let mut records = self.0.next().await?;
        for record in &mut records {
            record.append_time_ms = clock_ms();
        }
        Ok(records)
    }
}

struct Fixture {
    watched: Arc<WatchedLog>,
    log: Arc<dyn EventLog>,
    identity: LogIdentity,
    objects: Objects,
}

impl Fixture {
    async fn new(objects: Objects) -> Self {
        let watched = Arc::new(WatchedLog { log: MemoryLog::new(COUNTS), read_from: Mutex::default() });
        let log: Arc<dyn EventLog> = watched.clone();
        let identity = ensure_identity(&log, Uuid::new_v4()).await.unwrap();
        Self { watched, log, identity, objects }
    }

    fn snapshots(&self) -> Snapshots {
        Snapshots::new(self.objects.clone(), 5)
    }

    async fn load(&self) -> Option<Snapshot> {
        self.snapshots().load(&self.log, PARTITION, self.identity).await
    }

    /// What a writer that is started now answers to these requests.
    async fn ask(&self, requests: impl IntoIterator<Item = Request>) -> Vec<Outcome> {
        let stop = CancellationToken::new();
        let (handle, task): (Handle, _) = driver::spawn(
            self.log.clone(),
            PARTITION,
            self.identity,
            Options::default(),
            Duty::ALONE,
            Outside { snapshots: Some(self.snapshots()), ..Outside::default() },
            stop.clone(),
        );
        let mut outcomes = Vec::new();
        for request in requests {
            outcomes.push(handle.run(request).await);
        }
        stop.cancel();
        task.await.unwrap();
        outcomes
    }

    /// Waits until a snapshot has been kept.
    async fn saved(&self) -> Snapshot {
        let waiting = async {
            loop {
                match self.load().await {
                    Some(snapshot) => return snapshot,
                    None => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("a snapshot is saved")
    }

    async fn object(&self) -> Vec<u8> {
        self.objects.get(&name(PARTITION, self.identity)).await.unwrap().unwrap().to_vec()
    }

    async fn replace(&self, object: Vec<u8>) {
        self.objects.put(&name(PARTITION, self.identity), object.into()).await.unwrap();
    }
}

/// The nth of some requests that differ; the same number gives the same request.
fn create(n: u128) -> Request {
    let creator_id = AccountId::from_u128(1);
    let key = ((clock_ms() as u128) << 80) | (0x7 << 76) | (0b10 << 62) | n;
    Request {
        actor: Some(creator_id),
        key: Some((IdempotencyKey::new(Uuid::from_u128(key)).unwrap(), Bytes::from_static(b"body"))),
        command: Command::CreateRoom(CreateRoom {
            room_id: RoomId::from_u128(n),
            parent_id: None,
            kind: RoomKind::Group,
            access: Access::Public,
            history: History::default(),
            name: Bytes::from_static(b"name"),
            creator_id,
            source: None,
        }),
        context: Context::default(),
        deadline: clock_ms() + PATIENCE.as_millis() as i64,
        traceparent: None,
    }
}

#[tokio::test]
async fn a_start_reads_only_what_came_after_the_snapshot_and_knows_the_keys_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(Objects::folder(folder.path()).unwrap()).await;
    let first = create(1);
    let mut outcomes = fixture.ask([first.clone()].into_iter().chain((2..10).map(create))).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Accepted { .. })), "{outcomes:?}");
    let next_offset = fixture.saved().await.cursor.next_offset;
    assert!(next_offset >= 5);

    fixture.watched.read_from.lock().unwrap().clear();
    let again = fixture.ask([first, create(10)]).await;
    assert_eq!(again[0], outcomes.remove(0), "its key is in the snapshot");
    assert!(matches!(again[1], Outcome::Accepted { .. }));
    let read_from = fixture.watched.read_from.lock().unwrap().clone();
    assert!(read_from.iter().all(|from| *from + 1 >= next_offset), "{read_from:?}");
}

#[tokio::test]
async fn a_snapshot_is_what_replay_gives() {
    let fixture = Fixture::new(Objects::in_memory()).await;
    fixture.ask((1..10).map(create)).await;
    let snapshot = fixture.saved().await;

    let mut core = crate::writer::core::Core::new(
        PARTITION,
        fixture.identity,
        Options::default(),
        Box::new(Uuid::new_v4),
    );
    let mut reader = fixture.log.read(PARTITION, 0).await.unwrap();
    while core.follower().next_offset() < snapshot.cursor.next_offset {
        let records = reader.next().await.unwrap();
        let before = records.iter().take_while(|record| record.offset < snapshot.cursor.next_offset);
        core.records(clock_ms(), &before.cloned().collect::<Vec<_>>());
    }
    assert_eq!(core.snapshot(), snapshot);
}

#[tokio::test]
async fn what_is_damaged_or_of_another_version_is_not_used() {
    let fixture = Fixture::new(Objects::in_memory()).await;
    assert_eq!(fixture.load().await, None, "there is none");
    fixture.ask((1..10).map(create)).await;
    fixture.saved().await;
    let good = fixture.object().await;
    for at in [0, 8, 12, 16, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fixture.replace(bad).await;
        assert_eq!(fixture.load().await, None, "byte {at}");
    }
    for length in [0, 10, 50, good.len() - 1] {
        fixture.replace(good[..length].to_vec()).await;
        assert_eq!(fixture.load().await, None, "{length} bytes");
    }
    fixture.replace(good).await;
    assert!(fixture.load().await.is_some());
}

#[tokio::test]
async fn a_snapshot_of_another_log_is_not_used() {
    let objects = Objects::in_memory();
    let one = Fixture::new(objects.clone()).await;
    one.ask((1..10).map(create)).await;
    one.saved().await;
    // The same identity, but what it holds is something else: as after a wrong restore.
    let mut other = Fixture::new(objects).await;
    other.identity = one.identity;
    assert_eq!(other.load().await, None);
}
