//! What a client may say, and how it is answered.

mod common;

use common::client::Client;
use common::{Fixture, Server, eventually};
use roomlog_schemas::{AccountId, History, RoomId};
use roomlog_web::commands::ClientCommand;
use roomlog_ws_fanout::Options;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

const KEY: &str = "0190163d-8694-739b-aea5-966c26f8ad91";

async fn fixture(options: Options) -> (Fixture, Server, AccountId, RoomId) {
    let mut f = Fixture::running().await;
    let alice = f.world.register(Some("alice")).await;
    let room = f.world.create_room(alice, None, History::FromBeginning, "Lounge").await;
    let server = f.serve_with(options).await;
    (f, server, alice, room)
}

fn message(id: &str, room: RoomId, text: &str) -> Value {
    json!({"type": "command", "id": id, "command": "send_message", "room_id": room, "text": text})
}

async fn by_id(client: &mut Client, count: usize) -> Vec<Value> {
    let mut answers = Vec::new();
    for _ in 0..count {
        answers.push(client.next().await);
    }
    answers.sort_by_key(|answer| answer["id"].to_string());
    answers
}

#[tokio::test]
async fn commands_are_accepted_or_rejected() {
    let (f, server, alice, room) = fixture(Options::default()).await;
    let (mut client, _) = f.start(&server, alice, &[]).await;
    let mut command = message("a", room, "hi");
    command["key"] = json!(KEY);
    client.send(command).await;
    assert_eq!(client.next().await, json!({"type": "accepted", "id": "a", "seq": 5, "position": "r0-7"}));
    client.send(message("b", room, "no")).await;
    assert_eq!(
        client.next().await,
        json!({
            "type": "rejected", "id": "b",
            "problem": {"status": 403, "code": "not_a_member", "title": "No.", "fields": ["room_id"]},
        })
    );
    let mut command = message("c", room, "hi");
    command["key"] = json!("550e8400-e29b-41d4-a716-446655440000");
    client.send(command).await;
    let rejected = client.next().await;
    assert_eq!(
        (&rejected["id"], &rejected["problem"]["code"]),
        (&json!("c"), &json!("invalid_idempotency_key"))
    );

    let seen = f.commands.seen.lock().unwrap().clone();
    assert_eq!(seen.len(), 2);
    let command = ClientCommand::SendMessage { room_id: room, text: "hi".into(), reply_to: None };
    assert_eq!(seen[0], (alice, Some(KEY.parse().unwrap()), command));
    assert_eq!(seen[1].1, None);
}

#[tokio::test]
async fn commands_run_beside_each_other_and_the_events() {
    let (mut f, server, alice, room) = fixture(Options { max_commands: 3, ..Options::default() }).await;
    let (mut client, _) = f.start(&server, alice, &[]).await;
    for id in ["a", "b", "c", "d"] {
        client.send(message(id, room, "wait")).await;
    }
    let rejected = client.next().await;
    assert_eq!((&rejected["id"], &rejected["problem"]["code"]), (&json!("d"), &json!("too_many_commands")));
    assert_eq!(rejected["problem"]["status"], 429);
    f.send(room, alice, 2).await;
    assert_eq!(client.seqs(2).await, ["3", "4"]);
    f.commands.go.add_permits(3);
    let answers = by_id(&mut client, 3).await;
    for (answer, id) in answers.iter().zip(["a", "b", "c"]) {
        assert_eq!((&answer["type"], &answer["id"]), (&json!("accepted"), &json!(id)));
    }
    client.send(message("e", room, "hi")).await;
    assert_eq!(client.next().await["type"], "accepted");
}

