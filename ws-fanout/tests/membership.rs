//! Who sees what, and until when.

mod common;

use std::sync::atomic::Ordering;

use common::client::texts;
use common::{Fixture, Server};
use roomlog_schemas::{AccountId, History, RoomId};
use roomlog_ws_fanout::{FanoutDeps, Options};
use serde_json::json;

/// A room of alice's, and bob.
async fn room(f: &mut Fixture, history: History) -> (AccountId, AccountId, RoomId) {
    let alice = f.world.register(Some("alice")).await;
    let bob = f.world.register(Some("bob")).await;
    let room = f.world.create_room(alice, None, history, "Lounge").await;
    (alice, bob, room)
}

/// Bob is there for 5 to 8 and again from 12 on, of 14.
async fn with_absences(f: &mut Fixture, history: History) -> (AccountId, AccountId, RoomId) {
    let (alice, bob, room) = room(f, history).await;
    f.send(room, alice, 2).await;
    f.world.join(room, bob).await;
    f.send(room, bob, 2).await;
    f.world.leave(room, bob).await;
    f.send(room, alice, 3).await;
    f.world.join(room, bob).await;
    f.send(room, alice, 2).await;
    (alice, bob, room)
}

#[tokio::test]
async fn absences_are_hidden_where_history_begins_with_joining() {
    let mut f = Fixture::running().await;
    let (_, bob, room) = with_absences(&mut f, History::FromJoin).await;
    // From the store, and from the ring.
    f.projected().await;
    let fresh = f.serve().await;
    for (since, expected) in [
        (0, &["1-4 hidden", "5", "6", "7", "8", "9-11 hidden", "12", "13", "14"][..]),
        (2, &["3-4 hidden", "5", "6", "7", "8", "9-11 hidden", "12", "13", "14"]),
        (6, &["7", "8", "9-11 hidden", "12", "13", "14"]),
        (9, &["10-11 hidden", "12", "13", "14"]),
        (13, &["14"]),
    ] {
        let (mut client, started) = f.start(&fresh, bob, &[(room, since)]).await;
        assert_eq!(started["rooms"][room.to_string()], since + 1);
        assert_eq!(client.seqs(expected.len()).await, expected);
        client.nothing().await;
    }
    let hidden = {
        let (mut client, _) = f.start(&fresh, bob, &[(room, 0)]).await;
        client.next().await
    };
    assert_eq!(hidden, json!({"type": "hidden", "room_id": room.to_string(), "from": 1, "to": 4}));
}

#[tokio::test]
async fn absences_are_hidden_from_the_ring_as_well() {
    let mut f = Fixture::running().await;
    let server = f.serve().await;
    let (_, bob, room) = with_absences(&mut f, History::FromJoin).await;
    server.has_processed(&f.log()).await;
    let (mut client, _) = f.start(&server, bob, &[(room, 0)]).await;
    let expected = ["1-4 hidden", "5", "6", "7", "8", "9-11 hidden", "12", "13", "14"];
    assert_eq!(client.seqs(expected.len()).await, expected);
}

#[tokio::test]
async fn a_member_sees_everything_where_history_is_open() {
    let mut f = Fixture::running().await;
    let (_, bob, room) = with_absences(&mut f, History::FromBeginning).await;
    let server = f.serve().await;
    let (mut client, _) = f.start(&server, bob, &[(room, 0)]).await;
    assert_eq!(client.up_to(14).await, texts(1..=14));
}

