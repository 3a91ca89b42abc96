//! What happens by time alone: start, tokens, silence, slowness.

mod common;

use std::time::Duration;

use common::client::{Handshake, texts};
use common::{Fixture, SESSION, Server, eventually};
use futures::StreamExt;
use metrics_exporter_prometheus::PrometheusBuilder;
use roomlog_schemas::{AccountId, History, RoomId, SessionId};
use roomlog_ws_fanout::Options;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

async fn fixture(options: Options) -> (Fixture, Server, AccountId, RoomId) {
    let mut f = Fixture::running().await;
    let alice = f.world.register(Some("alice")).await;
    let room = f.world.create_room(alice, None, History::FromBeginning, "Lounge").await;
    let server = f.serve_with(options).await;
    (f, server, alice, room)
}

#[tokio::test]
async fn a_start_that_does_not_come_is_not_waited_for() {
    let options = Options { start_timeout: Duration::from_millis(50), ..Options::default() };
    let (f, server, alice, _) = fixture(options).await;
    let mut client = f.open(&server, alice).await;
    assert_eq!(client.failed().await, (Some("not_started_in_time".into()), 4408));
    eventually("the socket is gone", || server.handle.sockets() == 0).await;
}

#[tokio::test]
async fn a_socket_ends_with_its_token() {
    let (f, server, alice, _) = fixture(Options::default()).await;
    let token = f.tokens.issue(alice, SESSION, Duration::from_secs(2));
    let mut client = Handshake::new(server.address).token(&token).open().await.unwrap();
    client.start(&[]).await;
    assert_eq!(client.failed().await, (Some("token_expired".into()), 4401));
}

#[tokio::test]
async fn a_fresh_token_of_the_same_account_extends_it() {
    let (mut f, server, alice, room) = fixture(Options::default()).await;
    let bob = f.world.register(Some("bob")).await;
    let open = async |f: &Fixture| {
        let token = f.tokens.issue(alice, SESSION, Duration::from_secs(2));
        let mut client = Handshake::new(server.address).token(&token).open().await.unwrap();
        client.start(&[]).await;
        client
    };
    let mut client = open(&f).await;
    client.send(json!({"type": "refresh", "access_token": f.token(alice)})).await;
    let refreshed = client.next().await;
    assert_eq!(refreshed["type"], "refreshed");
    let expires_in = refreshed["expires_in"].as_u64().unwrap();
    assert!((890..=900).contains(&expires_in), "{expires_in}");
    // The other one, opened later, goes.
    let mut other = open(&f).await;
    assert_eq!(other.failed().await, (Some("token_expired".into()), 4401));
    f.send(room, alice, 1).await;
    assert_eq!(client.seqs(1).await, ["3"]);

    let mut client = open(&f).await;
    client.send(json!({"type": "refresh", "access_token": f.token(bob)})).await;
    assert_eq!(client.failed().await, (Some("other_account".into()), 4401));
    let mut client = open(&f).await;
    client.send(json!({"type": "refresh", "access_token": "nonsense"})).await;
    assert_eq!(client.failed().await, (Some("token_refused".into()), 4401));
}

#[tokio::test]
async fn a_revoked_session_loses_its_sockets() {
    let (f, server, alice, _) = fixture(Options::default()).await;
    let (mut client, _) = f.start(&server, alice, &[]).await;
    f.log_in(alice, SessionId::from_u128(7)).await;
    let token = f.tokens.issue(alice, SessionId::from_u128(7), Duration::from_secs(60));
    let mut other = Handshake::new(server.address).token(&token).open().await.unwrap();
    other.start(&[]).await;
    server.handle.close_session(SESSION);
    assert_eq!(client.failed().await, (None, 4401));
    other.nothing().await;
}

