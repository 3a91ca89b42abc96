//! Clients that break the rules below HTTP and JSON: each gets its answer or loses its connection, and
//! nobody else notices.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use support::stream::Stream;
use support::{Account, DEADLINE, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const FIN: u8 = 0x80;
/// Says that the payload is compressed, where that was negotiated (RFC 7692).
const RSV1: u8 = 0x40;
const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;
const MASKED: u8 = 0x80;

/// A WebSocket by hand.
struct Raw(TcpStream);

#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Frame(u8, Vec<u8>),
    /// The connection has ended.
    End,
}

impl Raw {
    async fn open(server: &Server, who: &Account, is_compressed: bool) -> Self {
        let mut tcp = connect(server).await;
        let request = format!(
            "GET /v1/stream HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             sec-websocket-protocol: roomlog.v1\r\n\
             {}authorization: Bearer {}\r\n\r\n",
            address(server),
            if is_compressed { "sec-websocket-extensions: permessage-deflate\r\n" } else { "" },
            who.token
        );
        tcp.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(timeout(DEADLINE, tcp.read_u8()).await.expect("an answer in time").unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        assert!(head.starts_with("http/1.1 101"), "{head}");
        assert_eq!(head.contains("sec-websocket-extensions: permessage-deflate;"), is_compressed, "{head}");
        Self(tcp)
    }

    /// A frame as a client has to send it.
    async fn send(&mut self, first: u8, payload: &[u8]) {
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..126 => frame.push(MASKED | length as u8),
            length => {
                frame.push(MASKED | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        let mask = [1, 2, 3, 4];
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.send_bytes(&frame).await;
    }

    /// What the server has closed already need not be taken.
    async fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes).await;
    }

    async fn next(&mut self) -> Seen {
        timeout(DEADLINE, self.read()).await.expect("a frame in time").unwrap_or(Seen::End)
    }

    async fn read(&mut self) -> std::io::Result<Seen> {
        let first = self.0.read_u8().await?;
        let length = match self.0.read_u8().await? {
            126 => self.0.read_u16().await?.into(),
            127 => self.0.read_u64().await?,
            length => length.into(),
        };
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).await?;
        Ok(Seen::Frame(first & 0xf, payload))
    }

    /// The code that the server closes with; `None` if it only ends the connection.
    async fn closed(&mut self) -> Option<u16> {
        loop {
            match self.next().await {
                Seen::Frame(CLOSE, payload) => return Some(u16::from_be_bytes([payload[0], payload[1]])),
                Seen::Frame(..) => {}
                Seen::End => return None,
            }
        }
    }
}

