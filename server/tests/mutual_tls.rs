//! The distributed platform with TLS on every way: mutual to Kafka, to the CQL store and between the processes, and to
//! PostgreSQL.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use roomlog_eventlog::PartitionCounts;
use serde_json::{Value, json};
use support::shared::Shared;
use support::stream::Stream;

const PARTITIONS: PartitionCounts = PartitionCounts { accounts: 1, rooms: 2 };

#[tokio::test(flavor = "multi_thread")]
async fn a_message_goes_from_rest_to_a_socket() {
    let Some(shared) = Shared::over_tls(PARTITIONS) else { return };
    // The first makes what is shared.
    let first = shared.start("command-api", &[]).await;
    let (second, reading, sockets) = tokio::join!(
        shared.start("command-api", &[]),
        shared.start("projectors,query-api", &[]),
        shared.start("ws-fanout", &[]),
    );
    let (ada, bob) = (first.account("ada").await, second.account("bob").await);
    let room = first.room(&ada, "Lounge").await;
    second.join(&bob, &room).await;
    let mut stream = Stream::open(&sockets, &bob, json!({})).await;

    // Whichever of the two owns the room's partition, the other one sends on what it is given.
    first.send(&ada, &room, "given to the first").await;
    second.send(&ada, &room, "given to the second").await;
    let events = stream.until_text("given to the second").await;
    assert!(events.iter().any(|event| event["event"]["text"] == "given to the first"), "{events:?}");

    // This process writes nothing itself.
    let command = json!({
        "type": "command", "id": "1", "command": "send_message", "room_id": room, "text": "given to the socket",
    });
    stream.send(command).await;
    let (mut answer, mut event) = (Value::Null, Value::Null);
    while answer.is_null() || event.is_null() {
        let frame = stream.next().await.unwrap();
        match frame["type"].as_str().unwrap() {
            "event" => event = frame,
            "accepted" => answer = frame,
            _ => {}
        }
    }
    assert_eq!((&event["event"]["text"], &event["seq"]), (&json!("given to the socket"), &answer["seq"]));

    let history = reading.history(&ada, &room, 10, answer["position"].as_str().unwrap()).await;
    let texts: Vec<&Value> = history.iter().map(|message| &message["text"]).collect();
    assert_eq!(texts, ["given to the first", "given to the second", "given to the socket"]);
}
