//! What cannot be filled is said.

mod common;

use std::sync::atomic::Ordering;

use common::faults::FaultyRooms;
use common::{Fixture, Server};
use roomlog_schemas::History;
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
        json!({"type": "gap", "room_id": room.to_string(), "from": 10, "to": 18})
    );
    assert_eq!(client.seqs(2).await, ["19", "20"]);
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
