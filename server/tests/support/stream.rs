//! A client of the live stream.

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::{Account, DEADLINE, Server};

pub struct Stream {
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub started: Value,
}

impl Stream {
    /// Opens the stream from these seqs on.
    pub async fn open(server: &Server, who: &Account, since: Value) -> Self {
        let mut socket =
            connect(server, &[("authorization", &format!("Bearer {}", who.token))]).await.unwrap();
        socket.send(Message::text(json!({"type": "start", "since": since}).to_string())).await.unwrap();
        let started = next(&mut socket).await.expect("the stream starts");
        assert_eq!(started["type"], "started", "{started}");
        Self { socket, started }
    }

    /// The next frame; `None` once the server has closed.
    pub async fn next(&mut self) -> Option<Value> {
        next(&mut self.socket).await
    }

    /// Events up to and including the one with this text.
    pub async fn until_text(&mut self, text: &str) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let frame = self.next().await.expect("the stream goes on");
            let found = frame["event"]["text"] == text;
            events.push(frame);
            if found {
                return events;
            }
        }
    }

    pub async fn send(&mut self, frame: Value) {
        self.socket.send(Message::text(frame.to_string())).await.unwrap();
    }
}

/// Connects with these headers and the platform's subprotocol.
pub async fn connect(
    server: &Server,
    headers: &[(&'static str, &str)],
) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>, tungstenite::Error> {
    let url = format!("{}/v1/stream", server.url.replace("http://", "ws://"));
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "roomlog.v1".parse().unwrap());
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    timeout(DEADLINE, tokio_tungstenite::connect_async(request))
        .await
        .expect("an answer in time")
        .map(|(s, _)| s)
}

async fn next(socket: &mut WebSocketStream<MaybeTlsStream<TcpStream>>) -> Option<Value> {
    loop {
        match timeout(DEADLINE, socket.next()).await.expect("a frame in time") {
            Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).unwrap()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
            Some(Ok(other)) => panic!("unexpected frame {other:?}"),
        }
    }
}