#[tokio::test]
async fn who_answers_pings_stays_and_who_is_silent_goes() {
    let options = Options {
        ping_interval: Duration::from_millis(100),
        idle_timeout: Duration::from_millis(1_000),
        close_timeout: Duration::from_millis(100),
        ..Options::default()
    };
    let recorder = PrometheusBuilder::new().build_recorder();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let (f, server, alice, _) = fixture(options).await;
    let (mut client, _) = f.start(&server, alice, &[]).await;
    let _silent = f.start(&server, alice, &[]).await;
    // Reading answers; the other one does not read.
    let mut pings = 0;
    while server.handle.sockets() == 2 {
        match client.stream.next().await {
            Some(Ok(Message::Ping(_))) => pings += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(pings >= 5, "{pings}");
    let closed = r#"roomlog_fanout_closed_total{code="4408"} 1"#;
    assert!(recorder.handle().render().contains(closed));
    client.nothing().await;
}

#[tokio::test]
async fn who_reads_too_slowly_is_closed_while_others_go_on() {
    let options = Options {
        slow_limit: Duration::from_millis(300),
        close_timeout: Duration::from_millis(100),
        ..Options::default()
    };
    let (mut f, server, alice, room) = fixture(options).await;
    let (mut quick, _) = f.start(&server, alice, &[]).await;
    let mut slow =
        Handshake::new(server.address).token(&f.token(alice)).receive_buffer(64 * 1024).open().await.unwrap();
    slow.start(&[]).await;
    // More than the kernel takes in for one that does not read.
    let text = "x".repeat(60_000);
    let mut sent = 2;
    while server.handle.sockets() == 2 {
        f.world.send(room, alice, &text).await;
        sent += 1;
        assert_eq!(quick.seqs(1).await, [sent.to_string()]);
        if sent > 100 {
            eventually("the slow one is closed", || server.handle.sockets() == 1).await;
        }
    }
    f.world.send(room, alice, &text).await;
    assert_eq!(quick.seqs(1).await, [(sent + 1).to_string()]);
    quick.nothing().await;
}

#[tokio::test]
async fn a_slow_consumer_is_told_to_resume_and_loses_nothing() {
    let options = Options {
        slow_limit: Duration::from_millis(200),
        close_timeout: Duration::from_secs(20),
        ..Options::default()
    };
    let recorder = PrometheusBuilder::new().build_recorder();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let (mut f, server, alice, room) = fixture(options).await;
    let mut slow =
        Handshake::new(server.address).token(&f.token(alice)).receive_buffer(64 * 1024).open().await.unwrap();
    slow.start(&[]).await;
    let text = "x".repeat(60_000);
    for _ in 0..100 {
        f.world.send(room, alice, &text).await;
    }
    let closed = "roomlog_fanout_slow_consumers_closed_total 1";
    eventually("it is closed", || recorder.handle().render().contains(closed)).await;
    let (frames, code) = slow.closed().await;
    assert_eq!(code, 4429);
    let last = 2 + frames.len() as u64;
    let seqs: Vec<String> = frames.iter().map(common::client::short).collect();
    assert_eq!(seqs, texts(3..=last));
    let (mut client, _) = f.start(&server, alice, &[(room, last)]).await;
    assert_eq!(client.up_to(102).await, texts(last + 1..=102));
}

#[tokio::test]
async fn a_slow_resume_is_not_hurried() {
    let options = Options { slow_limit: Duration::from_millis(1), ..Options::default() };
    let (mut f, server, alice, room) = fixture(options).await;
    let text = "x".repeat(60_000);
    for _ in 0..100 {
        f.world.send(room, alice, &text).await;
    }
    f.projected().await;
    let mut client =
        Handshake::new(server.address).token(&f.token(alice)).receive_buffer(64 * 1024).open().await.unwrap();
    client.start(&[(room, 0)]).await;
    let mut other = f.start(&server, alice, &[]).await.0;
    for _ in 0..20 {
        f.world.send(room, alice, &text).await;
        other.seqs(1).await;
    }
    assert_eq!(client.up_to(122).await, texts(1..=122));
}
