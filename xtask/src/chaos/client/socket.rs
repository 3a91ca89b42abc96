//! The stream of one client, and commands on it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::{Error, Message};
use uuid::Uuid;

use super::rest::{id, understand};
use super::{Client, Instance, Shared};
use crate::chaos::history::{Answer, Body, Connection, Frame, Seq, Started, Wanted, What};
use crate::chaos::random::Random;
use crate::chaos::tcp::connect;

/// From the connection to `started`: the stream may have to wait for what is down.
const OPEN_TIMEOUT: Duration = Duration::from_secs(20);
/// The server pings every 30 s; a client that hears nothing for longer has lost its server.
const SILENCE: Duration = Duration::from_secs(45);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// As over REST.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(100);
/// A client leaves its socket by itself after so many frames at the least, and at the most.
const FRAMES: (u64, u64) = (30, 400);

type Socket = WebSocketStream<TcpStream>;

pub struct Command {
    pub key: Uuid,
    pub wanted: Wanted,
    pub reply: oneshot::Sender<Reply>,
}

pub enum Reply {
    Accepted(Answer),
    Refused { status: u16, code: String },
}

/// Opens the stream again and again until all is over.
pub async fn run(shared: Arc<Shared>, client: Arc<Client>, number: u64, commands: mpsc::Receiver<Command>) {
    let random = Random::new(shared.seed, 2_000 + number);
    let mut stream = Stream { shared, client, random, commands, awaited: HashMap::new() };
    while !stream.shared.phase.borrow().over {
        if stream.connect().await.is_err() {
            // Commands that came meanwhile will be repeated by whoever gave them.
            while stream.commands.try_recv().is_ok() {}
            tokio::time::sleep(BETWEEN_ATTEMPTS).await;
        }
    }
}

struct Stream {
    shared: Arc<Shared>,
    client: Arc<Client>,
    random: Random,
    commands: mpsc::Receiver<Command>,
    /// Commands on the wire, by the client's own id.
    awaited: HashMap<String, oneshot::Sender<Reply>>,
}

impl Stream {
    /// One connection, from its opening to its end. `Err` if it did not come to a start.
    async fn connect(&mut self) -> Result<()> {
        let mut phase = self.shared.phase.clone();
        let round = phase.borrow_and_update().round;
        let shared = self.shared.clone();
        let instance = self.random.choose(&shared.targets.streams).context("no instance")?;
        let mut connection = Connection {
            account: self.client.account,
            instance: instance.name.clone(),
            opened: shared.recorder.now(),
            since: self.client.lock().places.clone(),
            started: None,
            frames: Vec::new(),
            ended: String::new(),
        };
        let opened = timeout(OPEN_TIMEOUT, open(instance, &self.client.token()))
            .await
            .context("no upgrade in time")?;
        let mut socket = match opened {
            Ok(socket) => socket,
            Err(error) => {
                if error.to_string().contains("401") {
                    self.client.log_in(&shared).await?;
                }
                return Err(error);
            }
        };
        let start = json!({"type": "start", "since": connection.since});
        socket.send(Message::text(start.to_string())).await?;
        let most = self.random.between(FRAMES.0, FRAMES.1) as usize;
        let mut waiting = OPEN_TIMEOUT;
        loop {
            let stall = std::mem::take(&mut self.client.lock().stall);
            if stall > 0 {
                tokio::time::sleep(Duration::from_millis(stall)).await;
            }
            tokio::select! {
                biased;
                changed = phase.changed() => {
                    let now = *phase.borrow();
                    if changed.is_err() || now.over || now.round != round {
                        connection.ended = "the client was told to".to_owned();
                        self.close(&mut socket, &mut connection).await;
                        break;
                    }
                }
                Some(command) = self.commands.recv(), if connection.started.is_some() => {
                    self.send(&mut socket, command).await;
                }
                next = timeout(waiting, socket.next()) => match next {
                    Err(_) => { connection.ended = "silence".to_owned(); break }
                    Ok(None) => { connection.ended = "the end".to_owned(); break }
                    Ok(Some(Err(error))) => { connection.ended = kind(&error); break }
                    Ok(Some(Ok(Message::Text(text)))) => {
                        if let Err(error) = self.hear(text.as_str(), &mut connection) {
                            connection.ended = format!("not understood: {error:#}: {text}");
                            break;
                        }
                        if connection.started.is_some() {
                            waiting = SILENCE;
                        }
                    }
                    Ok(Some(Ok(Message::Close(frame)))) => {
                        connection.ended = frame.map_or("closed".to_owned(), |frame| format!("closed {}", u16::from(frame.code)));
                        if connection.ended == "closed 4401" {
                            let _ = self.client.log_in(&shared).await;
                        }
                        break;
                    }
                    Ok(Some(Ok(_))) => {}
                }
            }
            if connection.frames.len() >= most {
                connection.ended = "the client went".to_owned();
                self.close(&mut socket, &mut connection).await;
                break;
            }
        }
        self.awaited.clear();
        let has_started = connection.started.is_some();
        if has_started {
            shared.recorder.connection(connection);
        }
        ensure!(has_started, "the stream did not start");
        Ok(())
    }

    /// Until the server has closed as well: what was on its way still counts.
    async fn close(&mut self, socket: &mut Socket, connection: &mut Connection) {
        let closing = async {
            let _ = socket.close(None).await;
            while let Some(Ok(message)) = socket.next().await {
                if let Message::Text(text) = message
                    && self.hear(text.as_str(), connection).is_err()
                {
                    return;
                }
            }
        };
        let _ = timeout(CLOSE_TIMEOUT, closing).await;
    }

