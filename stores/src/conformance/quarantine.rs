//! What every quarantine promises.

use bytes::Bytes;
use roomlog_eventlog::TopicPartition;
use roomlog_schemas::RoomId;

use super::{Backend, P0, P1};
use crate::progress::Projection;
use crate::quarantine::{Entry, QuarantineStore, Scope, Subject};

type Backends = dyn Backend<dyn QuarantineStore>;

const ROOMS: Scope = Scope::current(Projection::RoomEvents);
const DIRECTORY: Scope = Scope::current(Projection::Directory);
const BESIDE: Scope = Scope::beside(Projection::Directory);
const A: Subject = Subject::root(RoomId::from_u128(0xa << 96));
const B: Subject = Subject::root(RoomId::from_u128(0xb << 96));
const SUB: RoomId = RoomId::from_u128((0xa << 96) + 1);

fn failed(subject: Subject, offset: u64) -> Entry {
    Entry { error: Some(format!("cannot use {offset}")), ..followed(subject, offset) }
}

fn followed(subject: Subject, offset: u64) -> Entry {
    Entry {
        subject,
        partition: P0,
        offset,
        record_time_ms: 1_000 + offset as i64,
        record: Bytes::from(format!("record {offset}\0\u{1}")),
        error: None,
        rooms: Vec::new(),
    }
}

async fn put(store: &dyn QuarantineStore, scope: Scope, entries: &[Entry]) {
    assert!(store.put(scope, entries).await.unwrap(), "{entries:?}");
}

async fn offsets(store: &dyn QuarantineStore, scope: Scope, subject: Subject) -> Vec<u64> {
    let entries = store.entries(scope, subject, 0, usize::MAX).await.unwrap();
    entries.iter().map(|entry| entry.offset).collect()
}

pub async fn a_new_quarantine_is_empty(backend: &Backends) {
    let store = backend.open().await;
    assert_eq!(store.list().await.unwrap(), []);
    assert_eq!(store.subjects(ROOMS, P0).await.unwrap(), []);
    assert_eq!(store.rooms(ROOMS).await.unwrap(), []);
    assert_eq!(store.entries(ROOMS, A, 0, 10).await.unwrap(), []);
    assert!(!store.is_quarantined(ROOMS, A).await.unwrap());
    assert_eq!(store.request_retry(Projection::RoomEvents, None).await.unwrap(), 0);
}

pub async fn what_is_kept_is_there_in_order_and_after_a_restart(backend: &Backends) {
    let mut entries = vec![
        Entry { rooms: vec![RoomId(A.0), SUB], ..failed(A, 3) },
        followed(A, 5),
        failed(A, 8),
        Entry { partition: TopicPartition::accounts(0), ..failed(B, 4) },
    ];
    let store = backend.open().await;
    put(&*store, ROOMS, &entries).await;
    drop(store);
    let store = backend.open().await;
    let b = entries.pop().unwrap();
    assert_eq!(store.entries(ROOMS, A, 0, 10).await.unwrap(), entries);
    assert_eq!(store.entries(ROOMS, A, 4, 1).await.unwrap(), entries[1..2]);
    assert_eq!(store.entries(ROOMS, A, 9, 10).await.unwrap(), []);
    assert_eq!(store.entries(ROOMS, B, 0, 10).await.unwrap(), [b]);
    assert!(store.is_quarantined(ROOMS, A).await.unwrap());
    assert!(!store.is_quarantined(DIRECTORY, A).await.unwrap());
    assert_eq!(store.subjects(ROOMS, P0).await.unwrap(), [A]);
    assert_eq!(store.subjects(ROOMS, TopicPartition::accounts(0)).await.unwrap(), [B]);
    assert_eq!(store.rooms(ROOMS).await.unwrap(), [(RoomId(A.0), A), (SUB, A)]);
    assert_eq!(store.rooms(DIRECTORY).await.unwrap(), []);
}

pub async fn a_list_counts_and_names_the_first_error(backend: &Backends) {
    let store = backend.open().await;
    put(&*store, ROOMS, &[failed(A, 7), followed(A, 8), failed(A, 9)]).await;
    put(&*store, DIRECTORY, &[Entry { partition: P1, ..failed(B, 2) }]).await;
    // A record from before the failure may be kept later, by one that starts again.
    put(&*store, ROOMS, &[followed(A, 6)]).await;
    let list = store.list().await.unwrap();
    assert_eq!(
        list.iter().map(|row| (row.projection, row.subject)).collect::<Vec<_>>(),
        [("directory", B), ("room_events", A)]
    );
    assert_eq!((list[0].partition, list[1].partition), (P1, P0));
    let row = &list[1];
    assert_eq!((row.records, row.first_offset, row.since_ms), (4, 6, 1_006));
    assert_eq!((row.error.as_str(), row.retry_requested, row.failed_retries), ("cannot use 7", false, 0));
}

pub async fn what_is_kept_already_stays_as_it_is(backend: &Backends) {
    let store = backend.open().await;
    put(&*store, ROOMS, &[failed(A, 1), followed(A, 2)]).await;
    put(&*store, ROOMS, &[Entry { error: Some("another".into()), ..failed(A, 1) }, followed(A, 2)]).await;
    let entries = store.entries(ROOMS, A, 0, 10).await.unwrap();
    assert_eq!(entries, [failed(A, 1), followed(A, 2)]);
}

