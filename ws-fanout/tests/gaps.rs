//! What cannot be filled is said.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::sync::atomic::Ordering;

use bytes::Bytes;
use common::faults::FaultyRooms;
use common::{Fixture, Server};
use roomlog_projectors::testing::sqlite_quarantine;
use roomlog_schemas::{History, RoomId};
use roomlog_stores::progress::Projection;
use roomlog_stores::quarantine::{Entry, Quarantine, Scope, Subject};
use roomlog_ws_fanout::{FanoutDeps, Options};
use serde_json::json;

#[tokio::test]
async fn rows_that_the_store_lacks_are_a_gap() {
    let mut f = Fixture::running().await;
    let alice = f.world.register(Some("alice")).await;
    let room = f.world.create_room(alice, None, History::FromBeginning, "Lounge").await;
    f.send(room, alice, 10).await;
    f.projected().await;
    let rooms = FaultyRooms::new(f.stores.rooms.clone());
    *rooms.lacking.lock().unwrap() = [1, 4, 5, 11, 12].into();
    let server = f.serve_over(rooms.clone(), Options { ring_events: 2, ..Options::default() }).await;
    let (mut client, _) = f.start(&server, alice, &[(room, 0)]).await;
    let expected = ["1-1 gap", "2", "3", "4-5 gap", "6", "7", "8", "9", "10", "11-12 gap"];
    assert_eq!(client.seqs(expected.len()).await, expected);
    f.send(room, alice, 1).await;
    assert_eq!(client.seqs(1).await, ["13"]);

    // Up to what the ring still has.
    *rooms.lacking.lock().unwrap() = (1..=100).collect();
    f.send(room, alice, 7).await;
    server.has_processed(&f.log()).await;
    let (mut client, _) = f.start(&server, alice, &[(room, 9)]).await;
    assert_eq!(
        client.next().await,
        json!({"type": "gap", "room_id": room.to_string(), "from": 10, "to": 18, "reason": "lost"})
    );
    assert_eq!(client.seqs(2).await, ["19", "20"]);
}

#[tokio::test]
async fn rows_that_cannot_be_decoded_are_a_gap() {
    let mut f = Fixture::running().await;
    let alice = f.world.register(Some("alice")).await;
    let room = f.world.create_room(alice, None, History::FromBeginning, "Lounge").await;
    f.send(room, alice, 6).await;
    f.projected().await;
    let rooms = FaultyRooms::new(f.stores.rooms.clone());
    *rooms.bad.lock().unwrap() = [2, 5, 8].into();
    let server = f.serve_over(rooms.clone(), Options { ring_events: 2, ..Options::default() }).await;
    let (mut client, _) = f.start(&server, alice, &[(room, 0)]).await;
    let expected = ["1", "2-2 gap", "3", "4", "5-5 gap", "6", "7", "8-8 gap"];
    assert_eq!(client.seqs(expected.len()).await, expected);
    f.send(room, alice, 1).await;
    assert_eq!(client.seqs(1).await, ["9"]);
}

#[tokio::test]
async fn a_removal_in_a_gap_ends_the_room() {
    let mut f = Fixture::running().await;
    let alice = f.world.register(Some("alice")).await;
    let bob = f.world.register(Some("bob")).await;
    let room = f.world.create_room(alice, None, History::FromBeginning, "Lounge").await;
    f.world.join(room, bob).await;
    let rooms = FaultyRooms::new(f.stores.rooms.clone());
    *rooms.lacking.lock().unwrap() = (4..=20).collect();
    let (sealer, keys) = f.keys_that_can_go_away().await;
    let deps = FanoutDeps { rooms, sealer, ..f.deps() };
    let server = Server::start(deps, Options { ring_events: 1, ..Options::default() }).await;
    let (mut client, _) = f.start(&server, bob, &[]).await;
    // Without a key bob's socket does not come to the removal before the ring has let go of it.
    keys.is_away.store(true, Ordering::SeqCst);
    f.send(room, alice, 2).await;
    f.world.leave(room, bob).await;
    f.send(room, alice, 3).await;
    server.has_processed(&f.log()).await;
    f.projected().await;
    keys.is_away.store(false, Ordering::SeqCst);
    assert_eq!(client.seqs(1).await, ["4-6 gap"]);
    f.send(room, alice, 1).await;
    server.has_processed(&f.log()).await;
    client.nothing().await;
}

