//! Two instances of the live stream, on real servers: a client that moves from one to the other again and
//! again, while messages are sent, loses nothing and gets nothing twice.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::SinkExt;
use roomlog_eventlog::PartitionCounts;
use serde_json::{Value, json};
use support::shared::Shared;
use support::stream::{Stream, connect};
use support::{Account, DEADLINE, Server};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::Message;

const ROOMS: usize = 3;
const MESSAGES: usize = 60;
/// Its making and its maker's joining, then the messages.
const LAST_SEQ: u64 = 2 + MESSAGES as u64;
/// Frames that a socket is used for, at most.
const MOST_FRAMES: usize = 7;
/// Between attempts to open a socket.
const POLL: Duration = Duration::from_millis(20);

/// The last seq that the client has of each room.
type Covered = BTreeMap<String, u64>;

/// A started stream. An instance that cannot start one yet is asked again.
async fn open(server: &Server, who: &Account, since: &Covered) -> Stream {
    let until = Instant::now() + DEADLINE;
    let bearer = format!("Bearer {}", who.token);
    loop {
        if let Ok(mut socket) = connect(server, &[("authorization", &bearer)]).await {
            let start = json!({"type": "start", "since": since}).to_string();
            let is_sent = socket.send(Message::text(start)).await.is_ok();
            let mut stream = Stream { socket, started: Value::Null };
            if is_sent && let Some(started) = stream.next().await.filter(|frame| frame["type"] == "started") {
                return Stream { started, ..stream };
            }
        }
        assert!(Instant::now() < until, "a stream starts in time");
        sleep(POLL).await;
    }
}

/// Every seq comes next to the one before it, whatever instance sends it.
fn cover(covered: &mut Covered, frame: &Value) {
    let room = frame["room_id"].as_str().unwrap_or_else(|| panic!("of no room: {frame}"));
    let (from, to) = match frame["type"].as_str().unwrap() {
        "event" => (&frame["seq"], &frame["seq"]),
        "hidden" => (&frame["from"], &frame["to"]),
        _ => panic!("neither lost nor refused: {frame}"),
    };
    let last = covered.get_mut(room).unwrap();
    assert_eq!(from.as_u64().unwrap(), *last + 1, "{frame}");
    *last = to.as_u64().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_moves_between_instances_loses_and_doubles_nothing() {
    let counts = PartitionCounts { accounts: 1, rooms: 2 };
    let Some(shared) = Shared::new(counts) else { return };
    let writer = shared.start("command-api,projectors", &[]).await;
    let unlimited = [("ROOMLOG_RATE_SOCKETS", "0"), ("ROOMLOG_RATE_SOCKETS_ADDRESS", "0")];
    let instances =
        [shared.start("ws-fanout", &unlimited).await, shared.start("ws-fanout", &unlimited).await];
    let ada = writer.account("ada").await;
    let mut covered = Covered::new();
    let mut senders = JoinSet::new();
    for n in 0..ROOMS {
        let room = writer.room(&ada, &format!("Room {n}")).await;
        covered.insert(room.clone(), 0);
        let (api, ada) = (writer.api.clone(), ada.clone());
        senders.spawn(async move {
            for i in 0..MESSAGES {
                api.send(&ada, &room, &format!("{i}")).await;
            }
        });
    }
    let mut moves = 0;
    while covered.values().any(|&last| last < LAST_SEQ) {
        let mut stream = open(&instances[moves % 2], &ada, &covered).await;
        for _ in 0..=moves % MOST_FRAMES {
            if covered.values().all(|&last| last == LAST_SEQ) {
                break;
            }
            let frame = stream.next().await.expect("the socket stays open");
            cover(&mut covered, &frame);
        }
        // It is not closed in order.
        drop(stream);
        moves += 1;
    }
    while let Some(sent) = senders.join_next().await {
        sent.unwrap();
    }
    assert!(covered.values().all(|&last| last == LAST_SEQ), "{covered:?}");
    assert!(moves > ROOMS * MESSAGES / (MOST_FRAMES + 1) / 2, "{moves}");
}
