//! What stands between clients and processes, and between processes and servers: ways that can be broken, each process's
//! own.

use std::net::SocketAddr;

use anyhow::{Result, ensure};

use super::tcp::Path;

/// The servers that ways lead to.
pub const POSTGRES: &str = "PostgreSQL";
pub const KAFKA: &str = "Kafka";
pub const CQL: &str = "the CQL store";

#[derive(Default)]
pub struct Ways(Vec<(String, Path)>);

/// The name of one process's way to a server.
pub fn from(server: &str, process: &str) -> String {
    format!("{server} from {process}")
}

impl Ways {
    /// Opens one. Has to be called within a runtime. Answers where it begins.
    pub fn open(&mut self, name: String, target: SocketAddr) -> Result<SocketAddr> {
        let path = Path::open(target)?;
        let address = path.address();
        self.0.push((name, path));
        Ok(address)
    }

    /// Where the way of just this name begins.
    pub fn address(&self, name: &str) -> Option<SocketAddr> {
        self.0.iter().find(|(one, _)| one == name).map(|(_, path)| path.address())
    }

    /// By a process's name the way from clients to it; by a server's those of all processes to it; by [`from`] that one.
    pub fn named(&self, name: &str) -> Result<Vec<&Path>> {
        let all = from(name, "");
        let named = self.0.iter().filter(|(one, _)| one == name || one.starts_with(&all));
        let named: Vec<_> = named.map(|(_, path)| path).collect();
        ensure!(!named.is_empty(), "no way that can be broken leads to {name}");
        Ok(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_is_named_with_all_ways_to_it_or_with_one() {
        let mut ways = Ways::default();
        let target = SocketAddr::from(([127, 0, 0, 1], 1));
        for name in ["projectors-1".to_owned(), from(KAFKA, "projectors-1"), from(KAFKA, "projectors-2")] {
            ways.open(name, target).unwrap();
        }
        let count = |name: &str| ways.named(name).map_or(0, |ways| ways.len());
        assert_eq!(count("projectors-1"), 1);
        assert_eq!(count(KAFKA), 2);
        assert_eq!(count(&from(KAFKA, "projectors-2")), 1);
        assert_eq!(count(CQL), 0);
    }
}
