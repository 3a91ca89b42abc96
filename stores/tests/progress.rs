//! Waiting until a projection is far enough.

// Clippy knows the tests themselves, not what they share.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use roomlog_domain::visibility::{Interval, Visibility};
use roomlog_eventlog::{Cursor, LogIdentity, PartitionCounts, TopicPartition};
use roomlog_schemas::event::Seq;
use roomlog_schemas::{AccountId, MessageId, RoomId};
use roomlog_stores::directory::DirectoryBatch;
use roomlog_stores::progress::{Progress, Projection};
use roomlog_stores::rooms::{Page, RoomBatch, StoredEvent, StoredMessage};
use roomlog_stores::sqlite::SqliteDirectoryStore;
use roomlog_stores::{DirectoryStore, RoomStore, StoreError};
use tempfile::TempDir;
use tokio::time::Instant;
use uuid::Uuid;

const P0: TopicPartition = TopicPartition::rooms(0);
const P1: TopicPartition = TopicPartition::rooms(1);
/// Far beyond what any wait here takes.
const LONG: Duration = Duration::from_secs(30);
/// A few polls of a store.
const SHORT: Duration = Duration::from_millis(70);

fn cursor(next_offset: u64) -> Cursor {
    let partitions = PartitionCounts { accounts: 1, rooms: 2 };
    let identity = LogIdentity { log_id: Uuid::from_u128(1), partitions };
    Cursor { next_offset, ..Cursor::start(identity, P0) }
}

/// A store that has nothing but a cursor, and counts how often it is asked for it.
#[derive(Default)]
struct CursorOnly {
    next_offset: AtomicU64,
    asked: AtomicU64,
}

impl CursorOnly {
    fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    async fn until_asked(&self, times: u64) {
        let asked = async {
            while self.asked() < times {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, asked).await.unwrap();
    }
}

#[async_trait]
impl RoomStore for CursorOnly {
    async fn cursor(&self, _: TopicPartition) -> Result<Option<Cursor>, StoreError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match self.next_offset.load(Ordering::SeqCst) {
            0 => Ok(None),
            u64::MAX => Err(StoreError::Unavailable { store: "test", source: "it is away".into() }),
            next_offset => Ok(Some(cursor(next_offset))),
        }
    }
    async fn apply(&self, _: RoomBatch) -> Result<(), StoreError> {
        unreachable!()
    }
    async fn events(&self, _: RoomId, _: Seq, _: usize) -> Result<Vec<StoredEvent>, StoreError> {
        unreachable!()
    }
    async fn seq_range(&self, _: RoomId) -> Result<Option<(Seq, Seq)>, StoreError> {
        unreachable!()
    }
    async fn messages(&self, _: RoomId, _: Page, _: usize) -> Result<Vec<StoredMessage>, StoreError> {
        unreachable!()
    }
    async fn message(&self, _: RoomId, _: MessageId) -> Result<Option<StoredMessage>, StoreError> {
        unreachable!()
    }
    async fn known_messages(&self, _: RoomId, _: &[MessageId]) -> Result<Vec<MessageId>, StoreError> {
        unreachable!()
    }
    async fn visibility(&self, _: RoomId, _: AccountId) -> Result<Option<Visibility>, StoreError> {
        unreachable!()
    }
    async fn rooms_of(&self, _: AccountId) -> Result<Vec<(RoomId, Vec<Interval>)>, StoreError> {
        unreachable!()
    }
    async fn member_ids(&self, _: RoomId) -> Result<Vec<AccountId>, StoreError> {
        unreachable!()
    }
    async fn beside(&self) -> Result<Arc<dyn RoomStore>, StoreError> {
        unreachable!()
    }
    async fn promote(&self) -> Result<(), StoreError> {
        unreachable!()
    }
}

/// Someone who waits for `offset`, from now on.
fn wait(
    progress: &Arc<Progress>,
    store: &Arc<CursorOnly>,
    offset: u64,
    within: Duration,
) -> tokio::task::JoinHandle<Result<bool, StoreError>> {
    let (progress, store) = (progress.clone(), store.clone());
    let deadline = Instant::now() + within;
    tokio::spawn(async move { progress.rooms_cover(&*store, P0, offset, deadline).await })
}

#[tokio::test]
async fn what_is_reported_is_covered_without_asking_the_store() {
    let (progress, store) = (Progress::default(), CursorOnly::default());
    progress.report(Projection::RoomEvents, P0, 6);
    for (offset, covered) in [(0, true), (5, true), (6, false), (u64::MAX, false)] {
        let asked = store.asked();
        assert_eq!(progress.rooms_cover(&store, P0, offset, Instant::now()).await.unwrap(), covered);
        assert_eq!(store.asked() == asked, covered, "at {offset}");
    }
}