fn address(server: &Server) -> &str {
    server.url.strip_prefix("http://").unwrap()
}

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(address(server)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_break_the_protocol_close_their_socket_alone() {
    let server = Server::start().await;
    let ada = server.account("ada").await;
    let room = server.room(&ada, "room").await;
    let mut witness = Stream::open(&server, &ada, json!({})).await;
    let start = br#"{"type":"start"}"#;
    let too_long_a_ping = [0; 126];
    let half_a_mebibyte = vec![b' '; 512 * 1024];

    let frames: [(&str, u8, &[u8], u16); 8] = [
        ("compressed, and not negotiated or not readable", FIN | RSV1 | TEXT, b"\xff", 1002),
        ("a compressed control frame", FIN | RSV1 | PING, b"", 1002),
        ("a reserved bit", FIN | 0x20 | TEXT, start, 1002),
        ("an unknown kind of frame", FIN | 0x3, start, 1002),
        ("a continuation of nothing", FIN | CONTINUATION, start, 1002),
        ("a control frame in fragments", PING, b"", 1002),
        ("a control frame with 126 bytes", FIN | PING, &too_long_a_ping, 1002),
        ("text that is not UTF-8", FIN | TEXT, b"\xff\xfe", 1007),
    ];
    for (what, first, payload, code) in frames {
        for is_compressed in [false, true] {
            let mut raw = Raw::open(&server, &ada, is_compressed).await;
            raw.send(first, payload).await;
            assert_eq!(raw.closed().await, Some(code), "{what}");
        }
    }

    let mut raw = Raw::open(&server, &ada, false).await;
    raw.send_bytes(&[FIN | TEXT, 2, b'{', b'}']).await;
    assert_eq!(raw.closed().await, Some(1002), "not masked");

    let mut raw = Raw::open(&server, &ada, false).await;
    // Only the head: nobody waits for an exbibyte, or keeps room for it.
    raw.send_bytes(&[FIN | TEXT, MASKED | 127, 0x10, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]).await;
    assert_eq!(raw.closed().await, Some(1009), "longer than any message may be");

    let mut raw = Raw::open(&server, &ada, false).await;
    raw.send(TEXT, &half_a_mebibyte).await;
    raw.send(FIN | CONTINUATION, b" ").await;
    assert_eq!(raw.closed().await, Some(1009), "too long in all its fragments");

    let mut raw = Raw::open(&server, &ada, false).await;
    raw.send(FIN | 0x2, start).await;
    assert_eq!(raw.closed().await, Some(4400), "binary");

    server.send(&ada, &room, "all is well").await;
    witness.until_text("all is well").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_fragments_is_one_message() {
    let server = Server::start().await;
    let ada = server.account("ada").await;
    let mut raw = Raw::open(&server, &ada, false).await;
    raw.send(TEXT, br#"{"type":"#).await;
    raw.send(CONTINUATION, b"").await;
    raw.send(FIN | PING, b"between").await;
    raw.send(FIN | CONTINUATION, br#""start"}"#).await;
    let mut seen = [raw.next().await, raw.next().await];
    seen.sort_by_key(|seen| matches!(seen, Seen::Frame(TEXT, _)));
    assert_eq!(seen[0], Seen::Frame(PONG, b"between".to_vec()));
    let Seen::Frame(TEXT, started) = &seen[1] else { panic!("{seen:?}") };
    assert_eq!(serde_json::from_slice::<Value>(started).unwrap()["type"], "started");
    raw.send(FIN | CLOSE, &1000_u16.to_be_bytes()).await;
    assert_eq!(raw.closed().await, Some(1000));
    assert_eq!(raw.next().await, Seen::End);
}

/// Connections that never finish a request take places only for as long as the server waits for one.
#[tokio::test(flavor = "multi_thread")]
async fn half_open_connections_take_no_place_for_ever() {
    let server = Server::start_with(&[("ROOMLOG_MAX_CONNECTIONS", "8")]).await;
    let mut idle = Vec::new();
    for n in 0..8 {
        let mut tcp = connect(&server).await;
        if n % 2 == 0 {
            // A request that goes no further.
            tcp.write_all(b"GET /v1/stream HTTP/1.1\r\nhost: here\r\nx-slow: ").await.unwrap();
        }
        idle.push(tcp);
    }
    // While they are there, further ones are turned away; then somebody is served again.
    let served = async {
        loop {
            let mut tcp = connect(&server).await;
            let _ = tcp.write_all(b"GET /livez HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").await;
            let mut answer = String::new();
            if tcp.read_to_string(&mut answer).await.is_ok() && answer.starts_with("HTTP/1.1 200") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(DEADLINE, served).await.expect("places become free");
    for tcp in &mut idle {
        let mut rest = Vec::new();
        let ended = timeout(DEADLINE, tcp.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "a connection without a request is kept");
    }
}

/// A body that comes byte by byte holds up nobody else, and one that breaks off writes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn slow_and_broken_bodies_hold_up_nobody() {
    let server = Server::start().await;
    let ada = server.account("ada").await;
    let room = server.room(&ada, "room").await;
    let text = r#"{"text":"slow"}"#;
    let head = format!(
        "POST /v1/rooms/{room}/messages HTTP/1.1\r\nhost: here\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        ada.token,
        text.len()
    );
    let mut slow = connect(&server).await;
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut broken = connect(&server).await;
    broken.write_all(head.as_bytes()).await.unwrap();
    broken.write_all(&text.as_bytes()[..5]).await.unwrap();
    drop(broken);
    for byte in text.as_bytes() {
        slow.write_all(&[*byte]).await.unwrap();
        slow.flush().await.unwrap();
        server.send(&ada, &room, "meanwhile").await;
    }
    let mut answer = String::new();
    timeout(DEADLINE, slow.read_to_string(&mut answer)).await.expect("an answer in time").unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    let last = server.send(&ada, &room, "last").await;
    let history = server.history(&ada, &room, 100, last["position"].as_str().unwrap()).await;
    let slow = history.iter().filter(|message| message["text"] == "slow").count();
    assert_eq!((slow, history.len()), (1, text.len() + 2));
}

/// Seeded, so that what harms can be sent again.
#[tokio::test(flavor = "multi_thread")]
async fn random_bytes_on_sockets_harm_nobody() {
    let server = Server::start_with(&[("ROOMLOG_RATE_SOCKETS", "100000")]).await;
    let ada = server.account("ada").await;
    let room = server.room(&ada, "room").await;
    for seed in 0..150 {
        let mut random = StdRng::seed_from_u64(seed);
        let is_compressed = random.random();
        let mut raw = Raw::open(&server, &ada, is_compressed).await;
        let mut payload = vec![0; random.random_range(0..300)];
        random.fill(&mut payload[..]);
        if seed % 2 == 0 {
            // In good frames, some of them almost commands.
            let begin = br#"{"type":"command","id":"a","command":"send_message","room_id":""#;
            payload.splice(0..0, begin.iter().copied().take(random.random_range(0..=begin.len())));
            raw.send(FIN | TEXT | if is_compressed { RSV1 } else { 0 }, &payload).await;
        } else {
            raw.send_bytes(&payload).await;
        }
        let _ = raw.0.shutdown().await;
        raw.closed().await;
        assert_eq!(raw.next().await, Seen::End, "seed {seed}");
    }
    let last = server.send(&ada, &room, "still there").await;
    let history = server.history(&ada, &room, 10, last["position"].as_str().unwrap()).await;
    assert_eq!(history.len(), 1, "{history:?}");
    let metrics = server.http.get(format!("{}/metrics", server.url)).send().await.unwrap();
    assert!(!metrics.text().await.unwrap().contains("status=\"500\""));
}
