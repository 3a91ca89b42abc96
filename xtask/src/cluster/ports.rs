//! Which ports a Kafka listens on.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};

use super::instance::Instance;

/// Kafka's customary port.
const CLIENT_PORT: u16 = 9092;

#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub client: u16,
    pub controller: u16,
}

impl Ports {
    /// All are free at the time of the call; another process may still be faster.
    pub fn choose(instance: &Instance, requested: Option<u16>) -> Result<Self> {
        let client = match requested {
            Some(port) => bind(port).with_context(|| format!("port {port} cannot be used"))?,
            None if instance.is_ephemeral() => bind(ANY)?,
            None => bind(CLIENT_PORT).or_else(|_| bind(ANY))?,
        };
        // Both are held until both are known, so they differ.
        let controller = bind(ANY)?;
        Ok(Self { client: client.local_addr()?.port(), controller: controller.local_addr()?.port() })
    }
}

/// Lets the system choose a free port.
const ANY: u16 = 0;

fn bind(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_refused_when_asked_for() {
        let taken = bind(ANY).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert!(Ports::choose(&Instance::ephemeral("test"), Some(port)).is_err());
    }

    #[test]
    fn the_ports_differ() {
        let ports = Ports::choose(&Instance::ephemeral("test"), None).unwrap();
        assert_ne!(ports.client, ports.controller);
    }
}