#[tokio::test]
async fn a_removal_is_the_last_and_a_return_covers_the_absence() {
    for history in [History::FromJoin, History::FromBeginning] {
        let mut f = Fixture::running().await;
        let (alice, bob, room) = room(&mut f, history).await;
        f.world.join(room, bob).await;
        let server = f.serve().await;
        let (mut client, _) = f.start(&server, bob, &[]).await;
        let (mut other, _) = f.start(&server, alice, &[]).await;
        f.send(room, alice, 1).await;
        f.world.leave(room, bob).await;
        f.send(room, alice, 3).await;
        assert_eq!(client.seqs(2).await, ["4", "5"]);
        assert_eq!(other.up_to(8).await, texts(4..=8));
        client.nothing().await;
        f.world.join(room, bob).await;
        f.send(room, alice, 1).await;
        match history {
            History::FromJoin => assert_eq!(client.seqs(3).await, ["6-8 hidden", "9", "10"]),
            History::FromBeginning => assert_eq!(client.up_to(10).await, texts(6..=10)),
        }
        // And once more, without reading in between.
        f.world.leave(room, bob).await;
        f.send(room, alice, 1).await;
        f.world.join(room, bob).await;
        f.world.leave(room, bob).await;
        f.send(room, alice, 1).await;
        match history {
            History::FromJoin => assert_eq!(client.seqs(4).await, ["11", "12-12 hidden", "13", "14"]),
            // Who is no member any more sees of an absence nothing: it depends on when that is looked at.
            History::FromBeginning => {
                let mut seqs = client.up_to(14).await;
                seqs.iter_mut().filter(|seq| *seq == "12-12 hidden").for_each(|seq| "12".clone_into(seq));
                assert_eq!(seqs, texts(11..=14));
            }
        }
        server.has_processed(&f.log()).await;
        client.nothing().await;
    }
}

#[tokio::test]
async fn who_is_removed_while_catching_up_gets_nothing_after_it() {
    for ring_events in [1, 1_000] {
        let mut f = Fixture::running().await;
        let (alice, bob, room) = room(&mut f, History::FromBeginning).await;
        f.world.join(room, bob).await;
        let text = "x".repeat(20_000);
        for _ in 0..300 {
            f.world.send(room, alice, &text).await;
        }
        f.projected().await;
        let server = f.serve_with(Options { ring_events, ..Options::default() }).await;
        // 6 MB: more than the socket's queue and the kernel's buffers take in.
        let mut client = common::client::Handshake::new(server.address)
            .token(&f.token(bob))
            .receive_buffer(128 * 1024)
            .open()
            .await
            .unwrap();
        client.start(&[(room, 2)]).await;
        f.world.leave(room, bob).await;
        f.send(room, alice, 5).await;
        server.has_processed(&f.log()).await;
        f.projected().await;
        let removed = f.last_seq(room) - 5;
        assert_eq!(client.up_to(removed).await, texts(3..=removed));
        client.nothing().await;
        f.send(room, alice, 1).await;
        server.has_processed(&f.log()).await;
        client.nothing().await;
    }
}

#[tokio::test]
async fn who_leaves_and_returns_while_behind_misses_nothing() {
    let mut f = Fixture::running().await;
    let (alice, bob, room) = room(&mut f, History::FromJoin).await;
    f.world.join(room, bob).await;
    let (sealer, keys) = f.keys_that_can_go_away().await;
    let server = Server::start(FanoutDeps { sealer, ..f.deps() }, Options::default()).await;
    let (mut client, _) = f.start(&server, bob, &[]).await;
    // Without a key bob's socket cannot go on.
    keys.is_away.store(true, Ordering::SeqCst);
    f.send(room, alice, 1).await;
    for _ in 0..2 {
        f.world.leave(room, bob).await;
        f.send(room, alice, 2).await;
        f.world.join(room, bob).await;
    }
    f.send(room, alice, 1).await;
    server.has_processed(&f.log()).await;
    client.nothing().await;
    keys.is_away.store(false, Ordering::SeqCst);
    assert_eq!(client.seqs(7).await, ["4", "5", "6-7 hidden", "8", "9", "10-11 hidden", "12"]);
    f.send(room, alice, 1).await;
    assert_eq!(client.seqs(2).await, ["13", "14"]);
}

