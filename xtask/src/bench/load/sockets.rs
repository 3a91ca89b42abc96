//! Those who receive.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::{SinkExt, StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::audit::Arrival;
use super::request::number_of;
use super::stage::Room;
use super::{Plan, SharedStage, SharedTally};

const OPENED_AT_ONCE: usize = 32;

/// From the connection to `started` with the room in it. The stream may have to catch up with the joins first.
const OPEN_DEADLINE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// Read buffers of all sockets together; few sockets get larger ones, to take much with one call of the system.
const READ_BUFFERS: usize = 16 * 1024 * 1024;
const READ_BUFFER_MIN: usize = 4 * 1024;
const READ_BUFFER_MAX: usize = 64 * 1024;

type Socket = WebSocketStream<TcpStream>;

/// Opens every socket of the workload and keeps them receiving from then on.
pub async fn open_all(plan: &Plan, stage: &SharedStage, tally: &SharedTally) -> Result<()> {
    let count = plan.workload.sockets();
    eprintln!("  opening {count} sockets");
    let buffer = (READ_BUFFERS / count.max(1)).clamp(READ_BUFFER_MIN, READ_BUFFER_MAX);
    let places = (0..plan.workload.rooms)
        .flat_map(|room| (0..plan.workload.sockets_per_room).map(move |socket| (room, socket)));
    stream::iter(places)
        .map(Ok)
        .try_for_each_concurrent(OPENED_AT_ONCE, |(room, socket)| async move {
            let Room { id, members } = &stage.rooms[room];
            let token = &members[socket % members.len()];
            let (socket, next_seq) = open(plan.address, id, token, buffer).await?;
            let number = tally.borrow_mut().add_socket(room, next_seq);
            tokio::task::spawn_local(receive(socket, number, stage.clone(), room, tally.clone()));
            Ok(())
        })
        .await
}

/// Answers the room's first seq to come as well.
async fn open(address: SocketAddr, room_id: &str, token: &str, buffer: usize) -> Result<(Socket, u64)> {
    let started = Instant::now();
    loop {
        let attempt = tokio::time::timeout(OPEN_DEADLINE, start(address, room_id, token, buffer));
        let (socket, next_seq) = attempt.await.context("no `started` in time")??;
        if let Some(next_seq) = next_seq {
            return Ok((socket, next_seq));
        }
        ensure!(started.elapsed() < OPEN_DEADLINE, "`started` does not name the room {room_id}");
        tokio::time::sleep(PAUSE).await;
    }
}

async fn start(
    address: SocketAddr,
    room_id: &str,
    token: &str,
    buffer: usize,
) -> Result<(Socket, Option<u64>)> {
    let stream = TcpStream::connect(address).await.context("cannot connect")?;
    stream.set_nodelay(true)?;
    let mut request = format!("ws://{address}/v1/stream").into_client_request()?;
    request.headers_mut().insert(AUTHORIZATION, format!("Bearer {token}").parse()?);
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, "roomlog.v1".parse()?);
    let config = WebSocketConfig::default().read_buffer_size(buffer).write_buffer_size(0);
    let (mut socket, _) = tokio_tungstenite::client_async_with_config(request, stream, Some(config))
        .await
        .context("the stream was refused")?;
    socket.send(Message::text(r#"{"type":"start"}"#)).await?;
    while let Some(message) = socket.next().await {
        let Message::Text(text) = message? else { continue };
        let frame: serde_json::Value = serde_json::from_str(&text)?;
        if frame["type"] == "started" {
            return Ok((socket, frame["rooms"][room_id].as_u64()));
        }
    }
    bail!("the stream ended before `started`")
}

/// Until the socket ends, which is an error.
async fn receive(mut socket: Socket, number: usize, stage: SharedStage, room: usize, tally: SharedTally) {
    let room_id = &stage.rooms[room].id;
    while let Some(Ok(message)) = socket.next().await {
        let now = Instant::now();
        let text = match &message {
            Message::Text(text) => text.as_str(),
            Message::Close(_) => break,
            _ => continue,
        };
        let mut tally = tally.borrow_mut();
        match understand(text, room_id) {
            Ok(arrival) => tally.arrived(number, arrival, now),
            Err(what) => tally.count_error(what),
        }
    }
    tally.borrow_mut().count_error("socket_ended".to_owned());
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    room_id: Option<Cow<'a, str>>,
    seq: Option<u64>,
    from: Option<u64>,
    to: Option<u64>,
    #[serde(borrow)]
    event: Option<Event<'a>>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
}

/// The error is its name among the figures.
fn understand(text: &str, room_id: &str) -> Result<Arrival, String> {
    let frame: Frame<'_> = serde_json::from_str(text).map_err(|_| "frame_not_understood".to_owned())?;
    if frame.room_id.as_deref().is_some_and(|room| room != room_id) {
        return Ok(Arrival::ForeignRoom);
    }
    match (&*frame.kind, frame.seq, frame.from, frame.to) {
        ("event", Some(seq), ..) => {
            let number = frame.event.and_then(|event| number_of(&event.text?));
            Ok(number.map_or(Arrival::Other { seq }, |number| Arrival::Message { number, seq }))
        }
        ("hidden", _, Some(from), Some(to)) => Ok(Arrival::Hidden { from, to }),
        (kind, ..) => Err(format!("frame_{kind}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_understood() {
        let message = r#"{"type":"event","room_id":"r","seq":7,"event":{"type":"message_sent","at":"x","text":"message 0000000012 …"}}"#;
        assert_eq!(understand(message, "r"), Ok(Arrival::Message { number: 12, seq: 7 }));
        assert_eq!(understand(message, "s"), Ok(Arrival::ForeignRoom));
        let join =
            r#"{"type":"event","room_id":"r","seq":8,"event":{"type":"member_joined","role":"member"}}"#;
        assert_eq!(understand(join, "r"), Ok(Arrival::Other { seq: 8 }));
        let erased = r#"{"type":"event","room_id":"r","seq":9,"event":{"type":"message_sent","text":null}}"#;
        assert_eq!(understand(erased, "r"), Ok(Arrival::Other { seq: 9 }));
        let hidden = r#"{"type":"hidden","room_id":"r","from":2,"to":3}"#;
        assert_eq!(understand(hidden, "r"), Ok(Arrival::Hidden { from: 2, to: 3 }));
        assert_eq!(understand(r#"{"type":"gap","room_id":"r"}"#, "r"), Err("frame_gap".to_owned()));
        assert_eq!(understand("{}", "r"), Err("frame_not_understood".to_owned()));
    }
}