#[tokio::test]
async fn reports_never_go_back() {
    let progress = Progress::default();
    for (reported, reached) in [(5, 5), (3, 5), (0, 5), (7, 7)] {
        progress.report(Projection::RoomEvents, P0, reported);
        assert_eq!(progress.reached(Projection::RoomEvents, P0), reached);
    }
    assert_eq!(progress.reached(Projection::RoomEvents, P1), 0);
    assert_eq!(progress.reached(Projection::Directory, P0), 0);
}

#[tokio::test]
async fn a_report_wakes_all_who_wait_for_it_and_nobody_else() {
    let (progress, store) = (Arc::new(Progress::default()), Arc::new(CursorOnly::default()));
    let waiting: Vec<_> = (0..20).map(|n| wait(&progress, &store, n % 2, LONG)).collect();
    store.until_asked(20).await;
    // Another projection and another partition say nothing of this one.
    progress.report(Projection::Directory, P0, 9);
    progress.report(Projection::RoomEvents, P1, 9);
    progress.report(Projection::RoomEvents, P0, 1);
    let mut later = Vec::new();
    for (n, task) in waiting.into_iter().enumerate() {
        match n % 2 {
            0 => assert!(task.await.unwrap().unwrap()),
            _ => later.push(task),
        }
    }
    assert!(later.iter().all(|task| !task.is_finished()));
    progress.report(Projection::RoomEvents, P0, 2);
    for task in later {
        assert!(task.await.unwrap().unwrap());
    }
}

#[tokio::test]
async fn without_reports_the_store_is_polled() {
    let (progress, store) = (Arc::new(Progress::default()), Arc::new(CursorOnly::default()));
    let waiting = wait(&progress, &store, 5, LONG);
    store.until_asked(2).await;
    store.next_offset.store(5, Ordering::SeqCst);
    store.until_asked(store.asked() + 2).await;
    assert!(!waiting.is_finished(), "offset 5 is not below 5");
    store.next_offset.store(6, Ordering::SeqCst);
    assert!(waiting.await.unwrap().unwrap());
    assert_eq!(progress.reached(Projection::RoomEvents, P0), 6, "who asked tells the others");
}

#[tokio::test]
async fn reports_that_do_not_suffice_do_not_ask_the_store() {
    const REPORTS: u64 = 1_000;
    let (progress, store) = (Arc::new(Progress::default()), Arc::new(CursorOnly::default()));
    let start = Instant::now();
    let waiting = wait(&progress, &store, REPORTS, LONG);
    for next_offset in 1..=REPORTS + 1 {
        progress.report(Projection::RoomEvents, P0, next_offset);
        tokio::task::yield_now().await;
    }
    assert!(waiting.await.unwrap().unwrap());
    let polls = 2 + start.elapsed().as_millis() as u64 / 20;
    assert!(store.asked() <= polls, "asked {} times, at most {polls} polls", store.asked());
}

#[tokio::test]
async fn at_the_deadline_it_is_not_covered() {
    let (progress, store) = (Arc::new(Progress::default()), Arc::new(CursorOnly::default()));
    let start = Instant::now();
    assert!(!wait(&progress, &store, 0, SHORT).await.unwrap().unwrap());
    assert!(start.elapsed() >= SHORT);
    // One that has passed: what is there is still found, once.
    let passed = Instant::now();
    let asked = store.asked();
    assert!(!progress.rooms_cover(&*store, P0, 0, passed).await.unwrap());
    assert_eq!(store.asked(), asked + 1);
    store.next_offset.store(1, Ordering::SeqCst);
    assert!(progress.rooms_cover(&*store, P0, 0, passed).await.unwrap());
}

#[tokio::test]
async fn a_store_that_fails_fails_the_wait() {
    let (progress, store) = (Progress::default(), CursorOnly::default());
    store.next_offset.store(u64::MAX, Ordering::SeqCst);
    let failed = progress.rooms_cover(&store, P0, 0, Instant::now() + LONG).await;
    assert!(matches!(failed, Err(StoreError::Unavailable { .. })), "{failed:?}");
    // What was reported needs no store.
    progress.report(Projection::RoomEvents, P0, 1);
    assert!(progress.rooms_cover(&store, P0, 0, Instant::now() + LONG).await.unwrap());
}

#[tokio::test]
async fn the_directory_is_waited_for_in_the_same_way() {
    let folder = TempDir::new().unwrap();
    let store = Arc::new(SqliteDirectoryStore::open(folder.path()).await.unwrap());
    let progress = Arc::new(Progress::default());
    // Rooms that are far enough do not count for it.
    progress.report(Projection::RoomEvents, P0, 9);
    let covers = {
        let (progress, store) = (progress.clone(), store.clone());
        let deadline = Instant::now() + LONG;
        tokio::spawn(async move { progress.directory_covers(&*store, P0, 3, deadline).await })
    };
    let batch = DirectoryBatch { expected_offset: 0, cursor: cursor(4), changes: Vec::new() };
    store.apply(batch).await.unwrap();
    assert!(covers.await.unwrap().unwrap());
}