const ROOMS: Scope = Scope::current(Projection::RoomEvents);
/// Behind whatever the log holds.
const KEPT: u64 = 1_000;

async fn put_into_quarantine(f: &Fixture, quarantine: &Quarantine, root: RoomId) {
    let entry = Entry {
        subject: Subject::root(root),
        partition: f.world.log.room_partition(root),
        offset: KEPT,
        record_time_ms: 0,
        record: Bytes::from_static(b"record"),
        error: Some("a test says so".into()),
        rooms: vec![],
    };
    assert!(quarantine.store().put(ROOMS, &[entry]).await.unwrap());
    quarantine.refresh().await.unwrap();
}

async fn lift(quarantine: &Quarantine, root: RoomId) {
    assert!(quarantine.store().remove(ROOMS, Subject::root(root), KEPT).await.unwrap());
    quarantine.refresh().await.unwrap();
}

#[tokio::test]
async fn a_room_in_quarantine_is_a_gap_and_the_others_go_on() {
    let mut f = Fixture::running().await;
    let alice = f.world.register(Some("alice")).await;
    let root = f.world.create_room(alice, None, History::FromBeginning, "Root").await;
    let sub = f.world.create_room(alice, Some(root), History::FromBeginning, "Sub").await;
    let other = f.world.create_room(alice, None, History::FromBeginning, "Other").await;
    for room in [root, sub, other] {
        f.send(room, alice, 3).await;
    }
    f.projected().await;
    let folder = tempfile::tempdir().unwrap();
    let quarantine = sqlite_quarantine(folder.path()).await;
    put_into_quarantine(&f, &quarantine, root).await;
    let rooms = quarantine.guard_rooms(f.stores.rooms.clone());
    let server = f.serve_over(rooms, Options::default()).await;

    let since = [(root, 3), (sub, 4), (other, 2)];
    let (mut client, started) = f.start(&server, alice, &since).await;
    assert_eq!(started["rooms"], json!({other.to_string(): 3}));
    assert_eq!(started["not_member"], json!([]), "that cannot be told");
    let mut gaps = [client.next().await, client.next().await];
    gaps.sort_by_key(|gap| gap["from"].as_u64());
    let gap = |room: RoomId, from: u64| json!({"type": "gap", "room_id": room.to_string(), "from": from, "reason": "quarantined"});
    assert_eq!(gaps, [gap(root, 4), gap(sub, 5)]);
    assert_eq!(client.seqs(3).await, ["3", "4", "5"]);
    f.send(root, alice, 1).await;
    f.send(other, alice, 1).await;
    assert_eq!(client.seqs(1).await, ["6"]);
    client.nothing().await;

    lift(&quarantine, root).await;
    f.projected().await;
    let (mut client, started) = f.start(&server, alice, &since[..1]).await;
    assert_eq!(started["rooms"][root.to_string()], 4);
    assert_eq!(client.seqs(3).await, ["4", "5", "6"]);
}

#[tokio::test]
async fn a_room_that_goes_to_quarantine_during_a_resume_is_a_gap_from_there_on() {
    let mut f = Fixture::running().await;
    let alice = f.world.register(Some("alice")).await;
    let room = f.world.create_room(alice, None, History::FromBeginning, "Lounge").await;
    f.send(room, alice, 3).await;
    f.projected().await;
    let folder = tempfile::tempdir().unwrap();
    let quarantine = sqlite_quarantine(folder.path()).await;
    let rooms = FaultyRooms::new(f.stores.rooms.clone());
    let server = f.serve_over(quarantine.guard_rooms(rooms.clone()), Options::default()).await;
    let mut client = f.open(&server, alice).await;
    rooms.is_away.store(true, Ordering::SeqCst);
    let started = client.start(&[(room, 1)]).await;
    assert_eq!(started["rooms"][room.to_string()], 2);
    put_into_quarantine(&f, &quarantine, room).await;
    rooms.is_away.store(false, Ordering::SeqCst);
    assert_eq!(
        client.next().await,
        json!({"type": "gap", "room_id": room.to_string(), "from": 2, "reason": "quarantined"})
    );
    f.send(room, alice, 1).await;
    server.has_processed(&f.log()).await;
    client.nothing().await;

    lift(&quarantine, room).await;
    f.projected().await;
    let (mut client, _) = f.start(&server, alice, &[(room, 1)]).await;
    assert_eq!(client.seqs(4).await, ["2", "3", "4", "5"]);
}
