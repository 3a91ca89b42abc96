//! Which ports a server listens on.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};

use super::server::Server;

#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub client: u16,
    /// For the servers of one cluster among themselves: Kafka's controller, Cassandra's storage.
    pub internal: u16,
}

impl Ports {
    /// All are free at the time of the call; another process may still be faster.
    pub fn choose(server: &Server, requested: Option<u16>) -> Result<Self> {
        let client = match requested {
            Some(port) => bind(port).with_context(|| format!("port {port} cannot be used"))?,
            None if server.instance.is_ephemeral() => bind(ANY)?,
            None => bind(server.service.customary_port()).or_else(|_| bind(ANY))?,
        };
        // Both are held until both are known, so they differ.
        let internal = bind(ANY)?;
        Ok(Self { client: client.local_addr()?.port(), internal: internal.local_addr()?.port() })
    }
}

/// Lets the system choose a free port.
const ANY: u16 = 0;

fn bind(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
mod tests {
    use super::super::instance::Instance;
    use super::super::service::Service;
    use super::*;

    fn server() -> Server {
        Server::new(&Instance::ephemeral("test"), Service::Kafka)
    }

    #[test]
    fn a_taken_port_is_refused_when_asked_for() {
        let taken = bind(ANY).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert!(Ports::choose(&server(), Some(port)).is_err());
    }

    #[test]
    fn the_ports_differ() {
        let ports = Ports::choose(&server(), None).unwrap();
        assert_ne!(ports.client, ports.internal);
    }
}
