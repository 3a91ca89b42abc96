//! Building a projection beside the old one, and putting it in its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use roomlog_eventlog::Cursor;

use crate::{Backend, ROOMS_0, Stored, directory, room, rooms};
use roomlog_stores::directory::{DirectoryBatch, DirectoryChange};
use roomlog_stores::rooms::RoomBatch;
use roomlog_stores::{DirectoryStore, RoomStore, StoreError};

/// What the two projections have in common.
#[async_trait]
pub trait Projection: Send + Sync + 'static {
    /// Stores something that [`shown`](Self::shown) tells from the rest, and moves the cursor on by one.
    async fn put(&self, from: u64, mark: u64) -> Result<(), StoreError>;

    /// The last mark, if there is any.
    async fn shown(&self) -> Option<u64>;

    async fn stands_at(&self) -> Option<Cursor>;

    async fn build_beside(&self) -> Arc<Self>;

    async fn replace(&self) -> Result<(), StoreError>;
}

#[async_trait]
impl Projection for dyn RoomStore {
    async fn put(&self, from: u64, mark: u64) -> Result<(), StoreError> {
        let events = vec![rooms::event(room(1), mark)];
        self.apply(RoomBatch { events, ..rooms::batch(ROOMS_0, from, from + 1) }).await
    }

    async fn shown(&self) -> Option<u64> {
        self.seq_range(room(1)).await.stored().map(|(_, last)| last)
    }

    async fn stands_at(&self) -> Option<Cursor> {
        self.cursor(ROOMS_0).await.stored()
    }

    async fn build_beside(&self) -> Arc<Self> {
        self.beside().await.stored()
    }

    async fn replace(&self) -> Result<(), StoreError> {
        self.promote().await
    }
}

#[async_trait]
impl Projection for dyn DirectoryStore {
    async fn put(&self, from: u64, mark: u64) -> Result<(), StoreError> {
        let row = directory::room_row(1);
        let last = DirectoryChange::LastSeq { room_id: row.room_id, seq: mark };
        let changes = vec![DirectoryChange::Room(row), last];
        self.apply(DirectoryBatch { changes, ..directory::batch(from, from + 1) }).await
    }

    async fn shown(&self) -> Option<u64> {
        self.room(room(1)).await.stored().map(|row| row.last_seq)
    }

    async fn stands_at(&self) -> Option<Cursor> {
        self.cursor(ROOMS_0).await.stored()
    }

    async fn build_beside(&self) -> Arc<Self> {
        self.beside().await.stored()
    }

    async fn replace(&self) -> Result<(), StoreError> {
        self.promote().await
    }
}

/// A new build with these marks, one after the other.
async fn built<P: Projection + ?Sized>(old: &P, marks: &[u64]) -> Arc<P> {
    let new = old.build_beside().await;
    fill(&*new, marks).await;
    new
}

async fn fill<P: Projection + ?Sized>(store: &P, marks: &[u64]) {
    for (from, &mark) in (0..).zip(marks) {
        store.put(from, mark).await.stored();
    }
}

async fn next_offset<P: Projection + ?Sized>(store: &P) -> u64 {
    store.stands_at().await.map_or(0, |cursor| cursor.next_offset)
}

pub async fn a_build_is_seen_once_it_is_promoted<P: Projection + ?Sized>(backend: &dyn Backend<P>) {
    let store = backend.open().await;
    fill(&*store, &[10, 11, 12]).await;
    let new = built(&*store, &[20, 21]).await;
    assert_eq!((new.shown().await, next_offset(&*new).await), (Some(21), 2));
    assert_eq!((store.shown().await, next_offset(&*store).await), (Some(12), 3));

    // The old one goes on meanwhile.
    store.put(3, 13).await.stored();
    assert_eq!((new.shown().await, store.shown().await), (Some(21), Some(13)));

    store.replace().await.stored();
    assert_eq!((store.shown().await, next_offset(&*store).await), (Some(21), 2));
    store.put(2, 22).await.stored();
    assert_eq!(store.shown().await, Some(22));
}

