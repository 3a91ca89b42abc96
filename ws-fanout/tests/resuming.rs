//! Resumes from ring, store and both, also where this instance is behind.

mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use common::client::texts;
use common::faults::{FaultyLog, FaultyRooms, LogState};
use common::{Fixture, Server};
use roomlog_schemas::{AccountId, History, RoomId};
use roomlog_ws_fanout::{FanoutDeps, Options};
use serde_json::json;

/// A room with its owner.
async fn room(f: &mut Fixture) -> (AccountId, RoomId) {
    let alice = f.world.register(Some("alice")).await;
    (alice, f.world.create_room(alice, None, History::FromBeginning, "Lounge").await)
}

#[tokio::test]
async fn what_the_ring_holds_needs_no_store() {
    let mut f = Fixture::running().await;
    let rooms = FaultyRooms::new(f.stores.rooms.clone());
    let server = f.serve_over(rooms.clone(), Options::default()).await;
    let (alice, room) = room(&mut f).await;
    f.send(room, alice, 100).await;
    server.has_processed(&f.log()).await;
    let (mut client, _) = f.start(&server, alice, &[(room, 0)]).await;
    assert_eq!(client.up_to(102).await, texts(1..=102));
    let (mut client, started) = f.start(&server, alice, &[]).await;
    assert_eq!(started["rooms"][room.to_string()], 103);
    client.nothing().await;
    assert_eq!(rooms.reads.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_the_store_holds_needs_no_ring() {
    let mut f = Fixture::running().await;
    let (alice, room) = room(&mut f).await;
    f.send(room, alice, 300).await;
    f.projected().await;
    let server = f.serve_with(Options { ring_events: 1, rings_bytes: 0, ..Options::default() }).await;
    let (mut client, _) = f.start(&server, alice, &[(room, 1)]).await;
    assert_eq!(client.up_to(302).await, texts(2..=302));
    // Nor does what the tail has read and the ring has let go.
    f.send(room, alice, 100).await;
    server.has_processed(&f.log()).await;
    let (mut other, _) = f.start(&server, alice, &[(room, 200)]).await;
    assert_eq!(other.up_to(402).await, texts(201..=402));
    assert_eq!(client.up_to(402).await, texts(303..=402));
}

#[tokio::test]
async fn a_since_ahead_of_this_instance_waits_for_it() {
    let mut f = Fixture::running().await;
    let (alice, room) = room(&mut f).await;
    let server = f.serve().await;
    let (mut client, started) = f.start(&server, alice, &[(room, 7)]).await;
    assert_eq!(started["rooms"][room.to_string()], 8);
    f.send(room, alice, 10).await;
    assert_eq!(client.up_to(12).await, texts(8..=12));

    // Another instance has read more.
    let log = FaultyLog::new(f.log());
    let late = Server::start(FanoutDeps { log: log.clone(), ..f.deps() }, Options::default()).await;
    late.has_processed(&f.log()).await;
    log.set(LogState::Away);
    f.send(room, alice, 10).await;
    assert_eq!(client.up_to(22).await, texts(13..=22));
    let (mut moved, _) = f.start(&late, alice, &[(room, 22)]).await;
    let (mut fresh, started) = f.start(&late, alice, &[]).await;
    assert_eq!(started["rooms"][room.to_string()], 13, "the store is ahead of the tail");
    moved.nothing().await;
    log.set(LogState::Here);
    f.send(room, alice, 10).await;
    assert_eq!(moved.up_to(32).await, texts(23..=32));
    assert_eq!(fresh.up_to(32).await, texts(13..=32));
}

#[tokio::test]
async fn a_store_behind_the_tail_is_waited_for() {
    let mut f = Fixture::running().await;
    let (alice, room) = room(&mut f).await;
    f.send(room, alice, 50).await;
    f.stop_projectors().await;
    let server = f.serve_with(Options { ring_events: 4, ..Options::default() }).await;
    let (mut live, _) = f.start(&server, alice, &[]).await;
    let (mut client, _) = f.start(&server, alice, &[(room, 40)]).await;
    assert_eq!(client.up_to(52).await, texts(41..=52));
    drop(client);
    let mut client = f.open(&server, alice).await;
    f.send(room, alice, 50).await;
    assert_eq!(live.up_to(102).await, texts(53..=102));
    client.start(&[(room, 50)]).await;
    client.nothing_but(&[]).await;
    f.start_projectors();
    assert_eq!(client.up_to(102).await, texts(51..=102));
    f.send(room, alice, 1).await;
    assert_eq!(client.seqs(1).await, ["103"]);
    assert_eq!(live.seqs(1).await, ["103"]);
}

#[tokio::test]
async fn what_was_accepted_before_the_socket_opened_is_before_its_start() {
    let mut f = Fixture::running().await;
    let (alice, room) = room(&mut f).await;
    let server = f.serve().await;
    for _ in 0..20 {
        f.send(room, alice, 3).await;
        // The tail may not have read these yet.
        let mut client = f.open(&server, alice).await;
        let last = f.last_seq(room);
        f.send(room, alice, 3).await;
        let started = client.start(&[]).await;
        assert_eq!(started["rooms"][room.to_string()], last + 1);
        assert_eq!(client.up_to(last + 3).await, texts(last + 1..=last + 3));
    }
}

#[tokio::test]
async fn a_stream_starts_once_the_tail_has_read_what_was_accepted_before() {
    let mut f = Fixture::running().await;
    let (alice, room) = room(&mut f).await;
    let log = FaultyLog::new(f.log());
    let options = Options { open_timeout: Duration::from_millis(200), ..Options::default() };
    let server = Server::start(FanoutDeps { log: log.clone(), ..f.deps() }, options).await;
    server.has_processed(&f.log()).await;
    log.set(LogState::Slow);
    f.send(room, alice, 3).await;
    f.projected().await;
    let mut client = f.open(&server, alice).await;
    let mut later = f.open(&server, alice).await;
    f.send(room, alice, 3).await;
    f.projected().await;
    client.send(json!({"type": "start"})).await;
    assert_eq!(client.failed().await, (Some("not_caught_up".into()), 1013));
    later.send(json!({"type": "start"})).await;
    log.set(LogState::Here);
    assert_eq!(later.next().await["rooms"][room.to_string()], 6);
    assert_eq!(later.up_to(8).await, texts(6..=8));
}

#[tokio::test]
async fn many_rooms_are_resumed_on_one_socket() {
    let mut f = Fixture::running().await;
    let alice = f.world.register(Some("alice")).await;
    let mut rooms = Vec::new();
    for n in 0..40 {
        let room = f.world.create_room(alice, None, History::FromBeginning, &format!("Room {n}")).await;
        f.send(room, alice, n).await;
        rooms.push(room);
    }
    f.projected().await;
    let server = f.serve().await;
    let since: Vec<_> = rooms.iter().map(|&room| (room, 0)).collect();
    let (mut client, started) = f.start(&server, alice, &since).await;
    assert_eq!(started["rooms"].as_object().unwrap().len(), 40);
    let mut seen = std::collections::HashMap::new();
    for _ in 0..(0..40).map(|n| n + 2).sum() {
        let event = client.next().await;
        let last = seen.entry(event["room_id"].as_str().unwrap().to_owned()).or_insert(0);
        *last += 1;
        assert_eq!(event["seq"], *last);
    }
    for &room in &rooms {
        assert_eq!(seen[&room.to_string()], f.last_seq(room));
    }
    client.nothing().await;
}
