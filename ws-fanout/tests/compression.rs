//! Compressed messages (`permessage-deflate`), both ways, by a client that looks at the bytes.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::client::Handshake;
use common::{Fixture, PATIENCE, Server};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use roomlog_schemas::{AccountId, History, RoomId};
use roomlog_ws_fanout::Options;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const OFFER: &str = "permessage-deflate; client_max_window_bits";
const ACCEPTED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// A socket without a library: libraries hide whether a message was compressed.
struct Raw(TcpStream);

struct RawFrame {
    is_compressed: bool,
    code: u8,
    payload: Vec<u8>,
}

impl Raw {
    async fn open(server: &Server, token: &str) -> Self {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let request = format!(
            "GET /v1/stream HTTP/1.1\r\nHost: {}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: roomlog.v1\r\nSec-WebSocket-Extensions: {OFFER}\r\n\
             Authorization: Bearer {token}\r\n\r\n",
            server.address
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        assert!(head.contains(&format!("sec-websocket-extensions: {ACCEPTED}\r\n")), "{head}");
        Self(stream)
    }

    async fn send_compressed(&mut self, text: &str) {
        let mut payload = Vec::with_capacity(text.len() + 100);
        let mut compress = Compress::new(Compression::default(), false);
        compress.compress_vec(text.as_bytes(), &mut payload, FlushCompress::Sync).unwrap();
        payload.truncate(payload.len() - 4);
        let mut frame = vec![0xc1, 0x80 | 126];
        frame.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(&payload);
        self.0.write_all(&frame).await.unwrap();
    }

    async fn next(&mut self) -> RawFrame {
        timeout(PATIENCE, self.read()).await.expect("a frame in time").unwrap()
    }

    async fn read(&mut self) -> std::io::Result<RawFrame> {
        let [first, second] = [self.0.read_u8().await?, self.0.read_u8().await?];
        let len = match second {
            126 => usize::from(self.0.read_u16().await?),
            127 => usize::try_from(self.0.read_u64().await?).unwrap(),
            len => usize::from(len),
        };
        let mut payload = vec![0; len];
        self.0.read_exact(&mut payload).await?;
        let is_compressed = first & 0x40 != 0;
        if is_compressed {
            let mut plain = Vec::with_capacity(1024 * 1024);
            payload.extend_from_slice(&[0, 0, 0xff, 0xff]);
            Decompress::new(false).decompress_vec(&payload, &mut plain, FlushDecompress::Sync).unwrap();
            payload = plain;
        }
        Ok(RawFrame { is_compressed, code: first & 0x0f, payload })
    }

    async fn json(&mut self) -> (bool, Value) {
        let frame = self.next().await;
        assert_eq!(frame.code, 1, "{}", String::from_utf8_lossy(&frame.payload));
        (frame.is_compressed, serde_json::from_slice(&frame.payload).unwrap())
    }

    /// The code of the close frame that comes next.
    async fn closed(&mut self) -> u16 {
        let frame = self.next().await;
        assert_eq!(frame.code, 8);
        u16::from_be_bytes([frame.payload[0], frame.payload[1]])
    }
}

struct Stage {
    f: Fixture,
    server: Server,
    alice: AccountId,
    room: RoomId,
    token: String,
}

impl Stage {
    async fn new(options: Options) -> Self {
        let mut f = Fixture::running().await;
        let alice = f.world.register(Some("alice")).await;
        let room = f.world.create_room(alice, None, History::FromBeginning, "Lounge").await;
        let server = f.serve_with(options).await;
        let token = f.token(alice);
        Self { f, server, alice, room, token }
    }

