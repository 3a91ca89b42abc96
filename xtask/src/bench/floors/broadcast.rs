//! A server that passes each message on to the sockets of its room and stores nothing: what HTTP and WebSockets cost
//! by themselves. It speaks as much of Roomlog's API as the load needs; rooms are numbers, and so are tokens.

use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use futures::{SinkExt, StreamExt};
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::broadcast::{self, Receiver, Sender};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::broadcast_http::{self, Request};

/// Messages that a socket may be behind by before it loses some: a second's worth of one room at the peak.
const BEHIND: usize = 4_096;

/// Clients send next to nothing.
const READ_BUFFER: usize = 4 * 1024;

struct Room {
    next_seq: Mutex<u64>,
    events: Sender<Utf8Bytes>,
}

/// Prints its address and serves until its input ends.
pub fn run(rooms: usize) -> Result<()> {
    let room = |_| Room { next_seq: Mutex::new(1), events: broadcast::channel(BEHIND).0 };
    let rooms: Arc<[Room]> = (0..rooms).map(room).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    println!("{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    runtime.spawn(accept(listener, rooms));
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    // Whatever is still connected ends with the process.
    runtime.shutdown_background();
    Ok(())
}

async fn accept(listener: TcpListener, rooms: Arc<[Room]>) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let rooms = rooms.clone();
        tokio::spawn(async move {
            // A client that breaks off is no error.
            let _ = serve(stream, &rooms).await;
        });
    }
}

async fn serve(mut stream: TcpStream, rooms: &[Room]) -> Result<()> {
    let mut received = Vec::new();
    while let Some(request) = broadcast_http::receive(&mut stream, &mut received).await? {
        match request {
            Request::Message { room, body } => {
                let seq = rooms.get(room).context("no such room")?.publish(room, &received[body.clone()])?;
                let answer = format!(r#"{{"message_id":"-","seq":{seq},"position":"-"}}"#);
                broadcast_http::answer(&mut stream, &answer).await?;
                received.drain(..body.end);
            }
            Request::Stream { room, accept_key } => {
                broadcast_http::upgrade(&mut stream, &accept_key).await?;
                return stream_events(stream, room, rooms.get(room).context("no such room")?).await;
            }
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct Body<'a> {
    text: &'a str,
}

impl Room {
    fn publish(&self, number: usize, body: &[u8]) -> Result<u64> {
        let Body { text } = serde_json::from_slice(body)?;
        // Held until the event is in the channel: events keep the order of their numbers.
        let mut next_seq = self.next_seq.lock().unwrap_or_else(PoisonError::into_inner);
        let seq = *next_seq;
        *next_seq += 1;
        let event = format!(
            r#"{{"type":"event","room_id":"{number}","seq":{seq},"event":{{"type":"message_sent","text":"{text}"}}}}"#
        );
        // Nobody may be listening.
        let _ = self.events.send(event.into());
        Ok(seq)
    }

    fn subscribe(&self) -> (u64, Receiver<Utf8Bytes>) {
        let next_seq = self.next_seq.lock().unwrap_or_else(PoisonError::into_inner);
        (*next_seq, self.events.subscribe())
    }
}

async fn stream_events(stream: TcpStream, number: usize, room: &Room) -> Result<()> {
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER).write_buffer_size(READ_BUFFER);
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    socket.next().await.context("no start")??;
    let (next_seq, mut events) = room.subscribe();
    socket.send(Message::text(format!(r#"{{"type":"started","rooms":{{"{number}":{next_seq}}}}}"#))).await?;
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => {
                    socket.feed(Message::Text(event)).await?;
                    feed_waiting(&mut socket, &mut events).await?;
                    socket.flush().await?;
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Ok(()),
            },
            message = socket.next() => match message {
                Some(Ok(_)) => {}
                _ => return Ok(()),
            },
        }
    }
}

/// What has come in the meantime goes out with the same write.
async fn feed_waiting(
    socket: &mut WebSocketStream<TcpStream>,
    events: &mut Receiver<Utf8Bytes>,
) -> Result<()> {
    loop {
        match events.try_recv() {
            Ok(event) => socket.feed(Message::Text(event)).await?,
            Err(TryRecvError::Lagged(_)) => {}
            Err(TryRecvError::Empty | TryRecvError::Closed) => return Ok(()),
        }
    }
}
