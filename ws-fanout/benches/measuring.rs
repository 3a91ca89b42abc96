//! Figures of the fan-out alone: the log is in memory, clients only count. On demand:
//! `cargo bench -p roomlog-ws-fanout --bench measuring`

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{Fixture, Server, eventually};
use roomlog_schemas::History;
use roomlog_ws_fanout::Options;
use tokio::io::AsyncReadExt;
use tokio::runtime::{Builder, Runtime};

const START: &[u8] = br#"{"type":"start"}"#;

/// A started socket without any code of its own.
fn connect(address: SocketAddr, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!(
        "GET /v1/stream HTTP/1.1\r\nHost: {address}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: roomlog.v1\r\nAuthorization: Bearer {token}\r\n\r\n"
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

fn memory_of_idle_sockets() {
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
    let mut streams: Vec<TcpStream> = (0..100).map(|_| connect(s.address, &token)).collect();
    let before = resident();
    streams.extend((0..SOCKETS - 100).map(|_| connect(s.address, &token)));
    let idle = resident();
    // And after each has been sent something.
    writer.block_on(f.send(room, alice, 10));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for stream in &mut streams {
                stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
                let mut bytes = [0; 4096];
                let mut events = 0;
                while events < 10 {
                    let read = stream.read(&mut bytes).unwrap();
                    events += bytes[..read].windows(8).filter(|window| window == b"{\"type\":").count()
                        - bytes[..read].windows(17).filter(|w| w == b"\"event\":{\"type\":\"m").count();
                }
            }
        });
    });
    let after = resident();
    let per_socket = |bytes: usize| (bytes - before) as f64 / (SOCKETS - 100) as f64;
    println!("bytes per socket: {:.0} idle, {:.0} after ten events", per_socket(idle), per_socket(after));
}

fn one_room_with_a_thousand_sockets() {
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
    let origin = Instant::now();
    let received = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for _ in 0..SOCKETS {
        let stream = connect(s.address, &token);
        stream.set_nonblocking(true).unwrap();
        let received = received.clone();
        tasks.push(client.spawn(async move {
            let mut stream = tokio::net::TcpStream::from_std(stream).unwrap();
            let mut latencies = Vec::with_capacity(MESSAGES);
            let mut buffer = Vec::new();
            while latencies.len() < MESSAGES {
                stream.read_buf(&mut buffer).await.unwrap();
                let text = String::from_utf8_lossy(&buffer);
                let mut end = 0;
                for (at, _) in text.match_indices("@@") {
                    let Some((nanos, _)) = text[at + 2..].split_once(';') else { break };
                    let sent = Duration::from_nanos(nanos.parse().unwrap());
                    latencies.push((origin.elapsed() - sent).as_secs_f64() * 1e3);
                    received.fetch_add(1, Ordering::Relaxed);
                    end = at + 2;
                }
                if text.len() == buffer.len() || end > 0 {
                    buffer.drain(..end.min(buffer.len()));
                }
            }
            latencies
        }));
    }
    let before = cpu_seconds("server");
    writer.block_on(async {
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        for _ in 0..MESSAGES {
            tick.tick().await;
            let text = format!("@@{};{}", origin.elapsed().as_nanos(), "x".repeat(240));
            f.world.send(room, alice, &text).await;
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
    println!(
        "send to socket: p50 {:.2} ms, p99 {:.2} ms; {:.2} CPU s per 1M deliveries",
        at(0.5),
        at(0.99),
        cpu * 1e6 / (SOCKETS * MESSAGES) as f64
    );
}

fn main() {
    memory_of_idle_sockets();
    one_room_with_a_thousand_sockets();
}
