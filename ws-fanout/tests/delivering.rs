//! Events come in order, once, live or resumed.

mod common;

use common::Fixture;
use common::client::texts;
use roomlog_schemas::History;
use serde_json::json;

#[tokio::test]
async fn a_stream_starts_at_the_end_and_events_follow_in_order() {
    let mut f = Fixture::running().await;
    let alice = f.world.register(Some("alice")).await;
    let room = f.world.create_room(alice, None, History::FromBeginning, "Lounge").await;
    f.send(room, alice, 3).await;
    let server = f.serve().await;
    let (mut client, started) = f.start(&server, alice, &[]).await;
    assert_eq!(
        started,
        json!({
            "type": "started", "log_id": f.world.log.identity().log_id.to_string(),
            "rooms": { room.to_string(): 6 }, "not_member": [],
        })
    );
    let message = f.world.send(room, alice, "hello \"you\"").await;
    let event = client.next().await;
    assert_eq!((&event["type"], &event["seq"]), (&json!("event"), &json!(6)));
    assert_eq!(event["room_id"], room.to_string());
    assert_eq!(event["event"]["type"], "message_sent");
    assert_eq!(event["event"]["message_id"], message.to_string());
    assert_eq!(event["event"]["author_id"], alice.to_string());
    assert_eq!(event["event"]["text"], "hello \"you\"");
    assert!(event["event"]["at"].is_string() && event["event"]["at"] == event["event"]["sent_at"]);
    f.send(room, alice, 50).await;
    assert_eq!(client.up_to(56).await, texts(7..=56));
    client.nothing().await;
}

#[tokio::test]
async fn a_resume_comes_from_the_store_then_the_ring_then_live() {
    let mut f = Fixture::running().await;
    let alice = f.world.register(Some("alice")).await;
    let room = f.world.create_room(alice, None, History::FromBeginning, "Lounge").await;
    f.send(room, alice, 98).await;
    f.projected().await;
    let server = f.serve().await;
    f.send(room, alice, 100).await;
    server.has_processed(&f.log()).await;
    let (mut client, started) = f.start(&server, alice, &[(room, 3)]).await;
    assert_eq!(started["rooms"][room.to_string()], 4);
    assert_eq!(client.up_to(200).await, texts(4..=200));
    f.send(room, alice, 100).await;
    assert_eq!(client.up_to(300).await, texts(201..=300));
    client.nothing().await;
}
