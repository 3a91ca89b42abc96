//! Figures of the fan-out alone: the log is in memory, clients only count. On demand:
//! `cargo bench -p roomlog-ws-fanout --bench measuring`

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{Fixture, Server, eventually};
use roomlog_schemas::History;
use roomlog_ws_fanout::Options;
use tokio::io::AsyncReadExt;
use tokio::runtime::{Builder, Runtime};

const COMPRESSED: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
const START: &[u8] = br#"{"type":"start"}"#;

/// A started socket without any code of its own.
fn connect(address: SocketAddr, token: &str, extensions: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!(
        "GET /v1/stream HTTP/1.1\r\nHost: {address}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: roomlog.v1\r\nAuthorization: Bearer {token}\r\n{extensions}\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    // Masked with zeros.
    let mut frame = vec![0x81, 0x80 | START.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(START);
    stream.write_all(&frame).unwrap();
    let mut header = [0; 2];
    stream.read_exact(&mut header).unwrap();
    let mut len = usize::from(header[1]);
    if len == 126 {
        stream.read_exact(&mut header).unwrap();
        len = usize::from(u16::from_be_bytes(header));
    }
    let mut started = vec![0; len];
    stream.read_exact(&mut started).unwrap();
    assert!(started.starts_with(br#"{"type":"started""#), "{}", String::from_utf8_lossy(&started));
    stream
}

/// Resident bytes of this process.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Seconds of CPU of this process's threads with this name.
fn cpu_seconds(name: &str) -> f64 {
    let mut ticks = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let Ok(stat) = std::fs::read_to_string(task.unwrap().path().join("stat")) else { continue };
        let (head, tail) = stat.rsplit_once(") ").unwrap();
        if head.ends_with(name) {
            let fields: Vec<&str> = tail.split(' ').collect();
            ticks += fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        }
    }
    ticks as f64 / 100.0
}

fn runtime(name: &'static str, threads: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(threads).thread_name(name).enable_all().build().unwrap()
}

fn memory_of_idle_sockets(extensions: &str) {
    const SOCKETS: usize = 9_000;
    let writer = runtime("writer", 1);
    let server = runtime("server", 2);
    let (mut f, alice, room) = writer.block_on(async {
        let mut f = Fixture::running().await;
        let alice = f.world.register(Some("alice")).await;
        let room = f.world.create_room(alice, None, History::FromBeginning, "Lounge").await;
        (f, alice, room)
    });
    let options = Options { max_per_account: SOCKETS, ..Options::default() };
    let deps = f.deps();
    let s = server.block_on(async { tokio::spawn(Server::start(deps, options)).await.unwrap() });
    let token = f.token(alice);
    let mut streams: Vec<TcpStream> = (0..100).map(|_| connect(s.address, &token, extensions)).collect();
    let before = resident();
    streams.extend((0..SOCKETS - 100).map(|_| connect(s.address, &token, extensions)));
    let idle = resident();
    // And after each has been sent something.
    writer.block_on(f.send(room, alice, 10));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for stream in &mut streams {
                stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
                let (mut frames, mut events) = (Frames::default(), 0);
                let mut bytes = [0; 4096];
                while events < 10 {
                    let read = stream.read(&mut bytes).unwrap();
                    frames.bytes.extend_from_slice(&bytes[..read]);
                    events += frames.count();
                }
            }
        });
    });
    let after = resident();
    let per_socket = |bytes: usize| (bytes - before) as f64 / (SOCKETS - 100) as f64;
    println!("bytes per socket: {:.0} idle, {:.0} after ten events", per_socket(idle), per_socket(after));
}

/// Words as people use them: what a text of noise or of one letter would say of compression is worth nothing.
fn chatter(seed: usize, len: usize) -> String {
    const WORDS: [&str; 32] = [
        "the",
        "to",
        "is",
        "and",
        "you",
        "it",
        "in",
        "that",
        "of",
        "server",
        "have",
        "for",
        "on",
        "what",
        "but",
        "not",
        "with",
        "just",
        "this",
        "can",
        "if",
        "do",
        "try",
        "install",
        "then",
        "package",
        "my",
        "so",
        "error",
        "works",
        "again",
        "yesterday",
    ];
    let mut number = seed as u64 + 1;
    let mut text = String::new();
    while text.len() < len {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(WORDS[(number >> 59) as usize]);
        text.push(' ');
    }
    text.truncate(len);
    text
}

