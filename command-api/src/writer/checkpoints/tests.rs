use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use roomlog_audit::{Archive, Checkpoint, Keeper, KeyChain};
use roomlog_domain::command::CreateRoom;
use roomlog_domain::{Command, Context};
use roomlog_eventlog::{EventLog, LogIdentity, PartitionCounts, SqliteLog, TopicPartition, ensure_identity};
use roomlog_schemas::{Access, AccountId, History, RoomId, RoomKind};
use roomlog_stores::objects::Objects;
use tempfile::TempDir;
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
const NEVER: Duration = Duration::from_secs(3_600);
const OFTEN: Duration = Duration::from_millis(20);

struct Fixture {
    folder: TempDir,
    log: Arc<dyn EventLog>,
    identity: LogIdentity,
    archive: Archive,
    signer: Signer,
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log: Arc<dyn EventLog> =
            Arc::new(SqliteLog::open(&folder.path().join("log.db"), COUNTS).unwrap());
        let identity = ensure_identity(&log, Uuid::new_v4()).await.unwrap();
        let keeper = Keeper::File(folder.path().join("audit.json"));
        keeper.rotate(roomlog_audit::signer::now()).await.unwrap();
        let archive = Archive::new(Objects::folder(&folder.path().join("objects")).unwrap());
        let signer = Signer::new(keeper, archive.clone());
        Self { folder, log, identity, archive, signer }
    }

    fn start(&self, every: Duration, stop: &CancellationToken) -> (Handle, JoinHandle<()>) {
        let checkpoints = Some(Checkpoints::new(self.signer.clone(), every));
        let outside = Outside { checkpoints, ..Outside::default() };
        let (log, identity, stop) = (self.log.clone(), self.identity, stop.clone());
        driver::spawn(log, PARTITION, identity, Options::default(), Duty::ALONE, outside, stop)
    }

    async fn kept(&self) -> Vec<Checkpoint> {
        self.archive.all(self.identity.log_id, PARTITION).try_collect().await.unwrap()
    }

    /// Waits until there is a checkpoint of everything.
    async fn all_is_covered(&self) -> Vec<Checkpoint> {
        let end = self.log.end(PARTITION).await.unwrap();
        let waiting = async {
            loop {
                let kept = self.kept().await;
                if kept.last().is_some_and(|last| last.next_offset >= end) {
                    return kept;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("a checkpoint of everything")
    }

    /// That the log agrees with every checkpoint.
    async fn verify(&self) {
        let keys = KeyChain::verified(self.archive.keys().await.unwrap(), None).unwrap();
        let kept = self.archive.all(self.identity.log_id, PARTITION).boxed();
        let report =
            roomlog_audit::verify::verify(&self.log, self.identity, PARTITION, Some(&keys), kept, |_| {})
                .await
                .unwrap();
        assert!(report.is_sound() && report.agreeing > 0, "{report}: {:?}", report.findings);
    }
}

async fn create(writer: &Handle, n: u128) {
    let creator_id = AccountId::from_u128(1);
    let request = Request {
        actor: Some(creator_id),
        key: None,
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
    };
    let outcome = writer.run(request).await;
    assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
}

#[tokio::test]
async fn an_owner_says_where_the_log_stands_when_something_was_appended() {
    let fixture = Fixture::new().await;
    let stop = CancellationToken::new();
    let (writer, task) = fixture.start(OFTEN, &stop);
    create(&writer, 1).await;
    let first = fixture.all_is_covered().await;
    create(&writer, 2).await;
    let second = fixture.all_is_covered().await;
    assert!(second.starts_with(&first) && second.len() > first.len());
    fixture.verify().await;
    stop.cancel();
    task.await.unwrap();
    assert_eq!(fixture.kept().await, second, "nothing new, nothing said");
}

#[tokio::test]
async fn an_owner_that_stops_leaves_no_tail() {
    let fixture = Fixture::new().await;
    for n in 1..=2 {
        let stop = CancellationToken::new();
        let (writer, task) = fixture.start(NEVER, &stop);
        create(&writer, n).await;
        stop.cancel();
        task.await.unwrap();
        let end = fixture.log.end(PARTITION).await.unwrap();
        assert_eq!(fixture.kept().await.last().map(|last| last.next_offset), Some(end));
    }
    fixture.verify().await;
}

#[tokio::test]
async fn commands_go_on_while_checkpoints_cannot_be_kept_and_they_are_tried_again() {
    let fixture = Fixture::new().await;
    // Where the archive's folder would be.
    let obstacle = fixture.folder.path().join("objects/audit");
    std::fs::write(&obstacle, "").unwrap();
    let stop = CancellationToken::new();
    let (writer, task) = fixture.start(OFTEN, &stop);
    for n in 1..=20 {
        create(&writer, n).await;
    }
    std::fs::remove_file(&obstacle).unwrap();
    fixture.all_is_covered().await;
    fixture.verify().await;
    stop.cancel();
    task.await.unwrap();
}

/// What was read once is not what is read now, and somebody has to know.
#[tokio::test]
async fn another_head_at_a_signed_offset_is_a_conflict_and_the_signed_one_stays() {
    let fixture = Fixture::new().await;
    let chain = Chain::new(PARTITION, Some(fixture.identity));
    let stand = Stand::of(&chain, 5).unwrap();
    let keep = async |head: u8| {
        let head = roomlog_eventlog::Head([head; 32]);
        fixture.signer.keep(Stand { head, ..stand }).await.unwrap()
    };
    assert_eq!(keep(1).await, Kept::Stored);
    assert_eq!(keep(1).await, Kept::Known);
    assert!(matches!(keep(2).await, Kept::Conflict(_)));
    assert_eq!(fixture.kept().await[0].head.0, [1; 32]);
}
