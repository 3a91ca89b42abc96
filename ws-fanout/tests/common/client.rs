//! A client of the stream.

use std::net::SocketAddr;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use roomlog_schemas::RoomId;
use serde_json::{Map, Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, Request, Response};
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::PATIENCE;

/// A request for a socket.
pub struct Handshake {
    address: SocketAddr,
    request: Request<()>,
    receive_buffer: Option<u32>,
}

impl Handshake {
    /// With the subprotocol.
    pub fn new(address: SocketAddr) -> Self {
        Self::at(address, "/v1/stream").header("sec-websocket-protocol", "roomlog.v1")
    }

    pub fn at(address: SocketAddr, path: &str) -> Self {
        let request = format!("ws://{address}{path}").into_client_request().unwrap();
        Self { address, request, receive_buffer: None }
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.request.headers_mut().insert(HeaderName::from_static(name), value.parse().unwrap());
        self
    }

    pub fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// The kernel takes in little for a client that does not read.
    pub fn receive_buffer(mut self, bytes: u32) -> Self {
        self.receive_buffer = Some(bytes);
        self
    }

    /// A socket, or the answer that refuses it with its problem.
    pub async fn open(self) -> Result<Client, (Response<()>, Value)> {
        Ok(self.open_with_response().await?.0)
    }

    pub async fn open_with_response(self) -> Result<(Client, Response<()>), (Response<()>, Value)> {
        let socket = TcpSocket::new_v4().unwrap();
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes).unwrap();
        }
        let stream = socket.connect(self.address).await.unwrap();
        match timeout(PATIENCE, client_async(self.request, stream)).await.unwrap() {
            Ok((stream, response)) => Ok((Client { stream }, response.map(drop))),
            Err(Error::Http(response)) => {
                let body = response.body().clone().unwrap_or_default();
                let problem = serde_json::from_slice(&body).unwrap_or_default();
                Err((response.map(drop), problem))
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Status and `code` of the answer that refuses it.
    pub async fn refused(self) -> (u16, String) {
        match self.open().await {
            Ok(_) => panic!("accepted"),
            Err((response, problem)) => {
                assert_eq!(response.headers()["content-type"], "application/problem+json");
                (response.status().as_u16(), problem["code"].as_str().unwrap_or_default().to_owned())
            }
        }
    }
}

pub struct Client {
    pub stream: WebSocketStream<TcpStream>,
}

impl Client {
    pub async fn send(&mut self, message: Value) {
        self.text(&message.to_string()).await;
    }

    pub async fn text(&mut self, text: &str) {
        self.message(Message::text(text)).await;
    }

    pub async fn message(&mut self, message: Message) {
        timeout(PATIENCE, self.stream.send(message)).await.unwrap().unwrap();
    }

    /// One text message in several frames.
    pub async fn fragments(&mut self, parts: &[&str]) {
        for (index, part) in parts.iter().enumerate() {
            let code = if index == 0 { Data::Text } else { Data::Continue };
            let frame =
                Frame::message(part.as_bytes().to_vec(), OpCode::Data(code), index + 1 == parts.len());
            self.message(Message::Frame(frame)).await;
        }
    }

    /// Sends `start` and waits for the answer.
    pub async fn start(&mut self, since: &[(RoomId, u64)]) -> Value {
        let since: Map<String, Value> =
            since.iter().map(|(room, seq)| (room.to_string(), json!(seq))).collect();
        self.send(json!({"type": "start", "since": since})).await;
        let started = self.next().await;
        assert_eq!(started["type"], "started", "{started}");
        started
    }

    /// The next JSON frame.
    pub async fn next(&mut self) -> Value {
        loop {
            match timeout(PATIENCE, self.stream.next()).await.expect("a frame in time") {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// So many JSON frames, each as short text: `12` for an event, `3-4 hidden`, `3-4 gap`.
    pub async fn seqs(&mut self, count: usize) -> Vec<String> {
        let mut seqs = Vec::new();
        for _ in 0..count {
            seqs.push(short(&self.next().await));
        }
        seqs
    }

    /// Events up to and including this seq, of whatever room.
    pub async fn up_to(&mut self, seq: u64) -> Vec<String> {
        let mut seqs = Vec::new();
        while seqs.last() != Some(&seq.to_string()) {
            seqs.push(short(&self.next().await));
        }
        seqs
    }

    /// Nothing has been sent: what is asked for now is answered first.
    pub async fn nothing(&mut self) {
        self.nothing_but(&[]).await;
    }

    pub async fn nothing_but(&mut self, expected: &[&str]) {
        let frames = self.probe().await;
        assert_eq!(frames.iter().map(short).collect::<Vec<_>>(), expected, "{frames:?}");
    }

    /// What has been sent, up to the answer to what is asked for now.
    pub async fn probe(&mut self) -> Vec<Value> {
        self.send(json!({
            "type": "command", "id": "probe", "key": "nonsense",
            "command": "join_room", "room_id": RoomId::from_u128(1),
        }))
        .await;
        let mut frames = Vec::new();
        loop {
            let frame = self.next().await;
            if frame["id"] == "probe" {
                return frames;
            }
            frames.push(frame);
        }
    }

    /// Everything up to the close frame, and its code.
    pub async fn closed(&mut self) -> (Vec<Value>, u16) {
        let mut frames = Vec::new();
        loop {
            match timeout(PATIENCE, self.stream.next()).await.expect("a close frame in time") {
                Some(Ok(Message::Text(text))) => frames.push(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(Some(close)))) => return (frames, CloseCode::into(close.code)),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("{other:?} after {} frames", frames.len()),
            }
        }
    }

    /// The `code` of the error frame, if there was one, and that of the close frame.
    pub async fn failed(&mut self) -> (Option<String>, u16) {
        let (frames, code) = self.closed().await;
        let error = frames.iter().find(|frame| frame["type"] == "error");
        (error.map(|error| error["code"].as_str().unwrap().to_owned()), code)
    }

    /// Frames that come within a short while.
    pub async fn poll(&mut self, patience: Duration) -> Option<Value> {
        match timeout(patience, self.stream.next()).await {
            Ok(Some(Ok(Message::Text(text)))) => Some(serde_json::from_str(&text).unwrap()),
            _ => None,
        }
    }
}

pub fn short(frame: &Value) -> String {
    match frame["type"].as_str().unwrap() {
        "event" => frame["seq"].to_string(),
        kind @ ("hidden" | "gap") => format!("{}-{} {kind}", frame["from"], frame["to"]),
        kind => kind.to_owned(),
    }
}

pub fn texts(seqs: std::ops::RangeInclusive<u64>) -> Vec<String> {
    seqs.map(|seq| seq.to_string()).collect()
}
