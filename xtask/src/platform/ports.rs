//! Ports for processes that are stopped and started again at the same address.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result};

/// Below the range from which systems take the local ports of connections: a process that is down for a moment must not
/// lose its port to somebody's connection.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

/// An address on loopback that nobody uses. No two calls in this process answer the same until all have been tried.
pub fn free_address() -> Result<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Several processes of this kind begin at different places.
    let offset = (std::process::id() % u32::from(COUNT)) as u16;
    (0..COUNT)
        .find_map(|_| {
            let port = FIRST + offset.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
            bind(port).ok()
        })
        .context("there is no free port")
}

/// This address on loopback, if nobody uses it.
pub fn bind(port: u16) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .with_context(|| format!("port {port} cannot be used"))?;
    Ok(listener.local_addr()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let ports = [free_address().unwrap(), free_address().unwrap(), free_address().unwrap()];
        assert!(ports[0] != ports[1] && ports[1] != ports[2] && ports[0] != ports[2], "{ports:?}");
    }

    #[test]
    fn a_used_port_is_refused() {
        let used = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(bind(used.local_addr().unwrap().port()).is_err());
    }
}
