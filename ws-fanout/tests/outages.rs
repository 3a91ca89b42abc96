//! Log, store and keys may be away; sockets stay, and nothing is lost.

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use common::client::{Handshake, texts};
use common::faults::{FaultyLog, FaultyRooms, LogState};
use common::{Fixture, Server, eventually};
use roomlog_eventlog::TopicPartition;
use roomlog_schemas::{AccountId, History, RoomId};
use roomlog_stores::progress::Progress;
use roomlog_ws_fanout::{FanoutDeps, Options, State};

async fn room(f: &mut Fixture) -> (AccountId, RoomId) {
    let alice = f.world.register(Some("alice")).await;
    (alice, f.world.create_room(alice, None, History::FromBeginning, "Lounge").await)
}

#[tokio::test]
async fn a_log_that_is_away_is_waited_for() {
    let mut f = Fixture::running().await;
    let (alice, room) = room(&mut f).await;
    let log = FaultyLog::new(f.log());
    let options = Options { longest_pause: std::time::Duration::from_millis(10), ..Options::default() };
    let server = Server::start(FanoutDeps { log: log.clone(), ..f.deps() }, options).await;
    let (mut client, _) = f.start(&server, alice, &[]).await;
    log.set(LogState::Away);
    eventually("it is noticed", || {
        server.handle.statuses().iter().all(|status| matches!(status.state, State::Retrying { .. }))
    })
    .await;
    f.send(room, alice, 10).await;
    assert!(server.handle.is_ready(), "what is open goes on");
    let (mut meanwhile, _) = f.start(&server, alice, &[(room, 0)]).await;
    log.set(LogState::Here);
    assert_eq!(client.up_to(12).await, texts(3..=12));
    assert_eq!(meanwhile.up_to(12).await, texts(1..=12));
}

#[tokio::test]
async fn while_the_store_is_away_live_events_go_on_and_resumes_wait() {
    let mut f = Fixture::running().await;
    let (alice, room) = room(&mut f).await;
    f.send(room, alice, 100).await;
    f.projected().await;
    let rooms = FaultyRooms::new(f.stores.rooms.clone());
    let server = f.serve_over(rooms.clone(), Options::default()).await;
    let (mut live, _) = f.start(&server, alice, &[]).await;
    let mut resuming = f.open(&server, alice).await;
    rooms.is_away.store(true, Ordering::SeqCst);
    resuming.start(&[(room, 0)]).await;
    f.send(room, alice, 5).await;
    assert_eq!(live.up_to(107).await, texts(103..=107));
    let refused = Handshake::new(server.address).token(&f.token(alice)).refused().await;
    assert_eq!(refused, (503, "store_unavailable".into()));
    resuming.nothing().await;
    rooms.is_away.store(false, Ordering::SeqCst);
    assert_eq!(resuming.up_to(107).await, texts(1..=107));
}

#[tokio::test]
async fn an_event_whose_key_is_away_waits_for_it_and_others_go_on() {
    let mut f = Fixture::running().await;
    let (alice, room) = room(&mut f).await;
    let bob = f.world.register(Some("bob")).await;
    let (sealer, secrets) = f.keys_that_can_go_away().await;
    let server = Server::start(FanoutDeps { sealer, ..f.deps() }, Options::default()).await;
    let (mut client, _) = f.start(&server, alice, &[]).await;
    secrets.is_away.store(true, Ordering::SeqCst);
    f.send(room, alice, 3).await;
    // An event without content needs no key, but it has to come after the others.
    f.world.join(room, bob).await;
    let (mut other, _) = f.start(&server, bob, &[(room, 5)]).await;
    assert_eq!(other.seqs(1).await, ["6"]);
    client.nothing().await;
    secrets.is_away.store(false, Ordering::SeqCst);
    assert_eq!(client.up_to(6).await, texts(3..=6));
    f.send(room, alice, 1).await;
    assert_eq!(client.seqs(1).await, ["7"]);
    assert_eq!(other.seqs(1).await, ["7"]);
}

#[tokio::test]
async fn a_store_that_is_away_at_the_start_is_waited_for() {
    let mut f = Fixture::running().await;
    let (alice, _) = room(&mut f).await;
    let rooms = FaultyRooms::new(f.stores.rooms.clone());
    rooms.is_away.store(true, Ordering::SeqCst);
    let server =
        Server::start_unready(FanoutDeps { rooms: rooms.clone(), ..f.deps() }, Options::default()).await;
    let refused = Handshake::new(server.address).token(&f.token(alice)).refused().await;
    assert_eq!(refused, (503, "stream_not_ready".into()));
    assert!(!server.handle.is_ready());
    rooms.is_away.store(false, Ordering::SeqCst);
    eventually("it is ready", || server.handle.is_ready()).await;
    f.start(&server, alice, &[]).await;
}

#[tokio::test]
async fn a_stream_that_cannot_tell_its_start_is_tried_later() {
    let mut f = Fixture::running().await;
    let (alice, room) = room(&mut f).await;
    let options = Options { open_timeout: std::time::Duration::from_millis(100), ..Options::default() };
    let server = f.serve_with(options.clone()).await;
    // The tail is further than the store, and stays so.
    f.stop_projectors().await;
    let late = Server::start(FanoutDeps { progress: Arc::<Progress>::default(), ..f.deps() }, options).await;
    drop(server);
    f.send(room, alice, 1).await;
    late.has_processed(&f.log()).await;
    let refused = Handshake::new(late.address).token(&f.token(alice)).refused().await;
    assert_eq!(refused, (503, "stream_not_ready".into()));
}

#[tokio::test]
async fn a_record_that_cannot_be_read_stops_its_partition_in_sight() {
    let mut f = Fixture::running().await;
    let alice = f.world.register(Some("alice")).await;
    let mut rooms: Vec<RoomId> = Vec::new();
    let partition_of = |f: &Fixture, room: RoomId| f.world.log.room_partition(room);
    while rooms.len() < 2 {
        let room = f.world.create_room(alice, None, History::FromBeginning, "Lounge").await;
        if rooms.first().is_none_or(|&first| partition_of(&f, first) != partition_of(&f, room)) {
            rooms.push(room);
        }
    }
    f.stop_projectors().await;
    let server = f.serve().await;
    let (mut client, _) = f.start(&server, alice, &[]).await;
    let broken: TopicPartition = partition_of(&f, rooms[0]);
    let future = vec![Bytes::from_static(b"no event")];
    let offset = f.world.log.command_of(broken, "from_the_future", future).await;
    eventually("it stops", || !server.handle.stopped().is_empty()).await;
    let stopped = server.handle.stopped();
    assert_eq!((stopped.len(), stopped[0].partition, stopped[0].next_offset), (1, broken, offset));
    assert!(
        matches!(&stopped[0].state, State::Stopped { error } if error.contains(&format!("offset {offset}")))
    );
    assert!(!server.handle.is_ready());
    f.send(rooms[0], alice, 1).await;
    f.send(rooms[1], alice, 1).await;
    let event = client.next().await;
    assert_eq!(event["room_id"], rooms[1].to_string());
    client.nothing().await;
}