    async fn send(&mut self, socket: &mut Socket, command: Command) {
        let Command { key, wanted, reply } = command;
        let id = key.to_string();
        let mut frame = json!({"type": "command", "id": id, "key": id});
        let (name, room) = match &wanted {
            Wanted::Create => return,
            Wanted::Join { room } => ("join_room", room),
            Wanted::Leave { room } => ("leave_room", room),
            Wanted::Send { room, text } => {
                frame["text"] = text.clone().into();
                ("send_message", room)
            }
        };
        frame["command"] = name.into();
        frame["room_id"] = room.to_string().into();
        self.awaited.insert(id, reply);
        // A socket that cannot send is noticed by whoever reads.
        let _ = socket.send(Message::text(frame.to_string())).await;
    }

    fn hear(&mut self, text: &str, connection: &mut Connection) -> Result<()> {
        let frame: Value = serde_json::from_str(text)?;
        match frame["type"].as_str().unwrap_or_default() {
            "started" => {
                let started = started(&frame)?;
                // Where a room begins is a place to resume from, even if nothing comes of it here.
                let places = started.rooms.iter().map(|(room, first)| (*room, first - 1));
                self.client.lock().places.extend(places);
                connection.started = Some(started);
            }
            kind @ ("event" | "hidden" | "gap") => {
                let at = self.shared.recorder.now();
                let frame = covered(kind, &frame, at)?;
                self.client.lock().places.insert(frame.room, frame.to);
                connection.frames.push(frame);
            }
            "accepted" => {
                let answer = understand(&frame).context("an answer without its fields")?;
                self.reply(&frame, Reply::Accepted(answer));
            }
            "rejected" => {
                let problem = &frame["problem"];
                let status = problem["status"].as_u64().unwrap_or(500) as u16;
                let code = problem["code"].as_str().unwrap_or("no code").to_owned();
                self.reply(&frame, Reply::Refused { status, code });
            }
            "error" | "refreshed" => {}
            other => bail!("a frame `{other}`"),
        }
        Ok(())
    }

    fn reply(&mut self, frame: &Value, reply: Reply) {
        if let Some(awaited) = frame["id"].as_str().and_then(|id| self.awaited.remove(id)) {
            let _ = awaited.send(reply);
        }
    }
}

/// Connects and upgrades; the stream has not started.
pub async fn open(instance: &Instance, token: &str) -> Result<Socket> {
    let stream = connect(instance.address).await?;
    let mut request = format!("ws://{}/v1/stream", instance.address).into_client_request()?;
    request.headers_mut().insert(AUTHORIZATION, format!("Bearer {token}").parse()?);
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, "roomlog.v1".parse()?);
    let (socket, _) = tokio_tungstenite::client_async(request, stream).await?;
    Ok(socket)
}

fn started(frame: &Value) -> Result<Started> {
    let rooms = frame["rooms"].as_object().context("`started` without rooms")?;
    let rooms = rooms
        .iter()
        .map(|(room, seq)| Ok((room.parse()?, seq.as_u64().context("no seq")?)))
        .collect::<Result<_>>()?;
    let not_member = frame["not_member"].as_array().map_or(&[][..], Vec::as_slice);
    let not_member = not_member
        .iter()
        .map(|room| Ok(room.as_str().unwrap_or_default().parse()?))
        .collect::<Result<_>>()?;
    Ok(Started { rooms, not_member })
}

fn covered(kind: &str, frame: &Value, at: u64) -> Result<Frame> {
    let room = id(frame, "room_id")?;
    let seq = |name: &str| frame[name].as_u64().with_context(|| format!("no `{name}`"));
    let range = || -> Result<(Seq, Seq)> { Ok((seq("from")?, seq("to")?)) };
    let ((from, to), body) = match kind {
        "event" => ((seq("seq")?, seq("seq")?), event(&frame["event"])?),
        "hidden" => (range()?, Body::Hidden),
        // One without an end says that nothing comes for now.
        _ => ((seq("from")?, seq("to").or_else(|_| seq("from"))?), Body::Gap),
    };
    Ok(Frame { at, room, from, to, body })
}

/// As on the stream and in pages of events.
pub fn event(event: &Value) -> Result<Body> {
    let kind = event["type"].as_str().unwrap_or_default();
    let what = match kind {
        "room_created" => What::Created {
            by: id(event, "creator_id")?,
            from_beginning: event["history"] == "from_beginning",
        },
        "member_joined" => What::Joined { account: id(event, "account_id")? },
        "member_left" => What::Left { account: id(event, "account_id")? },
        "message_sent" => What::Sent { message: id(event, "message_id")?, author: id(event, "author_id")? },
        other => bail!("an event `{other}`"),
    };
    Ok(Body::Event { what, text: event["text"].as_str().map(str::to_owned) })
}

fn kind(error: &Error) -> String {
    match error {
        Error::Io(_) => "connection lost".to_owned(),
        Error::Protocol(error) => format!("protocol: {error}"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_understood() {
        let room = Uuid::from_u128(1);
        let frame = json!({"type": "hidden", "room_id": room, "from": 3, "to": 5});
        let hidden = covered("hidden", &frame, 9).unwrap();
        assert_eq!((hidden.from, hidden.to, hidden.at, hidden.body), (3, 5, 9, Body::Hidden));
        let left = json!({"type": "member_left", "account_id": room, "at": "x"});
        let frame = json!({"type": "event", "room_id": room, "seq": 7, "event": left});
        let event = covered("event", &frame, 9).unwrap();
        assert_eq!((event.from, event.to), (7, 7));
        assert_eq!(event.body, Body::Event { what: What::Left { account: room }, text: None });
        assert!(covered("event", &json!({"room_id": room}), 9).is_err());
    }
}