pub async fn a_promoted_build_survives_a_restart<P: Projection + ?Sized>(backend: &dyn Backend<P>) {
    let store = backend.open().await;
    fill(&*store, &[10, 11, 12]).await;
    let new = built(&*store, &[20, 21]).await;
    store.replace().await.stored();
    drop((store, new));
    let store = backend.open().await;
    assert_eq!((store.shown().await, next_offset(&*store).await), (Some(21), 2));
    store.put(2, 22).await.stored();
    drop(store);
    assert_eq!(backend.open().await.shown().await, Some(22));
}

pub async fn a_build_that_was_not_promoted_leaves_nothing<P: Projection + ?Sized>(backend: &dyn Backend<P>) {
    let store = backend.open().await;
    fill(&*store, &[10]).await;
    let new = built(&*store, &[20, 21]).await;
    drop((store, new));
    let store = backend.open().await;
    assert_eq!((store.shown().await, next_offset(&*store).await), (Some(10), 1));
    // Neither may a later restart find what that build left.
    let new = built(&*store, &[30]).await;
    assert_eq!(new.shown().await, Some(30));
    store.replace().await.stored();
    drop((store, new));
    let store = backend.open().await;
    assert_eq!((store.shown().await, next_offset(&*store).await), (Some(30), 1));
}

pub async fn each_build_begins_empty<P: Projection + ?Sized>(backend: &dyn Backend<P>) {
    let store = backend.open().await;
    fill(&*store, &[10]).await;
    let first = built(&*store, &[20, 21]).await;
    drop(first);
    let second = store.build_beside().await;
    assert_eq!((second.shown().await, second.stands_at().await), (None, None));
    fill(&*second, &[30]).await;
    store.replace().await.stored();
    assert_eq!((store.shown().await, next_offset(&*store).await), (Some(30), 1));
}

/// Whoever still holds the first build can't harm the second.
pub async fn a_failed_build_does_not_stop_the_next_one<P: Projection + ?Sized>(backend: &dyn Backend<P>) {
    let store = backend.open().await;
    fill(&*store, &[10]).await;
    let first = built(&*store, &[20, 21]).await;
    let second = built(&*store, &[30]).await;
    // It may fail or go nowhere.
    let _ = first.put(2, 22).await;
    drop(first);
    second.put(1, 31).await.stored();
    store.replace().await.stored();
    drop(second);
    store.put(2, 32).await.stored();
    drop(store);
    let store = backend.open().await;
    assert_eq!((store.shown().await, next_offset(&*store).await), (Some(32), 3));
}

pub async fn twice_in_a_row<P: Projection + ?Sized>(backend: &dyn Backend<P>) {
    let store = backend.open().await;
    for round in [20, 30, 40] {
        let new = built(&*store, &[round, round + 1]).await;
        store.replace().await.stored();
        drop(new);
        assert_eq!((store.shown().await, next_offset(&*store).await), (Some(round + 1), 2));
        store.put(2, round + 2).await.stored();
    }
    drop(store);
    let store = backend.open().await;
    assert_eq!((store.shown().await, next_offset(&*store).await), (Some(42), 3));
}

pub async fn nothing_to_promote<P: Projection + ?Sized>(backend: &dyn Backend<P>) {
    let store = backend.open().await;
    fill(&*store, &[10]).await;
    store.replace().await.expect_err("nothing was built");
    drop(built(&*store, &[20]).await);
    store.replace().await.stored();
    store.replace().await.expect_err("what was built is in its place already");
    assert_eq!(store.shown().await, Some(20));
}

/// No reader fails, none sees less than what was whole, none goes back.
pub async fn readers_go_on_while_builds_are_promoted<P: Projection + ?Sized>(backend: &dyn Backend<P>) {
    let store = backend.open().await;
    fill(&*store, &[10]).await;
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..8)
        .map(|_| {
            let (store, done) = (store.clone(), done.clone());
            tokio::spawn(async move {
                let mut last = 10;
                while !done.load(Ordering::Acquire) {
                    let shown = store.shown().await.expect("there are rows at any time");
                    assert!(shown >= last && shown % 10 == 0, "{shown} after {last}");
                    last = shown;
                }
            })
        })
        .collect();
    for round in 2..12 {
        drop(built(&*store, &[round * 10]).await);
        store.replace().await.stored();
        assert_eq!(store.shown().await, Some(round * 10));
    }
    done.store(true, Ordering::Release);
    for reader in readers {
        reader.await.expect("a reader that goes on to the end");
    }
}
