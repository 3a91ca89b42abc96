//! The way through the README, on both logs.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::{Value, json};
use support::stream::Stream;
use support::{Server, kafka, on_kafka};

async fn walk(mut server: Server) {
    let (ada, bob) = (server.account("ada").await, server.account("bob").await);
    let room = server.room(&ada, "Lounge").await;
    let joined = server.join(&bob, &room).await;
    assert_eq!(joined["seq"], 3, "created, owner joined, Bob joined");
    let mut stream = Stream::open(&server, &bob, json!({})).await;
    assert_eq!(stream.started["rooms"][&room], 4);

    let sent = server.send(&ada, &room, "Hello, Bob!").await;
    assert_eq!(sent["seq"], 4);
    let frame = stream.next().await.unwrap();
    assert_eq!(
        (&frame["type"], &frame["room_id"], &frame["seq"]),
        (&json!("event"), &json!(room), &json!(4))
    );
    assert_eq!(frame["event"]["type"], "message_sent");
    assert_eq!(frame["event"]["text"], "Hello, Bob!");
    assert_eq!(frame["event"]["author_id"], ada.id);
    assert_eq!(frame["event"]["message_id"], sent["message_id"]);

    let reply = json!({"text": "Hello, Ada!", "reply_to": sent["message_id"]});
    let reply = server.post(&format!("/v1/rooms/{room}/messages"), &bob.token, reply).await.created();
    assert_eq!(stream.next().await.unwrap()["event"]["reply_to"], sent["message_id"]);

    // Pages, in both directions.
    for n in 0..7 {
        server.send(&ada, &room, &format!("message {n}")).await;
    }
    let last = server.send(&ada, &room, "last").await;
    let position = last["position"].as_str().unwrap();
    let all = server.history(&bob, &room, 3, position).await;
    let seqs: Vec<u64> = all.iter().map(|message| message["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (4..=13).collect::<Vec<u64>>());
    let newest = server.get(&format!("/v1/rooms/{room}/messages?limit=4"), &bob.token).await.ok();
    assert_eq!(newest["items"], json!(all[6..]));
    let before =
        server.get(&format!("/v1/rooms/{room}/messages?before_seq=8&limit=2"), &bob.token).await.ok();
    assert_eq!(before["items"], json!(all[2..4]));
    assert_eq!(stream.until_text("last").await.len(), 8);

    // The process is killed and comes back: everything is there, and the stream goes on.
    server.kill().await;
    assert_eq!(stream.next().await, None);
    server.start_again().await;
    let mut stream = Stream::open(&server, &bob, json!({ &room: 9 })).await;
    let missed: Vec<Value> = stream.until_text("last").await;
    assert_eq!(
        missed.iter().map(|frame| frame["seq"].as_u64().unwrap()).collect::<Vec<_>>(),
        [10, 11, 12, 13]
    );
    server.send(&ada, &room, "after the restart").await;
    assert_eq!(stream.next().await.unwrap()["seq"], 14);
    assert_eq!(server.history(&ada, &room, 100, position).await[..10], all[..]);
    let rooms = server.get("/v1/rooms", &bob.token).await.ok();
    assert_eq!(rooms["items"][0]["name"], "Lounge");
    let members = server.get(&format!("/v1/rooms/{room}/members"), &ada.token).await.ok();
    let mut names: Vec<&str> = members["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| member["username"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["ada", "bob"]);
    let message = format!("/v1/rooms/{room}/messages/{}", reply["message_id"].as_str().unwrap());
    assert_eq!(server.get(&message, &ada.token).await.ok()["text"], "Hello, Ada!");

    // A graceful stop tells the socket to resume; whoever left sees nothing more.
    let leaving = server.leave(&bob, &room).await;
    let left = stream.next().await.unwrap();
    assert_eq!(
        (&left["event"]["type"], &left["event"]["account_id"]),
        (&json!("member_left"), &json!(bob.id))
    );
    server.send(&ada, &room, "not for Bob").await;
    let position = leaving["position"].as_str().unwrap();
    let messages = format!("/v1/rooms/{room}/messages?min_position={position}&wait_ms=20000");
    server.get(&messages, &bob.token).await.problem(404, "room_not_found");
    assert!(server.stop().await.success());
    assert_eq!(stream.next().await, None, "nothing after the removal");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readme_on_sqlite() {
    walk(Server::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readme_on_kafka() {
    let Some(brokers) = kafka() else { return };
    let settings = on_kafka(&brokers);
    let settings: Vec<(&str, &str)> =
        settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    walk(Server::start_with(&settings).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_on_the_socket_have_the_same_answers() {
    let server = Server::start().await;
    let ada = server.account("ada").await;
    let mut stream = Stream::open(&server, &ada, json!({})).await;
    stream.send(json!({"type": "command", "id": "1", "command": "create_room", "name": "Lounge"})).await;
    let mut frames = Vec::new();
    while !frames.iter().any(|frame: &Value| frame["type"] == "accepted") {
        frames.push(stream.next().await.unwrap());
    }
    let room = frames.iter().find(|frame| frame["type"] == "accepted").unwrap()["room_id"].clone();
    stream
        .send(json!({"type": "command", "id": "2", "command": "send_message", "room_id": room, "text": ""}))
        .await;
    stream
        .send(json!({"type": "command", "id": "3", "command": "send_message", "room_id": room, "text": "hi"}))
        .await;
    while !(frames.iter().any(|frame| frame["type"] == "rejected")
        && frames.iter().any(|f| f["event"]["text"] == "hi"))
    {
        frames.push(stream.next().await.unwrap());
    }
    let rejected = frames.iter().find(|frame| frame["type"] == "rejected").unwrap();
    assert_eq!((&rejected["id"], &rejected["problem"]["code"]), (&json!("2"), &json!("text_empty")));
}
