//! Who may open a socket.

mod common;

use std::time::Duration;

use common::client::Handshake;
use common::{Fixture, SESSION, Server};
use roomlog_schemas::AccountId;
use roomlog_web::token::Tokens;
use roomlog_ws_fanout::Options;

struct Door {
    f: Fixture,
    server: Server,
    alice: AccountId,
    token: String,
}

impl Door {
    async fn new(options: Options) -> Self {
        let mut f = Fixture::running().await;
        let alice = f.world.register(Some("alice")).await;
        let server = f.serve_with(options).await;
        let token = f.token(alice);
        Self { f, server, alice, token }
    }

    fn knock(&self) -> Handshake {
        Handshake::new(self.server.address).token(&self.token)
    }
}

#[tokio::test]
async fn a_token_may_come_in_a_header_or_as_a_subprotocol() {
    let door = Door::new(Options::default()).await;
    let (_client, response) = door.knock().open_with_response().await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "roomlog.v1");
    let offered = format!("roomlog.v1, bearer.{}", door.token);
    let browser = Handshake::new(door.server.address).header("sec-websocket-protocol", &offered);
    let (mut client, response) = browser.open_with_response().await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "roomlog.v1");
    client.start(&[]).await;
}

#[tokio::test]
async fn without_a_valid_token_nobody_enters() {
    let door = Door::new(Options::default()).await;
    let at = || Handshake::new(door.server.address);
    let issue = |tokens: &Tokens, lifetime| tokens.issue(door.alice, SESSION, lifetime);
    assert_eq!(at().refused().await, (401, "unauthorized".into()));
    assert_eq!(at().token("nonsense").refused().await, (401, "token_invalid".into()));
    let foreign = issue(&Tokens::new(&[9; 32]), Duration::from_secs(60));
    assert_eq!(at().token(&foreign).refused().await, (401, "token_invalid".into()));
    let expired = issue(&door.f.tokens, Duration::ZERO);
    common::eventually("its second is over", || door.f.tokens.verify(&expired).is_err()).await;
    assert_eq!(at().token(&expired).refused().await, (401, "token_expired".into()));
    let offered = format!("roomlog.v1, bearer.{expired}");
    let browser = Handshake::new(door.server.address).header("sec-websocket-protocol", &offered);
    assert_eq!(browser.refused().await, (401, "token_expired".into()));
}

#[tokio::test]
async fn a_token_does_not_belong_in_the_address() {
    let door = Door::new(Options::default()).await;
    for name in ["access_token", "token", "Authorization"] {
        let path = format!("/v1/stream?x=1&{name}={}", door.token);
        let knock = Handshake::at(door.server.address, &path).header("sec-websocket-protocol", "roomlog.v1");
        assert_eq!(knock.token(&door.token).refused().await, (400, "token_in_query".into()));
    }
}

#[tokio::test]
async fn origins_are_checked_where_a_browser_names_one() {
    let options = Options { origins: vec!["https://app.example".into()], ..Options::default() };
    let door = Door::new(options).await;
    let own = format!("http://{}", door.server.address);
    for origin in [own.as_str(), "https://app.example"] {
        door.knock().header("origin", origin).open().await.unwrap();
    }
    for origin in ["https://evil.example", "null", "http://app.example", "https://app.example.evil.example"] {
        let refused = door.knock().header("origin", origin).refused().await;
        assert_eq!(refused, (403, "origin_not_allowed".into()), "{origin}");
    }
}

#[tokio::test]
async fn the_subprotocol_has_to_be_offered() {
    let door = Door::new(Options::default()).await;
    let at = || Handshake::at(door.server.address, "/v1/stream").token(&door.token);
    assert_eq!(at().refused().await, (400, "subprotocol_required".into()));
    let other = at().header("sec-websocket-protocol", "roomlog.v2, chat");
    assert_eq!(other.refused().await, (400, "subprotocol_required".into()));
}

#[tokio::test]
async fn requests_that_are_no_upgrades_are_told_so() {
    let door = Door::new(Options::default()).await;
    let request = async |head: &str| {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(door.server.address).await.unwrap();
        let text = format!("{head}\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let plain = request("GET /v1/stream HTTP/1.1").await;
    assert!(plain.starts_with("HTTP/1.1 426 ") && plain.contains("upgrade: websocket"), "{plain}");
    assert!(plain.contains(r#""code":"upgrade_required""#), "{plain}");
    let post = request("POST /v1/stream HTTP/1.1\r\nContent-Length: 0").await;
    assert!(post.starts_with("HTTP/1.1 405 ") && post.contains("application/problem+json"), "{post}");
    let version = door.knock().header("sec-websocket-version", "8").open().await.map(drop).unwrap_err();
    assert_eq!(version.0.status(), 426);
    assert_eq!(version.0.headers()["sec-websocket-version"], "13");
    let short = door.knock().header("sec-websocket-key", "short").refused().await;
    assert_eq!(short, (400, "websocket_key_missing".into()));
}

#[tokio::test]
async fn there_are_limits_for_the_process_and_for_an_account() {
    let options = Options { max_connections: 3, max_per_account: 2, ..Options::default() };
    let mut door = Door::new(options).await;
    let first = door.knock().open().await.unwrap();
    let _second = door.knock().open().await.unwrap();
    let (response, problem) = door.knock().open().await.map(drop).unwrap_err();
    assert_eq!((response.status().as_u16(), &problem["code"]), (429, &"too_many_sockets".into()));
    assert!(response.headers().contains_key("retry-after"));
    let bob = door.f.world.register(Some("bob")).await;
    let _third = door.f.open(&door.server, bob).await;
    let knock = Handshake::new(door.server.address).token(&door.f.token(bob));
    let (response, problem) = knock.open().await.map(drop).unwrap_err();
    assert_eq!((response.status().as_u16(), &problem["code"]), (503, &"too_many_connections".into()));
    assert!(response.headers().contains_key("retry-after"));
    drop(first);
    common::eventually("its place is free", || door.server.handle.sockets() == 2).await;
    door.knock().open().await.unwrap();
}