    /// Started by a compressed message.
    async fn client(&self, since: &Value) -> Raw {
        let mut client = Raw::open(&self.server, &self.token).await;
        client.send_compressed(&json!({"type": "start", "since": since}).to_string()).await;
        let (is_compressed, started) = client.json().await;
        assert_eq!((is_compressed, &started["type"]), (false, &json!("started")), "{started}");
        client
    }
}

#[tokio::test]
async fn long_events_come_compressed_live_and_resumed() {
    let mut stage = Stage::new(Options::default()).await;
    let mut live = stage.client(&json!({})).await;
    let long = "all work and no play ".repeat(50);
    for text in ["short", &long] {
        stage.f.world.send(stage.room, stage.alice, text).await;
    }
    let first = stage.f.last_seq(stage.room) - 1;
    let mut resumed = stage.client(&json!({ stage.room.to_string(): first - 1 })).await;
    for client in [&mut live, &mut resumed] {
        for (seq, text) in (first..).zip(["short", &long]) {
            let (is_compressed, event) = client.json().await;
            assert_eq!((&event["seq"], &event["event"]["text"]), (&json!(seq), &json!(text)));
            assert!(is_compressed || text == "short");
        }
    }
}

#[tokio::test]
async fn only_what_is_long_enough_is_compressed() {
    let mut stage = Stage::new(Options { compress_from: Some(2_000), ..Options::default() }).await;
    let mut client = stage.client(&json!({})).await;
    for (text, expected) in [("a".repeat(1_000), false), ("a".repeat(2_000), true)] {
        stage.f.world.send(stage.room, stage.alice, &text).await;
        let (is_compressed, event) = client.json().await;
        assert_eq!((is_compressed, &event["event"]["text"]), (expected, &json!(text)));
    }
}

#[tokio::test]
async fn who_does_not_offer_it_is_sent_plain_text_beside_those_who_do() {
    let mut stage = Stage::new(Options::default()).await;
    let mut compressed = stage.client(&json!({})).await;
    let (mut plain, response) =
        Handshake::new(stage.server.address).token(&stage.token).open_with_response().await.unwrap();
    assert!(!response.headers().contains_key("sec-websocket-extensions"));
    plain.start(&[]).await;
    let text = "a".repeat(5_000);
    stage.f.world.send(stage.room, stage.alice, &text).await;
    assert_eq!(plain.next().await["event"]["text"], text);
    let (is_compressed, event) = compressed.json().await;
    assert_eq!((is_compressed, &event["event"]["text"]), (true, &json!(text)));
}

#[tokio::test]
async fn it_is_declined_where_it_is_off_or_the_offer_asks_too_much() {
    for (compress_from, offer) in
        [(None, OFFER), (Some(1), "permessage-deflate; server_max_window_bits=9"), (Some(1), "x-other")]
    {
        let stage = Stage::new(Options { compress_from, ..Options::default() }).await;
        let knock = Handshake::new(stage.server.address)
            .token(&stage.token)
            .header("sec-websocket-extensions", offer);
        let (mut client, response) = knock.open_with_response().await.unwrap();
        assert!(!response.headers().contains_key("sec-websocket-extensions"), "{offer}");
        client.start(&[]).await;
        // A compressed bit that was not agreed upon.
        client.stream.get_mut().write_all(&[0xc1, 0x80, 0, 0, 0, 0]).await.unwrap();
        assert_eq!(client.closed().await.1, 1002);
    }
}

#[tokio::test]
async fn a_message_that_swells_or_is_no_deflate_ends_the_socket() {
    let stage = Stage::new(Options::default()).await;
    let mut swelling = stage.client(&json!({})).await;
    swelling.send_compressed(&format!("{{\"type\":\"{}\"}}", "a".repeat(5_000_000))).await;
    assert_eq!(swelling.closed().await, 1009);

    let mut damaged = stage.client(&json!({})).await;
    damaged.0.write_all(&[0xc1, 0x83, 0, 0, 0, 0, 0xff, 0xff, 0xff]).await.unwrap();
    assert_eq!(damaged.closed().await, 1002);

    let mut not_utf8 = stage.client(&json!({})).await;
    // A stored block of one byte that is no text.
    not_utf8.0.write_all(&[0xc1, 0x87, 0, 0, 0, 0, 0x00, 0x01, 0x00, 0xfe, 0xff, 0xff, 0x00]).await.unwrap();
    assert_eq!(not_utf8.closed().await, 1007);
}
