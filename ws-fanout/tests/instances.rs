//! Several instances that follow only what their sockets need.

mod common;

use std::time::Duration;

use common::client::{Client, texts};
use common::signals::Fate;
use common::{Fixture, Server, eventually};
use metrics_exporter_prometheus::PrometheusBuilder;
use roomlog_eventlog::TopicPartition;
use roomlog_schemas::{AccountId, History, RoomId};
use roomlog_ws_fanout::{Options, State};

const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

/// Told by signals alone.
fn lazy() -> Options {
    Options { tail_all: false, poll_interval: NEVER, ..Options::default() }
}

fn polling() -> Options {
    Options { poll_interval: Duration::from_millis(20), ..lazy() }
}

/// A room of this account in another partition than the others.
async fn room_elsewhere(f: &mut Fixture, account: AccountId, others: &[RoomId]) -> RoomId {
    loop {
        let room = f.world.create_room(account, None, History::FromJoin, "Elsewhere").await;
        let partition = f.world.log.room_partition(room);
        if others.iter().all(|&other| f.world.log.room_partition(other) != partition) {
            return room;
        }
        f.world.leave(room, account).await;
    }
}

/// Alice with a room, and Bob with one in another partition.
async fn two_rooms(f: &mut Fixture) -> (AccountId, RoomId, AccountId, RoomId) {
    let alice = f.world.register(Some("alice")).await;
    let bob = f.world.register(Some("bob")).await;
    let lounge = f.world.create_room(alice, None, History::FromJoin, "Lounge").await;
    let kitchen = room_elsewhere(f, bob, &[lounge]).await;
    f.send(lounge, alice, 5).await;
    f.projected().await;
    (alice, lounge, bob, kitchen)
}

fn followed(server: &Server) -> Vec<TopicPartition> {
    let statuses = server.handle.statuses().into_iter();
    statuses.filter(|status| status.state != State::Idle).map(|status| status.partition).collect()
}

async fn events(client: &mut Client, room: RoomId, count: usize) -> Vec<u64> {
    let mut seqs = Vec::new();
    for _ in 0..count {
        let frame = client.next().await;
        assert_eq!(
            (&frame["type"], &frame["room_id"]),
            (&"event".into(), &room.to_string().into()),
            "{frame}"
        );
        seqs.push(frame["seq"].as_u64().expect("an event has a seq"));
    }
    seqs
}

#[tokio::test]
async fn tails_run_while_sockets_need_them() {
    let mut f = Fixture::running().await;
    let (alice, lounge, ..) = two_rooms(&mut f).await;
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let options = Options { tail_linger: Duration::from_millis(20), ..lazy() };
    let _guard = metrics::set_default_local_recorder(&recorder);
    let server = f.serve_with(options).await;
    assert_eq!(followed(&server), []);
    for _ in 0..3 {
        let (mut client, started) = f.start(&server, alice, &[]).await;
        let last = f.last_seq(lounge);
        assert_eq!(started["rooms"][lounge.to_string()], last + 1);
        assert_eq!(followed(&server), [f.world.log.room_partition(lounge), TopicPartition::accounts(0)]);
        assert!(metrics.render().contains("roomlog_fanout_tails 2"), "{}", metrics.render());
        f.send(lounge, alice, 3).await;
        assert_eq!(events(&mut client, lounge, 3).await, [last + 1, last + 2, last + 3]);
        drop(client);
        eventually("nothing is followed", || followed(&server).is_empty()).await;
        assert!(metrics.render().contains("roomlog_fanout_tails 0"), "{}", metrics.render());
        f.send(lounge, alice, 2).await;
        let (mut client, _) = f.start(&server, alice, &[(lounge, last)]).await;
        assert_eq!(client.up_to(last + 5).await, texts(last + 1..=last + 5));
        drop(client);
        eventually("nothing is followed", || followed(&server).is_empty()).await;
    }
}

