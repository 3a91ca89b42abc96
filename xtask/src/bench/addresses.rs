//! Where the load goes, and where it comes from.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpSocket, TcpStream};

/// By role. No list is empty; where one address serves all, each names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    pub commands: Vec<SocketAddr>,
    pub queries: Vec<SocketAddr>,
    pub streams: Vec<SocketAddr>,
    /// Of the processes with projections, for their metrics; empty where there are none.
    pub projectors: Vec<SocketAddr>,
}

impl Addresses {
    /// One address for everything, a server without projections.
    pub fn one(address: SocketAddr) -> Self {
        let all = vec![address];
        Self { commands: all.clone(), queries: all.clone(), streams: all, projectors: Vec::new() }
    }

    /// Where the `number`th of those that give commands gives them: they take turns.
    pub fn command(&self, number: usize) -> SocketAddr {
        in_turn(&self.commands, number)
    }

    pub fn query(&self, number: usize) -> SocketAddr {
        in_turn(&self.queries, number)
    }

    /// Where the `number`th socket is opened. One that is opened again goes on to the next.
    pub fn stream(&self, number: usize, attempt: usize) -> SocketAddr {
        in_turn(&self.streams, number.wrapping_add(attempt))
    }
}

fn in_turn(addresses: &[SocketAddr], number: usize) -> SocketAddr {
    addresses[number % addresses.len()]
}

/// Connections from one address to another are told apart by their local port alone, of which a system gives out some
/// 28,000.
const CONNECTIONS_PER_SOURCE: usize = 20_000;

/// The address on loopback that the `number`th connection comes from.
fn source(number: usize) -> Ipv4Addr {
    let further = (number / CONNECTIONS_PER_SOURCE).min(200) as u8;
    Ipv4Addr::new(127, 0, 0, 1 + further)
}

/// Opens the `number`th connection of many.
pub async fn connect(address: SocketAddr, number: usize) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    let source = source(number);
    if source != Ipv4Addr::LOCALHOST {
        socket.bind(SocketAddr::new(IpAddr::V4(source), 0)).context("there is no local port")?;
    }
    let stream = socket.connect(address).await.context("cannot connect")?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn turns_go_round_the_processes_of_a_role() {
        let addresses = Addresses {
            commands: vec![address(1), address(2)],
            queries: vec![address(3)],
            streams: vec![address(4), address(5), address(6)],
            projectors: Vec::new(),
        };
        let turns = |of: &dyn Fn(usize) -> SocketAddr| (0..4).map(|n| of(n).port()).collect::<Vec<_>>();
        assert_eq!(turns(&|n| addresses.command(n)), [1, 2, 1, 2]);
        assert_eq!(turns(&|n| addresses.query(n)), [3, 3, 3, 3]);
        assert_eq!(turns(&|n| addresses.stream(n, 0)), [4, 5, 6, 4]);
        assert_eq!(turns(&|attempt| addresses.stream(2, attempt)), [6, 4, 5, 6]);
    }

    #[test]
    fn one_source_never_has_more_connections_than_ports() {
        assert_eq!(source(0), Ipv4Addr::LOCALHOST);
        assert_eq!(source(CONNECTIONS_PER_SOURCE - 1), Ipv4Addr::LOCALHOST);
        assert_eq!(source(CONNECTIONS_PER_SOURCE), Ipv4Addr::new(127, 0, 0, 2));
        assert_eq!(source(5 * CONNECTIONS_PER_SOURCE), Ipv4Addr::new(127, 0, 0, 6));
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn a_connection_comes_from_its_source() {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let _stream = connect(address, CONNECTIONS_PER_SOURCE).await.unwrap();
        let (_, from) = listener.accept().await.unwrap();
        assert_eq!(from.ip(), Ipv4Addr::new(127, 0, 0, 2));
    }
}
