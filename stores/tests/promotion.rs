//! A build counts once it is on the disk, not before.

// Clippy knows the tests themselves, not what they share.
#![allow(clippy::unwrap_used)]

mod backends;

use std::path::Path;
use std::sync::Arc;

use backends::Sqlite;
use roomlog_eventlog::{Cursor, LogIdentity, PartitionCounts, TopicPartition};
use roomlog_stores::conformance::Backend;
use roomlog_stores::directory::DirectoryBatch;
use roomlog_stores::rooms::RoomBatch;
use roomlog_stores::{DirectoryStore, RoomStore, StoreError};
use rusqlite::Connection;
use uuid::Uuid;

const P0: TopicPartition = TopicPartition::rooms(0);

fn cursor(next_offset: u64) -> Cursor {
    let partitions = PartitionCounts { accounts: 1, rooms: 1 };
    let identity = LogIdentity { log_id: Uuid::from_u128(1), partitions };
    Cursor { next_offset, ..Cursor::start(identity, P0) }
}

fn room_batch(expected_offset: u64) -> RoomBatch {
    let (events, messages, memberships, histories) = Default::default();
    let cursor = cursor(expected_offset + 1);
    RoomBatch { expected_offset, cursor, events, messages, memberships, histories }
}

fn directory_batch(expected_offset: u64) -> DirectoryBatch {
    DirectoryBatch { expected_offset, cursor: cursor(expected_offset + 1), changes: Vec::new() }
}

/// Another process, such as a back-up, that reads the file as it is now until this is dropped.
fn somebody_who_reads(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("BEGIN; SELECT count(*) FROM cursors").unwrap();
    connection
}

fn assert_unavailable(promoted: Result<(), StoreError>) {
    assert!(matches!(promoted, Err(StoreError::Unavailable { .. })), "{promoted:?}");
}

#[tokio::test]
async fn rooms_that_have_not_reached_the_disk_are_not_promoted() {
    let backend = Sqlite::new();
    let store: Arc<dyn RoomStore> = backend.open().await;
    let new = store.beside().await.unwrap();
    new.apply(room_batch(0)).await.unwrap();
    let reader = somebody_who_reads(&backend.0.path().join("room_events.v1.2.db"));
    new.apply(room_batch(1)).await.unwrap();
    assert_unavailable(store.promote().await);
    assert_eq!(store.cursor(P0).await.unwrap(), None, "the old one goes on");

    drop(reader);
    store.promote().await.unwrap();
    assert_eq!(store.cursor(P0).await.unwrap(), Some(cursor(2)));
}

#[tokio::test]
async fn a_directory_that_has_not_reached_the_disk_is_not_promoted() {
    let backend = Sqlite::new();
    let store: Arc<dyn DirectoryStore> = backend.open().await;
    let new = store.beside().await.unwrap();
    new.apply(directory_batch(0)).await.unwrap();
    let reader = somebody_who_reads(&backend.0.path().join("directory.v1.2.db"));
    new.apply(directory_batch(1)).await.unwrap();
    assert_unavailable(store.promote().await);
    assert_eq!(store.cursor(P0).await.unwrap(), None, "the old one goes on");

    drop(reader);
    store.promote().await.unwrap();
    assert_eq!(store.cursor(P0).await.unwrap(), Some(cursor(2)));
}