pub async fn nothing_follows_where_nothing_failed(backend: &Backends) {
    let store = backend.open().await;
    put(&*store, ROOMS, &[failed(A, 1)]).await;
    assert!(!store.put(ROOMS, &[followed(A, 2), followed(B, 3)]).await.unwrap());
    assert_eq!(offsets(&*store, ROOMS, A).await, [1], "nothing of it was kept");
    assert!(!store.put(DIRECTORY, &[followed(A, 2)]).await.unwrap(), "another projection");
    assert!(!store.put(Scope::beside(Projection::RoomEvents), &[followed(A, 2)]).await.unwrap());
    assert!(store.remove(ROOMS, A, 1).await.unwrap());
    assert!(!store.put(ROOMS, &[followed(A, 2)]).await.unwrap(), "its quarantine is over");
    assert_eq!(store.list().await.unwrap(), []);
}

pub async fn a_quarantine_is_over_when_its_last_record_is_removed(backend: &Backends) {
    let store = backend.open().await;
    put(&*store, ROOMS, &[Entry { rooms: vec![SUB], ..failed(A, 1) }, followed(A, 4), failed(B, 2)]).await;
    assert!(!store.remove(ROOMS, A, 3).await.unwrap());
    assert_eq!(offsets(&*store, ROOMS, A).await, [4]);
    assert_eq!(store.rooms(ROOMS).await.unwrap(), []);
    assert!(store.is_quarantined(ROOMS, A).await.unwrap());
    assert!(store.remove(ROOMS, A, 4).await.unwrap());
    assert!(store.remove(ROOMS, A, 4).await.unwrap(), "as before");
    assert!(!store.is_quarantined(ROOMS, A).await.unwrap());
    assert_eq!(store.subjects(ROOMS, P0).await.unwrap(), [B]);
}

pub async fn a_retry_is_requested_and_ends(backend: &Backends) {
    let store = backend.open().await;
    put(&*store, ROOMS, &[failed(A, 1), followed(A, 2), failed(B, 3)]).await;
    put(&*store, DIRECTORY, &[failed(A, 1)]).await;
    let marks = async || -> Vec<_> {
        let list = store.list().await.unwrap();
        list.iter().map(|row| (row.retry_requested, row.failed_retries)).collect()
    };
    let projection = Projection::RoomEvents;
    assert_eq!(store.request_retry(projection, Some(B)).await.unwrap(), 1);
    assert_eq!(marks().await, [(false, 0), (false, 0), (true, 0)]);
    assert_eq!(store.request_retry(projection, None).await.unwrap(), 2);
    assert_eq!(marks().await, [(false, 0), (true, 0), (true, 0)]);
    assert!(store.take_retry(projection, A).await.unwrap());
    assert!(!store.take_retry(projection, A).await.unwrap(), "another took it");
    assert!(!store.take_retry(Projection::Directory, A).await.unwrap(), "nobody asked for it");
    assert_eq!(marks().await, [(false, 0), (false, 0), (true, 0)]);
    store.retry_failed(ROOMS, A, 2, "cannot use 2").await.unwrap();
    assert_eq!(marks().await, [(false, 0), (false, 1), (true, 0)]);
    let entries = store.entries(ROOMS, A, 0, 10).await.unwrap();
    assert_eq!(entries, [failed(A, 1), failed(A, 2)]);
    assert_eq!(store.request_retry(projection, Some(Subject::root(SUB))).await.unwrap(), 0);
}

pub async fn the_quarantine_of_a_rebuilt_projection_takes_the_place_of_the_old(backend: &Backends) {
    let store = backend.open().await;
    put(&*store, DIRECTORY, &[failed(A, 1), followed(A, 2)]).await;
    put(&*store, ROOMS, &[failed(A, 1)]).await;
    put(&*store, BESIDE, &[failed(A, 9)]).await;
    store.begin_beside(Projection::Directory).await.unwrap();
    assert_eq!(store.subjects(BESIDE, P0).await.unwrap(), [], "an earlier attempt is forgotten");

    put(&*store, BESIDE, &[Entry { rooms: vec![SUB], ..failed(B, 3) }, followed(B, 4)]).await;
    assert_eq!(store.subjects(DIRECTORY, P0).await.unwrap(), [A], "not yet");
    assert_eq!(store.list().await.unwrap().len(), 2);
    store.begin_promote(Projection::Directory).await.unwrap();
    store.begin_promote(Projection::Directory).await.unwrap();
    assert_eq!(store.subjects(DIRECTORY, P0).await.unwrap(), [A, B], "either may be what is read");
    store.finish_promote(Projection::Directory).await.unwrap();
    drop(store);
    let store = backend.open().await;
    assert_eq!(store.subjects(DIRECTORY, P0).await.unwrap(), [B]);
    assert_eq!(offsets(&*store, DIRECTORY, B).await, [3, 4]);
    assert_eq!(store.rooms(DIRECTORY).await.unwrap(), [(SUB, B)]);
    assert_eq!(store.subjects(BESIDE, P0).await.unwrap(), []);
    assert_eq!(offsets(&*store, ROOMS, A).await, [1], "another projection's stays");
}

pub async fn of_many_that_keep_the_same_each_is_content(backend: &Backends) {
    let store = backend.open().await;
    let keepers = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            for offset in 0..20 {
                put(&*store, ROOMS, &[failed(A, offset), followed(A, offset + 1)]).await;
            }
        })
    });
    for keeper in keepers.collect::<Vec<_>>() {
        keeper.await.unwrap();
    }
    assert_eq!(offsets(&*store, ROOMS, A).await, Vec::from_iter(0..=20));
}
