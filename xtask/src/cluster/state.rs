//! The note that says what was started: `.cluster/<instance>/<service>/running.json`.

use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::runtime::Runtime;
use super::server::Server;

#[derive(Debug, Serialize, Deserialize)]
pub struct State {
    /// The port for clients.
    pub port: u16,
    /// A container has none, nor has a server that was started before there was any.
    #[serde(default)]
    pub tls: Option<TlsPorts>,
    pub runtime: Runtime,
}

/// Where clients get TLS.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct TlsPorts {
    /// For clients with a certificate of their own.
    pub mutual: u16,
    /// For clients with a password.
    pub password: u16,
}

impl State {
    pub fn load(server: &Server) -> Result<Option<Self>> {
        let path = path(server);
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .with_context(|| format!("cannot understand {}", path.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Written to a neighbouring file and moved into place: nobody reads half a note.
    pub fn save(&self, server: &Server) -> Result<()> {
        let path = path(server);
        let unfinished = path.with_extension("partial");
        std::fs::write(&unfinished, serde_json::to_vec_pretty(self)?)
            .and_then(|()| std::fs::rename(&unfinished, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    pub fn remove(server: &Server) -> Result<()> {
        let path = path(server);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }
}

fn path(server: &Server) -> PathBuf {
    server.dir().join("running.json")
}
