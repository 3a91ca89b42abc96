//! A process that stops sends its sockets on.

mod common;

use common::Fixture;
use common::client::{Handshake, texts};
use roomlog_schemas::History;
use roomlog_ws_fanout::Options;
use serde_json::json;

#[tokio::test]
async fn sockets_are_told_to_resume_elsewhere_with_what_waits_for_them() {
    let mut f = Fixture::running().await;
    let alice = f.world.register(Some("alice")).await;
    let room = f.world.create_room(alice, None, History::FromBeginning, "Lounge").await;
    let server = f.serve().await;
    let (mut client, _) = f.start(&server, alice, &[]).await;
    let mut unstarted = f.open(&server, alice).await;
    f.send(room, alice, 100).await;
    server.has_processed(&f.log()).await;
    let (address, handle) = (server.address, server.handle.clone());
    let stopped = server.stop();
    let (frames, code) = client.closed().await;
    assert_eq!(code, 1012);
    let seqs: Vec<String> = frames.iter().map(common::client::short).collect();
    assert_eq!(seqs, texts(3..=102));
    assert_eq!(unstarted.failed().await, (None, 1012));
    assert!(!handle.is_ready());
    drop((client, unstarted));
    stopped.await.unwrap();
    let refused = Handshake::new(address).token(&f.token(alice));
    // The listener has gone with it, or says so.
    if let Ok(Err((response, _))) = tokio::spawn(refused.open()).await {
        assert_eq!(response.status(), 503);
    }
}

#[tokio::test]
async fn commands_under_way_are_answered_first() {
    let mut f = Fixture::running().await;
    let alice = f.world.register(Some("alice")).await;
    let room = f.world.create_room(alice, None, History::FromBeginning, "Lounge").await;
    let server = f.serve().await;
    let (mut client, _) = f.start(&server, alice, &[]).await;
    client
        .send(
            json!({"type": "command", "id": "a", "command": "send_message", "room_id": room, "text": "wait"}),
        )
        .await;
    common::eventually("it has begun", || f.commands.seen.lock().unwrap().len() == 1).await;
    let handle = server.handle.clone();
    let stopped = server.stop();
    common::eventually("it is stopping", || !handle.is_ready()).await;
    f.commands.go.add_permits(1);
    let (frames, code) = client.closed().await;
    assert_eq!((frames.len(), code), (1, 1012));
    assert_eq!((&frames[0]["type"], &frames[0]["id"]), (&json!("accepted"), &json!("a")));
    drop(client);
    stopped.await.unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_answer_is_not_waited_for() {
    let mut f = Fixture::running().await;
    let alice = f.world.register(Some("alice")).await;
    let options = Options {
        drain_timeout: std::time::Duration::from_millis(50),
        close_timeout: std::time::Duration::from_millis(50),
        ..Options::default()
    };
    let server = f.serve_with(options).await;
    let (client, _) = f.start(&server, alice, &[]).await;
    tokio::time::timeout(common::PATIENCE, server.stop()).await.unwrap().unwrap();
    drop(client);
}