#[tokio::test]
async fn a_room_joined_in_a_partition_that_is_not_followed_comes_by_signal_or_poll() {
    for (fate, options) in [
        (Fate::Arrives, lazy()),
        (Fate::Doubled, lazy()),
        (Fate::Lost, polling()),
        (Fate::Arrives, polling()),
    ] {
        let mut f = Fixture::running().await;
        let (_, lounge, bob, kitchen) = two_rooms(&mut f).await;
        f.signals.set(fate);
        let server = f.serve_with(options).await;
        let (mut client, started) = f.start(&server, bob, &[]).await;
        assert_eq!(started["rooms"].as_object().unwrap().len(), 1);
        assert!(!followed(&server).contains(&f.world.log.room_partition(lounge)));
        f.world.join(lounge, bob).await;
        f.send(lounge, bob, 3).await;
        assert_eq!(events(&mut client, lounge, 4).await, [8, 9, 10, 11], "{fate:?}");
        // Live by now, and once only.
        f.send(lounge, bob, 2).await;
        f.send(kitchen, bob, 1).await;
        f.projected().await;
        server.has_processed(&f.log()).await;
        let mut frames = client.seqs(3).await;
        frames.sort();
        assert_eq!(frames, ["12", "13", "3"]);
        client.nothing().await;
        f.world.leave(lounge, bob).await;
        assert_eq!(events(&mut client, lounge, 1).await, [14]);
        f.world.join(lounge, bob).await;
        assert_eq!(events(&mut client, lounge, 1).await, [15]);
    }
}

#[tokio::test]
async fn a_stay_that_is_over_when_the_signal_comes_is_covered_all_the_same() {
    let mut f = Fixture::running().await;
    let (alice, lounge, bob, _) = two_rooms(&mut f).await;
    f.signals.set(Fate::Held);
    let server = f.serve_with(lazy()).await;
    let (mut client, _) = f.start(&server, bob, &[]).await;
    f.world.join(lounge, bob).await;
    f.send(lounge, alice, 2).await;
    f.world.leave(lounge, bob).await;
    f.send(lounge, alice, 2).await;
    f.projected().await;
    client.nothing().await;
    assert!(f.signals.held() > 0);
    f.signals.release();
    assert_eq!(events(&mut client, lounge, 4).await, [8, 9, 10, 11]);
    f.send(lounge, alice, 2).await;
    f.projected().await;
    client.nothing().await;
}

#[tokio::test]
async fn a_signal_of_a_stay_that_the_client_has_had_is_passed_over() {
    let mut f = Fixture::running().await;
    let (alice, lounge, bob, _) = two_rooms(&mut f).await;
    f.signals.set(Fate::Held);
    let server = f.serve_with(lazy()).await;
    f.world.join(lounge, bob).await;
    f.world.leave(lounge, bob).await;
    f.projected().await;
    assert!(f.signals.held() > 0);
    let (mut client, started) = f.start(&server, bob, &[(lounge, 9)]).await;
    assert_eq!(started["not_member"], serde_json::json!([lounge]));
    f.signals.release();
    f.send(lounge, alice, 2).await;
    // A later signal has been looked into, so the earlier one has.
    f.signals.set(Fate::Arrives);
    let other = room_elsewhere(&mut f, bob, &[]).await;
    assert_eq!(events(&mut client, other, 1).await, [2]);
    client.nothing().await;
    // A new stay goes on after `since`.
    f.world.join(lounge, bob).await;
    assert_eq!(client.seqs(2).await, ["10-11 hidden", "12"]);
}

/// The client has seen more than the store has: it comes from an instance that was ahead.
#[tokio::test]
async fn a_membership_of_since_that_the_store_does_not_know_yet_is_found() {
    let mut f = Fixture::running().await;
    let (_, lounge, bob, _) = two_rooms(&mut f).await;
    let (ahead, server) = (f.serve().await, f.serve_with(lazy()).await);
    let (mut client, _) = f.start(&ahead, bob, &[]).await;
    f.stop_projectors().await;
    f.world.join(lounge, bob).await;
    f.send(lounge, bob, 2).await;
    assert_eq!(events(&mut client, lounge, 3).await, [8, 9, 10]);
    let (mut client, started) = f.start(&server, bob, &[(lounge, 9)]).await;
    assert_eq!(started["rooms"][lounge.to_string()], 10);
    assert_eq!(started["not_member"], serde_json::json!([]));
    assert_eq!(client.up_to(10).await, ["10"]);
    f.send(lounge, bob, 1).await;
    assert_eq!(client.seqs(1).await, ["11"]);
}