#[tokio::test]
async fn rooms_joined_later_begin_with_the_joining() {
    let mut f = Fixture::running().await;
    let (alice, bob, room) = room(&mut f, History::FromBeginning).await;
    f.send(room, alice, 5).await;
    let server = f.serve().await;
    let (mut client, started) = f.start(&server, bob, &[]).await;
    assert_eq!(started["rooms"], json!({}));
    f.send(room, alice, 1).await;
    f.world.join(room, bob).await;
    f.send(room, alice, 1).await;
    assert_eq!(client.seqs(2).await, ["9", "10"]);
    let own = f.world.create_room(bob, None, History::FromJoin, "Own").await;
    f.send(own, bob, 1).await;
    let joined = client.next().await;
    assert_eq!((&joined["room_id"], &joined["seq"]), (&json!(own.to_string()), &json!(2)));
    assert_eq!(client.seqs(1).await, ["3"]);
    client.nothing().await;
}

#[tokio::test]
async fn changes_between_opening_and_starting_count() {
    let mut f = Fixture::running().await;
    let (alice, bob, room) = room(&mut f, History::FromBeginning).await;
    let left = f.world.create_room(alice, None, History::FromBeginning, "Left").await;
    f.world.join(left, bob).await;
    let server = f.serve().await;
    let mut client = f.open(&server, bob).await;
    f.world.leave(left, bob).await;
    f.world.join(room, bob).await;
    server.has_processed(&f.log()).await;
    let started = client.start(&[(left, 0)]).await;
    assert_eq!(started["rooms"], json!({ room.to_string(): 3 }));
    assert_eq!(started["not_member"], json!([left.to_string()]));
    assert_eq!(client.seqs(1).await, ["3"]);
    f.send(left, alice, 1).await;
    f.send(room, bob, 1).await;
    assert_eq!(client.seqs(1).await, ["4"]);
    client.nothing().await;
}

#[tokio::test]
async fn rooms_of_others_are_named_and_nothing_is_sent_of_them() {
    let mut f = Fixture::running().await;
    let (alice, bob, room) = room(&mut f, History::FromBeginning).await;
    f.world.join(room, bob).await;
    f.world.leave(room, bob).await;
    let unknown = RoomId::from_u128(77);
    let server = f.serve().await;
    let (mut client, started) = f.start(&server, bob, &[(room, 0), (unknown, 0)]).await;
    assert_eq!(started["rooms"], json!({}));
    let named: Vec<_> = started["not_member"].as_array().unwrap().iter().collect();
    assert_eq!(named.len(), 2);
    assert!(named.contains(&&json!(room.to_string())) && named.contains(&&json!(unknown.to_string())));
    f.send(room, alice, 3).await;
    server.has_processed(&f.log()).await;
    client.nothing().await;
    // Should it join again, the stream goes on where the client was.
    f.world.join(room, bob).await;
    assert_eq!(client.up_to(8).await, texts(1..=8));
}

#[tokio::test]
async fn leaving_a_room_leaves_those_below() {
    let mut f = Fixture::running().await;
    let (alice, bob, root) = room(&mut f, History::FromBeginning).await;
    let sub = f.world.create_room(alice, Some(root), History::FromBeginning, "Sub").await;
    f.world.join(sub, bob).await;
    let server = f.serve().await;
    let (mut client, _) = f.start(&server, bob, &[]).await;
    f.world.leave(root, bob).await;
    let mut left = [client.next().await, client.next().await];
    left.sort_by_key(|event| event["room_id"] != json!(root.to_string()));
    assert_eq!(left[0]["room_id"], root.to_string());
    assert_eq!(left[1]["room_id"], sub.to_string());
    assert!(left.iter().all(|event| event["event"]["type"] == "member_left"));
    f.send(sub, alice, 2).await;
    f.send(root, alice, 2).await;
    server.has_processed(&f.log()).await;
    client.nothing().await;
}