/// Counts whole frames in what a server sends.
#[derive(Default)]
struct Frames {
    bytes: Vec<u8>,
}

impl Frames {
    /// How many have ended since the last call.
    fn count(&mut self) -> usize {
        let (mut count, mut at) = (0, 0);
        while let Some(&[_, second, ref rest @ ..]) = self.bytes.get(at..) {
            let (header, len) = match (second, rest) {
                (126, [high, low, ..]) => (4, usize::from(u16::from_be_bytes([*high, *low]))),
                (126 | 127, _) => break,
                (len, _) => (2, usize::from(len)),
            };
            if self.bytes.len() < at + header + len {
                break;
            }
            at += header + len;
            count += 1;
        }
        self.bytes.drain(..at);
        count
    }
}

fn one_room_with_a_thousand_sockets(extensions: &str) {
    const SOCKETS: usize = 1_000;
    const MESSAGES: usize = 400;
    let writer = runtime("writer", 1);
    let server = runtime("server", 2);
    let client = runtime("client", 1);
    let (mut f, alice, room) = writer.block_on(async {
        let mut f = Fixture::running().await;
        let alice = f.world.register(Some("alice")).await;
        let room = f.world.create_room(alice, None, History::FromBeginning, "Lounge").await;
        (f, alice, room)
    });
    let deps = f.deps();
    let options = Options { max_per_account: SOCKETS, ..Options::default() };
    let s = server.block_on(async { tokio::spawn(Server::start(deps, options)).await.unwrap() });
    let token = f.token(alice);
    let sent = Arc::new(Mutex::new(Vec::<Instant>::with_capacity(MESSAGES)));
    let [received, bytes] = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
    let mut tasks = Vec::new();
    for _ in 0..SOCKETS {
        let stream = connect(s.address, &token, extensions);
        stream.set_nonblocking(true).unwrap();
        let (received, bytes, sent) = (received.clone(), bytes.clone(), sent.clone());
        tasks.push(client.spawn(async move {
            let mut stream = tokio::net::TcpStream::from_std(stream).unwrap();
            let mut latencies = Vec::with_capacity(MESSAGES);
            let mut frames = Frames::default();
            while latencies.len() < MESSAGES {
                let read = stream.read_buf(&mut frames.bytes).await.unwrap();
                bytes.fetch_add(read as u64, Ordering::Relaxed);
                for _ in 0..frames.count() {
                    let sent = sent.lock().unwrap()[latencies.len()];
                    latencies.push(sent.elapsed().as_secs_f64() * 1e3);
                    received.fetch_add(1, Ordering::Relaxed);
                }
            }
            latencies
        }));
    }
    let before = cpu_seconds("server");
    writer.block_on(async {
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        for index in 0..MESSAGES {
            tick.tick().await;
            sent.lock().unwrap().push(Instant::now());
            f.world.send(room, alice, &chatter(index, 256)).await;
        }
        let all = (SOCKETS * MESSAGES) as u64;
        eventually("all have all", || received.load(Ordering::Relaxed) == all).await;
    });
    let cpu = cpu_seconds("server") - before;
    let mut latencies: Vec<f64> = client.block_on(async {
        futures::future::join_all(tasks).await.into_iter().flat_map(Result::unwrap).collect()
    });
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    let deliveries = (SOCKETS * MESSAGES) as f64;
    println!(
        "send to socket: p50 {:.2} ms, p99 {:.2} ms; {:.2} CPU s per 1M deliveries of {:.0} bytes",
        at(0.5),
        at(0.99),
        cpu * 1e6 / deliveries,
        bytes.load(Ordering::Relaxed) as f64 / deliveries
    );
}

fn main() {
    memory_of_idle_sockets("");
    memory_of_idle_sockets(COMPRESSED);
    for _ in 0..3 {
        one_room_with_a_thousand_sockets("");
        one_room_with_a_thousand_sockets(COMPRESSED);
    }
}
