//! A small TCP proxy: connections that go through it can be cut, held and slowed down.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

const BUFFER: usize = 16 * 1024;
const RECEIVE_BUFFER: u32 = 32 * 1024;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Weather {
    /// Connections that were opened before it changed are cut.
    cuts: u32,
    /// Nothing gets through, and nobody is told: a half-open connection.
    is_held: bool,
    /// Milliseconds that everything takes longer.
    delay: u64,
}

/// A way to one address.
pub struct Path {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
}

impl Path {
    /// Opens a way to `target` on a port of its own. Has to be called within a runtime; the way closes with it.
    pub fn open(target: SocketAddr) -> Result<Self> {
        let listener =
            std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("there is no free port")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = TcpListener::from_std(listener)?;
        let (weather, seen) = watch::channel(Weather::default());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, target, seen.clone()));
            }
        });
        Ok(Self { address, weather })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection at once, on both sides.
    pub fn cut(&self) {
        self.weather.send_modify(|weather| weather.cuts += 1);
    }

    /// From now on nothing gets through, and no side is told.
    pub fn hold(&self) {
        self.weather.send_modify(|weather| weather.is_held = true);
    }

    /// What was held goes on.
    pub fn release(&self) {
        self.weather.send_modify(|weather| weather.is_held = false);
    }

    pub fn delay(&self, millis: u64) {
        self.weather.send_modify(|weather| weather.delay = millis);
    }
}

/// With little room for what is not read: a reader that is slow shall be felt by who sends.
pub async fn connect(target: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.set_nodelay(true)?;
    socket.connect(target).await
}

async fn carry(client: TcpStream, target: SocketAddr, weather: watch::Receiver<Weather>) {
    // A target that is down refuses; so does the way to it.
    let Ok(server) = connect(target).await else { return };
    let _ = client.set_nodelay(true);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = one_way(from_client, to_server, weather.clone()) => {}
        () = one_way(from_server, to_client, weather) => {}
    }
}

/// Until either side ends it. The end of one direction is the end of both: HTTP and PostgreSQL do not half-close.
async fn one_way(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut weather: watch::Receiver<Weather>) {
    let cuts = weather.borrow_and_update().cuts;
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = tokio::select! {
            cut = weather.wait_for(|weather| weather.cuts != cuts) => { drop(cut); return }
            read = from.read(&mut buffer) => read,
        };
        let length = match read {
            Ok(0) | Err(_) => return,
            Ok(length) => length,
        };
        let now = *weather.borrow();
        if now.delay > 0 {
            tokio::time::sleep(Duration::from_millis(now.delay)).await;
        }
        let is_closed = weather.wait_for(|weather| !weather.is_held || weather.cuts != cuts).await.is_err();
        if is_closed || weather.borrow().cuts != cuts {
            return;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Duration = Duration::from_secs(30);

    /// A server that repeats what it hears, and a way to it.
    async fn way() -> Path {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let target = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (mut from, mut to) = stream.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut from, &mut to).await });
            }
        });
        Path::open(target).unwrap()
    }

    async fn hear(stream: &mut TcpStream) -> Option<u8> {
        tokio::time::timeout(DEADLINE, stream.read_u8()).await.unwrap().ok()
    }

    #[tokio::test]
    async fn what_is_sent_arrives_until_the_way_is_cut() {
        let way = way().await;
        let mut stream = TcpStream::connect(way.address()).await.unwrap();
        stream.write_u8(7).await.unwrap();
        assert_eq!(hear(&mut stream).await, Some(7));
        way.cut();
        assert_eq!(hear(&mut stream).await, None);
        let mut another = TcpStream::connect(way.address()).await.unwrap();
        another.write_u8(8).await.unwrap();
        assert_eq!(hear(&mut another).await, Some(8));
    }

    #[tokio::test]
    async fn what_is_held_arrives_when_it_is_released() {
        let way = way().await;
        let mut stream = TcpStream::connect(way.address()).await.unwrap();
        stream.write_u8(7).await.unwrap();
        assert_eq!(hear(&mut stream).await, Some(7));
        way.hold();
        stream.write_u8(8).await.unwrap();
        let early = tokio::time::timeout(Duration::from_millis(50), stream.read_u8()).await;
        assert!(early.is_err(), "{early:?}");
        way.release();
        assert_eq!(hear(&mut stream).await, Some(8));
    }
}
