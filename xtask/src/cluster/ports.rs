//! Which ports a server listens on.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};

use super::server::Server;

#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub client: u16,
    /// For the servers of one cluster among themselves: Kafka's controller, Cassandra's storage.
    pub internal: u16,
    /// For Kafka's clients over TLS, who have a certificate here and a password there. (The other servers have TLS at
    /// the port for clients.)
    pub mutual_tls: u16,
    pub password_tls: u16,
}

impl Ports {
    /// All are free at the time of the call; another process may still be faster.
    pub fn choose(server: &Server, requested: Option<u16>) -> Result<Self> {
        let client = match requested {
            Some(port) => bind(port).with_context(|| format!("port {port} cannot be used"))?,
            None if server.instance.is_ephemeral() => bind(ANY)?,
            None => bind(server.service.customary_port()).or_else(|_| bind(ANY))?,
        };
        // All are held until all are known, so they differ.
        let others = [bind(ANY)?, bind(ANY)?, bind(ANY)?];
        let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
        let [internal, mutual_tls, password_tls] = others.each_ref().map(port);
        Ok(Self {
            client: port(&client)?,
            internal: internal?,
            mutual_tls: mutual_tls?,
            password_tls: password_tls?,
        })
    }
}

pub fn is_free(port: u16) -> bool {
    bind(port).is_ok()
}

/// Lets the system choose a free port.
const ANY: u16 = 0;

fn bind(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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
        assert!(Ports::choose(&server(), Some(port)).is_err() && !is_free(port));
    }

    #[test]
    fn the_ports_differ() {
        let Ports { client, internal, mutual_tls, password_tls } = Ports::choose(&server(), None).unwrap();
        let different = BTreeSet::from([client, internal, mutual_tls, password_tls]);
        assert_eq!(different.len(), 4, "{different:?}");
    }
}
