//! The room store's suite on CQL, and what is CQL's own. Skipped without `ROOMLOG_TEST_CQL`.

// Clippy knows the tests themselves, not what they share.
#![allow(clippy::unwrap_used)]

mod backends;
mod cql_story;

use std::sync::Arc;
use std::time::Duration;

use backends::cql::Cql;
use backends::{Sqlite, certificate};
use bytes::Bytes;
use cql_story::{P0, ROOMS, Story, assert_same, batch, cursor, cut_short, event, message};
use roomlog_schemas::RoomId;
use roomlog_stores::cql::{CqlConfig, CqlRoomStore};
use roomlog_stores::rooms::{Page, RoomBatch};
use roomlog_stores::sqlite::SqliteRoomStore;
use roomlog_stores::{RoomStore, StoreError, room_store_conformance};
use tokio::time::Instant;
use uuid::Uuid;

room_store_conformance!(conformance, Cql::new());

/// Far longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const A: RoomId = ROOMS[0];

fn seqs<T>(rows: &[T], seq: impl Fn(&T) -> u64) -> Vec<u64> {
    rows.iter().map(seq).collect()
}

async fn event_seqs(store: &dyn RoomStore, from: u64, limit: usize) -> Vec<u64> {
    seqs(&store.events(A, from, limit).await.unwrap(), |event| event.seq)
}

async fn message_seqs(store: &dyn RoomStore, page: Page, limit: usize) -> Vec<u64> {
    seqs(&store.messages(A, page, limit).await.unwrap(), |message| message.seq)
}

#[tokio::test]
async fn pages_cross_the_borders_of_buckets() {
    let Some(mut backend) = Cql::new() else { return };
    backend.config.bucket = 4;
    let store = backend.store().await;
    for seq in 1..=18 {
        store.apply(RoomBatch { events: vec![event(A, seq, seq)], ..batch(seq - 1, seq) }).await.unwrap();
    }
    for from in 0..=20 {
        for limit in [0, 1, 3, 4, 5, 9, 100] {
            let expected: Vec<u64> = (from.max(1)..=18).take(limit).collect();
            assert_eq!(event_seqs(&store, from, limit).await, expected, "from {from}, {limit} of them");
        }
    }
    assert_eq!(store.seq_range(A).await.unwrap(), Some((1, 18)));

    // Buckets without messages between those that have some.
    let sparse = [3, 4, 5, 40, 43, 44, 300, 301];
    let messages = sparse.iter().map(|&seq| message(A, seq, "text")).collect();
    store.apply(RoomBatch { messages, ..batch(18, 19) }).await.unwrap();
    for edge in [0, 1, 3, 4, 5, 6, 39, 40, 41, 44, 45, 250, 300, 301, 302, 1_000, u64::MAX] {
        for limit in [1, 2, 3, 5, 100] {
            let older: Vec<u64> = sparse.into_iter().filter(|&seq| seq < edge).collect();
            let older = &older[older.len().saturating_sub(limit)..];
            assert_eq!(message_seqs(&store, Page::Before(edge), limit).await, older, "{limit} before {edge}");
            let newer: Vec<u64> = sparse.into_iter().filter(|&seq| seq > edge).take(limit).collect();
            assert_eq!(message_seqs(&store, Page::After(edge), limit).await, newer, "{limit} after {edge}");
        }
    }
    assert_eq!(message_seqs(&store, Page::Latest, 4).await, [43, 44, 300, 301]);
}

#[tokio::test]
async fn a_bucket_size_that_changes_takes_effect_at_the_next_rebuild() {
    let Some(mut backend) = Cql::new() else { return };
    backend.config.bucket = 4;
    let store = backend.store().await;
    let events = |to| (1..=to).map(|seq| event(A, seq, seq)).collect();
    store.apply(RoomBatch { events: events(9), ..batch(0, 1) }).await.unwrap();
    backend.config.bucket = 5;
    let store = backend.store().await;
    assert_eq!(event_seqs(&store, 3, 4).await, [3, 4, 5, 6]);
    let new = store.beside().await.unwrap();
    new.apply(RoomBatch { events: events(12), ..batch(0, 1) }).await.unwrap();
    store.promote().await.unwrap();
    assert_eq!(event_seqs(&backend.store().await, 3, 100).await, Vec::from_iter(3..=12));
}