#[tokio::test]
async fn frames_that_are_not_understood_end_the_stream() {
    let (f, server, alice, room) = fixture(Options::default()).await;
    let with_more = |mut frame: Value| {
        frame["more"] = json!(1);
        Message::text(frame.to_string())
    };
    for frame in [
        Message::text("{"),
        Message::text("[]"),
        Message::text(r#"{"type":"dance"}"#),
        Message::text(r#"{"type":"start"}"#),
        Message::text(message("", room, "hi").to_string()),
        Message::text(message(&"x".repeat(65), room, "hi").to_string()),
        Message::text(r#"{"type":"command","id":"a","command":"dance"}"#),
        with_more(message("a", room, "hi")),
        with_more(json!({"type": "refresh", "access_token": "x"})),
        Message::binary(message("a", room, "hi").to_string().into_bytes()),
    ] {
        let (mut client, _) = f.start(&server, alice, &[]).await;
        client.message(frame.clone()).await;
        assert_eq!(client.failed().await, (Some("malformed".into()), 4400), "{frame}");
    }
    for frame in [
        message("a", room, "hi"),
        json!({"type": "refresh", "access_token": f.token(alice)}),
        json!({"type": "start", "more": 1}),
        json!({"type": "start", "since": {"nonsense": 1}}),
        json!({"type": "start", "since": {room.to_string(): -1}}),
    ] {
        let mut client = f.open(&server, alice).await;
        client.send(frame.clone()).await;
        assert_eq!(client.failed().await, (Some("malformed".into()), 4400), "{frame}");
    }
    assert!(f.commands.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_rooms_in_since_are_bounded() {
    let (f, server, alice, room) = fixture(Options { max_since_rooms: 2, ..Options::default() }).await;
    f.start(&server, alice, &[(room, 1), (RoomId::from_u128(1), 1)]).await;
    let mut client = f.open(&server, alice).await;
    let since = json!({room.to_string(): 1, RoomId::from_u128(1).to_string(): 1, RoomId::from_u128(2).to_string(): 1});
    client.send(json!({"type": "start", "since": since})).await;
    assert_eq!(client.failed().await, (Some("malformed".into()), 4400));
}

#[tokio::test]
async fn messages_that_are_too_large_end_the_stream() {
    let (f, server, alice, room) = fixture(Options::default()).await;
    // The longest text of a message, in the longest way to write it.
    let (mut client, _) = f.start(&server, alice, &[]).await;
    let escaped = r"\u0041".repeat(64 * 1024);
    let frame = message("a", room, "TEXT").to_string().replace("TEXT", &escaped);
    client.text(&frame).await;
    assert_eq!(client.next().await["type"], "accepted");
    let part = "x".repeat(200 * 1024);
    for parts in [&[&part[..], &part, &part, &part][..], &[&part.repeat(4)]] {
        let (mut client, _) = f.start(&server, alice, &[]).await;
        client.fragments(parts).await;
        assert_eq!(client.failed().await, (None, 1009));
    }
}

#[tokio::test]
async fn a_message_may_come_in_fragments() {
    let (f, server, alice, room) = fixture(Options::default()).await;
    let mut client = f.open(&server, alice).await;
    client.fragments(&[r#"{"type":"#, r#""start""#, "}"]).await;
    assert_eq!(client.next().await["type"], "started");
    let text = message("a", room, "hi").to_string();
    let (first, second) = text.split_at(20);
    client.fragments(&[first, "", second]).await;
    assert_eq!(client.next().await["type"], "accepted");
}

#[tokio::test]
async fn positions_of_another_log_are_refused() {
    let (f, server, alice, room) = fixture(Options::default()).await;
    for other in ["11111111-2222-4333-8444-555555555555", "nonsense"] {
        let mut client = f.open(&server, alice).await;
        client.send(json!({"type": "start", "log_id": other, "since": {room.to_string(): 1}})).await;
        assert_eq!(client.failed().await, (Some("other_log".into()), 4409));
    }
    let mut client = f.open(&server, alice).await;
    let log_id = f.world.log.identity().log_id;
    client.send(json!({"type": "start", "log_id": log_id, "since": {room.to_string(): 1}})).await;
    assert_eq!(client.next().await["type"], "started");
}

#[tokio::test]
async fn a_client_that_closes_is_answered() {
    let (f, server, alice, _) = fixture(Options::default()).await;
    let (mut client, _) = f.start(&server, alice, &[]).await;
    client.stream.close(None).await.unwrap();
    use futures::StreamExt;
    assert!(matches!(client.stream.next().await, None | Some(Ok(Message::Close(None)))));
    eventually("the socket is gone", || server.handle.sockets() == 0).await;
}

#[tokio::test]
async fn pings_of_the_client_are_answered() {
    let (f, server, alice, _) = fixture(Options::default()).await;
    let (mut client, _) = f.start(&server, alice, &[]).await;
    client.message(Message::Ping("hello".into())).await;
    use futures::StreamExt;
    let pong = client.stream.next().await.unwrap().unwrap();
    assert_eq!(pong, Message::Pong("hello".into()));
}
