//! One socket of the live stream: how it is opened, and what its frames say.

use std::borrow::Cow;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use futures::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::audit::Arrival;
use super::request::number_of;
use crate::bench::addresses;

pub type Socket = WebSocketStream<TcpStream>;

/// What a socket is opened with.
pub struct Opening<'a> {
    pub address: SocketAddr,
    /// Among all connections of the load.
    pub number: usize,
    pub room_id: &'a str,
    pub token: &'a str,
    /// Bytes of its read buffer.
    pub buffer: usize,
    /// The last seq that it has, and the log that it is of; without it the stream begins at the log's end.
    pub since: Option<(u64, &'a str)>,
}

pub struct Started {
    pub socket: Socket,
    /// The room's first seq to come; none where the stream does not know yet that the account is a member.
    pub next_seq: Option<u64>,
    pub log_id: String,
}

/// Waits for `started`, for ever.
pub async fn open(opening: &Opening<'_>) -> Result<Started> {
    let Opening { address, number, room_id, token, buffer, since } = opening;
    let stream = addresses::connect(*address, *number).await?;
    let mut request = format!("ws://{address}/v1/stream").into_client_request()?;
    request.headers_mut().insert(AUTHORIZATION, format!("Bearer {token}").parse()?);
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, "roomlog.v1".parse()?);
    let config = WebSocketConfig::default().read_buffer_size(*buffer).write_buffer_size(0);
    let (mut socket, _) = tokio_tungstenite::client_async_with_config(request, stream, Some(config))
        .await
        .context("the stream was refused")?;
    socket.send(Message::text(start(room_id, *since))).await?;
    while let Some(message) = socket.next().await {
        let Message::Text(text) = message? else { continue };
        let frame: serde_json::Value = serde_json::from_str(&text)?;
        if frame["type"] == "started" {
            let log_id = frame["log_id"].as_str().unwrap_or_default().to_owned();
            return Ok(Started { socket, next_seq: frame["rooms"][room_id].as_u64(), log_id });
        }
    }
    bail!("the stream ended before `started`")
}

fn start(room_id: &str, since: Option<(u64, &str)>) -> String {
    match since {
        None => json!({ "type": "start" }),
        Some((seq, log_id)) => json!({ "type": "start", "log_id": log_id, "since": { room_id: seq } }),
    }
    .to_string()
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

/// What a frame brings to a socket of this room. The error is its name among the figures.
pub fn understand(text: &str, room_id: &str) -> Result<Arrival, String> {
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

    #[test]
    fn a_socket_resumes_after_what_it_has() {
        assert_eq!(start("r", None), r#"{"type":"start"}"#);
        let resume: serde_json::Value = serde_json::from_str(&start("r", Some((7, "log")))).unwrap();
        assert_eq!(resume, json!({ "type": "start", "log_id": "log", "since": { "r": 7 } }));
    }
}