#[tokio::test]
async fn a_replay_in_batches_of_any_size_gives_the_same_rows() {
    let Some(backend) = Cql::new() else { return };
    let (model, story) = (Sqlite::new(), Story::new(60));
    let model = SqliteRoomStore::open(model.0.path()).await.unwrap();
    story.apply(&model, &[60]).await;
    let store = backend.store().await;
    for sizes in [&[60][..], &[1], &[7, 2, 11]] {
        let beside = store.beside().await.unwrap();
        story.apply(&*beside, sizes).await;
        assert_same(&*beside, &model).await;
        store.promote().await.unwrap();
    }
    assert_same(&store, &model).await;
}

#[tokio::test]
async fn a_batch_cut_short_anywhere_leaves_no_hole_and_is_made_up_for() {
    let Some(backend) = Cql::new() else { return };
    let (model, story) = (Sqlite::new(), Story::new(60));
    let model = SqliteRoomStore::open(model.0.path()).await.unwrap();
    let store = backend.store().await;
    let mut polls = 1;
    let mut at = 0;
    while at < 60 {
        let end = (at + 25).min(60);
        // The store is dropped with the attempt, as with a process that was killed.
        let attempt = CqlRoomStore::open(backend.config.clone()).await.unwrap();
        let is_done = cut_short(attempt.apply(story.batch(at, end)), polls).await;
        story.assert_whole(&store).await;
        // The next one goes by other batches.
        let stored = store.cursor(P0).await.unwrap().map_or(0, |cursor| cursor.next_offset);
        assert!(stored == at || stored == end, "{stored} is neither {at} nor {end}");
        assert!(!is_done || stored == end);
        at = match stored == at && polls % 3 == 0 {
            true => {
                store.apply(story.batch(at, at + 1)).await.unwrap();
                at + 1
            }
            false => stored,
        };
        polls += 1;
    }
    story.apply(&model, &[60]).await;
    assert_same(&store, &model).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_that_race_give_the_same_rows_and_the_cursor_never_goes_back() {
    let Some(backend) = Cql::new() else { return };
    let (model, story) = (Sqlite::new(), Arc::new(Story::new(120)));
    let model = SqliteRoomStore::open(model.0.path()).await.unwrap();
    story.apply(&model, &[120]).await;
    let racers = [3, 5].map(|size| {
        let (config, story) = (backend.config.clone(), story.clone());
        tokio::spawn(async move {
            let store = CqlRoomStore::open(config).await.unwrap();
            let mut at = 0;
            let mut moved = 0;
            while at < 120 {
                let end = (at + size).min(120);
                at = match store.apply(story.batch(at, end)).await {
                    Ok(()) => end,
                    Err(StoreError::CursorMoved { expected, found, .. }) => {
                        assert_eq!(expected, at);
                        assert_ne!(found, at);
                        moved += 1;
                        found
                    }
                    Err(error) => panic!("{error}"),
                };
            }
            moved
        })
    });
    let watcher = backend.store().await;
    let mut last = 0;
    let deadline = Instant::now() + PATIENCE;
    while last < 120 {
        assert!(Instant::now() < deadline, "the cursor stays at {last}");
        let cursor = watcher.cursor(P0).await.unwrap().map_or(0, |cursor| cursor.next_offset);
        assert!(cursor >= last, "from {last} back to {cursor}");
        last = cursor;
        story.assert_whole(&watcher).await;
    }
    let mut moved = 0;
    for racer in racers {
        moved += racer.await.unwrap();
    }
    assert!(moved > 0, "they were in each other's way");
    assert_same(&watcher, &model).await;
}

#[tokio::test]
async fn a_promotion_is_noticed_by_other_stores() {
    let Some(backend) = Cql::new() else { return };
    let (store, other) = (backend.store().await, backend.store().await);
    let event = |seq| vec![event(A, seq, seq)];
    store.apply(RoomBatch { events: event(1), ..batch(0, 1) }).await.unwrap();
    assert_eq!(other.seq_range(A).await.unwrap(), Some((1, 1)));
    let beside = store.beside().await.unwrap();
    beside.apply(RoomBatch { events: event(2), ..batch(0, 7) }).await.unwrap();
    assert_eq!(other.seq_range(A).await.unwrap(), Some((1, 1)));
    store.promote().await.unwrap();

    // The other one has not heard of it, and its batch fits what it knows.
    match other.apply(RoomBatch { events: event(2), ..batch(1, 2) }).await {
        Err(StoreError::CursorMoved { expected: 1, found: 7, .. }) => {}
        result => panic!("{result:?}"),
    }
    other.apply(RoomBatch { events: event(3), ..batch(7, 8) }).await.unwrap();
    assert_eq!(store.seq_range(A).await.unwrap(), Some((2, 3)));

    // A reader that never writes.
    let (reader, beside) = (backend.store().await, store.beside().await.unwrap());
    beside.apply(batch(0, 9)).await.unwrap();
    store.promote().await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while reader.cursor(P0).await.unwrap() != Some(cursor(9)) {
        assert!(Instant::now() < deadline, "still on the old generation");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn of_two_builds_at_once_the_later_one_counts() {
    let Some(backend) = Cql::new() else { return };
    let (store, other) = (backend.store().await, backend.store().await);
    let earlier = store.beside().await.unwrap();
    earlier.apply(batch(0, 3)).await.unwrap();
    let later = other.beside().await.unwrap();
    assert!(matches!(earlier.apply(batch(3, 4)).await, Err(StoreError::Damaged { .. })));
    assert!(matches!(store.promote().await, Err(StoreError::Damaged { .. })));
    later.apply(batch(0, 5)).await.unwrap();
    other.promote().await.unwrap();
    assert_eq!(backend.store().await.cursor(P0).await.unwrap(), Some(cursor(5)));
    // What was replaced takes no more.
    assert!(matches!(store.promote().await, Err(StoreError::Damaged { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replaced_tables_go_and_readers_go_on() {
    let Some(mut backend) = Cql::new() else { return };
    backend.config.retire_after = Duration::ZERO;
    let store = backend.store().await;
    let events = || (1..=5).map(|seq| event(A, seq, seq)).collect();
    store.apply(RoomBatch { events: events(), ..batch(0, 5) }).await.unwrap();
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let reader = backend.store().await;
    let reading = tokio::spawn({
        let done = done.clone();
        async move {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                assert_eq!(event_seqs(&reader, 1, 9).await, [1, 2, 3, 4, 5]);
            }
        }
    });
    for _ in 0..2 {
        let beside = store.beside().await.unwrap();
        beside.apply(RoomBatch { events: events(), ..batch(0, 5) }).await.unwrap();
        store.promote().await.unwrap();
        // Whoever opens the store cleans up.
        backend.store().await;
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    reading.await.unwrap();

    let cql = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?";
    let session = backend.session().await;
    let result = session.query_unpaged(cql, (&backend.config.keyspace,)).await.unwrap();
    let tables = result.into_rows_result().unwrap();
    let tables: Vec<String> = tables.rows::<(String,)>().unwrap().map(|row| row.unwrap().0).collect();
    let of_generation = |number: &str| tables.iter().filter(|table| table.ends_with(number)).count();
    assert_eq!((of_generation("_g1"), of_generation("_g2")), (0, 0), "{tables:?}");
    assert!(of_generation("_g3") > 0, "{tables:?}");
}

#[tokio::test]
async fn a_large_batch_is_one_batch() {
    let Some(backend) = Cql::new() else { return };
    let store = backend.store().await;
    let mut large = batch(0, 4_000);
    for offset in 0..3_000 {
        let room = ROOMS[offset as usize % ROOMS.len()];
        let mut row = event(room, offset / ROOMS.len() as u64 + 1, offset);
        row.event = Bytes::from(vec![offset as u8; 1_000]);
        large.events.push(row);
    }
    for seq in 1..=40 {
        large.messages.push(message(A, seq, &"x".repeat(64 * 1024)));
    }
    store.apply(large.clone()).await.unwrap();
    for room in ROOMS {
        let mut expected = large.events.clone();
        expected.retain(|event| event.room_id == room);
        assert!(store.events(room, 0, 10_000).await.unwrap() == expected, "events of {room}");
    }
    assert!(store.messages(A, Page::Latest, 100).await.unwrap() == large.messages);
    let ids: Vec<_> = large.messages.iter().map(|message| message.message_id).collect();
    assert_eq!(store.known_messages(A, &ids).await.unwrap(), ids);
}

/// Processes that start at the same time.
const RACERS: usize = 8;

/// All of them open the same store, which is one.
async fn race(backend: &Cql) {
    let opening: Vec<_> =
        (0..RACERS).map(|_| tokio::spawn(CqlRoomStore::open(backend.config.clone()))).collect();
    let mut stores = Vec::new();
    for store in opening {
        stores.push(store.await.unwrap().unwrap());
    }
    stores[0].apply(batch(0, 3)).await.unwrap();
    for store in stores {
        assert_eq!(store.cursor(P0).await.unwrap(), Some(cursor(3)));
    }
    let generations = format!("SELECT generation FROM {}.generations", backend.config.keyspace);
    let result = backend.session().await.query_unpaged(generations, ()).await.unwrap();
    assert_eq!(result.into_rows_result().unwrap().rows_num(), 1, "one of them made the tables");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_make_the_keyspace_at_once() {
    let Some(backend) = Cql::new() else { return };
    race(&backend).await;
}

/// Of a first start that was interrupted somewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_complete_what_one_began() {
    let Some(backend) = Cql::new() else { return };
    let keyspace = &backend.config.keyspace;
    let session = backend.session().await;
    for cql in [
        format!(
            "CREATE KEYSPACE {keyspace} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
        ),
        format!(
            "CREATE TABLE {keyspace}.migrations (
                store text, version int, what text, PRIMARY KEY (store, version))"
        ),
    ] {
        session.query_unpaged(cql, ()).await.unwrap();
    }
    race(&backend).await;
}

/// Two nodes that make one of them at the same time would otherwise give it two ids.
#[tokio::test]
async fn the_first_tables_have_ids_that_follow_from_their_names() {
    let Some(backend) = Cql::new() else { return };
    let ids = async || {
        Box::pin(backend.store()).await;
        let cql = "SELECT id FROM system_schema.tables WHERE keyspace_name = ? AND table_name IN ('locks', 'migrations')";
        let session = backend.session().await;
        let result = session.query_unpaged(cql, (&backend.config.keyspace,)).await.unwrap();
        let ids = result.into_rows_result().unwrap();
        ids.rows::<(Uuid,)>().unwrap().map(|row| row.unwrap().0).collect::<Vec<_>>()
    };
    let first = ids().await;
    assert_eq!(first.len(), 2);
    let drop = format!("DROP KEYSPACE {}", backend.config.keyspace);
    backend.session().await.query_unpaged(drop, ()).await.unwrap();
    assert_eq!(ids().await, first);
}

#[tokio::test]
async fn a_row_that_cannot_be_decoded_is_told_from_a_store_that_is_damaged() {
    let Some(backend) = Cql::new() else { return };
    let store = backend.store().await;
    let events = vec![event(A, 1, 0), event(ROOMS[1], 1, 1)];
    store.apply(RoomBatch { events, ..batch(0, 2) }).await.unwrap();
    let (keyspace, session) = (&backend.config.keyspace, backend.session().await);
    let (room, bad) = (A.0, "the row has no event");
    session
        .query_unpaged(
            format!(
                "DELETE event FROM {keyspace}.room_events_v1_g1 WHERE room_id = ? AND bucket = 0 AND seq = 1"
            ),
            (room,),
        )
        .await
        .unwrap();
    let read = store.events(A, 1, 10).await;
    assert!(matches!(read, Err(StoreError::BadRow { .. })), "{bad}: {read:?}");
    let root = roomlog_stores::quarantine::root_of(&store, A).await;
    assert!(matches!(root, Err(StoreError::BadRow { .. })), "{root:?}");
    // Whatever does not need the row goes on.
    assert_eq!(store.seq_range(A).await.unwrap(), Some((1, 1)));
    assert_eq!(store.events(ROOMS[1], 1, 10).await.unwrap().len(), 1);
    store.apply(RoomBatch { events: vec![event(A, 2, 2)], ..batch(2, 3) }).await.unwrap();
    assert_eq!(event_seqs(&store, 2, 10).await, [2]);
}

#[tokio::test]
async fn a_keyspace_of_a_newer_build_is_refused() {
    let Some(backend) = Cql::new() else { return };
    backend.store().await;
    let keyspace = &backend.config.keyspace;
    let cql = format!("INSERT INTO {keyspace}.migrations (store, version) VALUES ('room', 9)");
    backend.session().await.query_unpaged(cql, ()).await.unwrap();
    let error = CqlRoomStore::open(backend.config.clone()).await.err();
    assert!(matches!(error, Some(StoreError::NewerVersion { found: 9, known: 1, .. })), "{error:?}");
}

fn assert_refused(opened: Result<CqlRoomStore, StoreError>) {
    let error = opened.err();
    assert!(matches!(error, Some(StoreError::Refused { .. })), "{error:?}");
}

#[tokio::test]
async fn a_server_that_does_not_take_the_replication_refuses() {
    for replication in ["{'class':'NoSuchStrategy'}", "{'class':'SimpleStrategy','replication_factor':'x'}"] {
        let Some(mut backend) = Cql::new() else { return };
        backend.config.replication = replication.into();
        assert_refused(CqlRoomStore::open(backend.config.clone()).await);
    }
}

#[tokio::test]
async fn a_node_and_a_client_know_each_other_by_their_certificates() {
    let Some(backend) = Cql::over_tls() else { return };
    let store = backend.store().await;
    store.apply(RoomBatch { events: vec![event(A, 1, 1)], ..batch(0, 1) }).await.unwrap();
    assert_eq!(event_seqs(&store, 0, 10).await, [1]);

    let config = &backend.config;
    let (cert, key) = (Some(certificate("foreign.pem")), Some(certificate("foreign.key")));
    let ca = Some(certificate("foreign-ca.pem"));
    for (who, not_known) in [
        ("a foreign node", CqlConfig { tls_ca: ca, ..config.clone() }),
        ("a foreign client", CqlConfig { tls_cert: cert, tls_key: key, ..config.clone() }),
        ("a client without a name", CqlConfig { tls_cert: None, tls_key: None, ..config.clone() }),
    ] {
        let error = CqlRoomStore::open(not_known).await.err();
        assert!(matches!(error, Some(StoreError::Unavailable { .. })), "{who}: {error:?}");
    }
}

#[tokio::test]
async fn a_node_is_reached_where_the_translation_says() {
    let Some(mut backend) = Cql::new() else { return };
    let node = backend.session().await.get_cluster_state().get_nodes_info()[0].address.ip();
    let (way, connections) = forward(backend.config.nodes[0].clone()).await;
    backend.config.address_translation = [(node, way)].into();
    let store = backend.store().await;
    store.apply(RoomBatch { events: vec![event(A, 1, 1)], ..batch(0, 1) }).await.unwrap();
    assert_eq!(event_seqs(&store, 0, 10).await, [1]);
    assert!(connections.load(std::sync::atomic::Ordering::Relaxed) > 0, "the way was not taken");
}

/// A way to a server; counts who takes it.
async fn forward(server: String) -> (std::net::SocketAddr, Arc<std::sync::atomic::AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = connections.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let server = server.clone();
            tokio::spawn(async move {
                let mut server = tokio::net::TcpStream::connect(server).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (address, connections)
}

/// Needs no server: it is refused before one is asked.
#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let config = CqlConfig::new(vec!["127.0.0.1:1".into()], "roomlog");
    let (some, none) = (|text: &str| Some(text.to_owned()), Vec::new());
    for wrong in [
        CqlConfig { nodes: none, ..config.clone() },
        CqlConfig { keyspace: "Rooms; DROP".into(), ..config.clone() },
        CqlConfig { keyspace: "x".repeat(49), ..config.clone() },
        CqlConfig { replication: "three".into(), ..config.clone() },
        CqlConfig { replication: "0".into(), ..config.clone() },
        CqlConfig { user: some("roomlog"), ..config.clone() },
        CqlConfig { tls_cert: Some("cert.pem".into()), ..config.clone() },
        CqlConfig { tls_ca: Some("no/such/file.pem".into()), ..config.clone() },
        CqlConfig { bucket: 0, ..config.clone() },
        CqlConfig { max_in_flight: 0, ..config.clone() },
    ] {
        assert_refused(CqlRoomStore::open(wrong).await);
    }
}

#[tokio::test]
async fn a_cluster_that_cannot_be_reached_is_unavailable() {
    // Nobody listens there: the listener is gone when this is asked for.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = CqlConfig::new(vec![format!("127.0.0.1:{port}")], "roomlog");
    let error = CqlRoomStore::open(config).await.err();
    assert!(matches!(error, Some(StoreError::Unavailable { .. })), "{error:?}");
}
