//! Sessions that end: their sockets close at once, and no socket opens with them.

mod common;

use std::sync::atomic::Ordering;

use common::Fixture;
use common::client::Handshake;
use roomlog_schemas::{History, SessionId};
use roomlog_ws_fanout::Options;
use serde_json::json;

const PHONE: SessionId = SessionId::from_u128(0x0f0e);
const LAPTOP: SessionId = SessionId::from_u128(0x1a7);

#[tokio::test]
async fn a_session_that_ends_loses_its_sockets_on_every_instance_and_no_other_does() {
    let mut f = Fixture::running().await;
    let alice = f.world.register(Some("alice")).await;
    let room = f.world.create_room(alice, None, History::FromBeginning, "Lounge").await;
    f.log_in(alice, PHONE).await;
    f.log_in(alice, LAPTOP).await;
    let lazy = Options { tail_all: false, ..Options::default() };
    let servers = [f.serve().await, f.serve_with(lazy).await];
    let (mut phones, mut laptops) = (Vec::new(), Vec::new());
    for server in &servers {
        for (session, clients) in [(PHONE, &mut phones), (LAPTOP, &mut laptops)] {
            let token = f.token_of(alice, session);
            let mut client = Handshake::new(server.address).token(&token).open().await.unwrap();
            client.start(&[]).await;
            clients.push(client);
        }
    }
    f.end_session(alice, PHONE).await;
    for client in &mut phones {
        assert_eq!(client.failed().await, (None, 4401));
    }
    f.send(room, alice, 1).await;
    for client in &mut laptops {
        assert_eq!(client.seqs(1).await, ["3"]);
    }
    for server in &servers {
        let again = Handshake::new(server.address).token(&f.token_of(alice, PHONE));
        assert_eq!(again.refused().await, (401, "session_ended".into()));
    }
}

#[tokio::test]
async fn nobody_opens_while_it_cannot_be_told_which_sessions_live() {
    let mut f = Fixture::running().await;
    let alice = f.world.register(Some("alice")).await;
    let server = f.serve().await;
    let (mut open, _) = f.start(&server, alice, &[]).await;
    f.secrets.is_away.store(true, Ordering::SeqCst);
    let refused = Handshake::new(server.address).token(&f.token(alice)).refused().await;
    assert_eq!(refused, (503, "store_unavailable".into()));
    open.nothing().await;
    f.secrets.is_away.store(false, Ordering::SeqCst);
    f.open(&server, alice).await;
}

#[tokio::test]
async fn a_token_of_a_session_that_has_ended_refreshes_nothing() {
    let mut f = Fixture::running().await;
    let alice = f.world.register(Some("alice")).await;
    f.log_in(alice, PHONE).await;
    f.log_in(alice, LAPTOP).await;
    let server = f.serve().await;
    let (mut client, _) = f.start(&server, alice, &[]).await;
    client.send(json!({"type": "refresh", "access_token": f.token_of(alice, LAPTOP)})).await;
    assert_eq!(client.next().await["type"], "refreshed");
    f.end_session(alice, PHONE).await;
    client.send(json!({"type": "refresh", "access_token": f.token_of(alice, PHONE)})).await;
    assert_eq!(client.failed().await, (Some("token_refused".into()), 4401));
}
