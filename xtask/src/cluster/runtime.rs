//! What a server runs on, and what can be asked of either kind.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::server::Server;
use super::service::Service;
use super::{container, instance, postgres, process};

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Runtime {
    /// A process of ours.
    Process { pid: u32 },
    /// The service in `infra/compose.yaml`, in a compose project of the instance's own.
    Container,
}

impl Runtime {
    pub fn is_running(&self, server: &Server) -> Result<bool> {
        match self {
            Self::Process { pid } => Ok(process::is_server(*pid, server)),
            Self::Container => container::is_running(server),
        }
    }

    /// `in_haste`: the data is not needed any more.
    pub fn stop(&self, server: &Server, in_haste: bool) -> Result<()> {
        match self {
            Self::Process { pid } => process::stop(*pid, server, in_haste),
            Self::Container => container::stop(server),
        }
    }

    //// Where a person finds what it says.
    pub fn where_logs_are(&self, server: &Server) -> String {
        match self {
            Self::Process { .. } => instance::relative(&server.log_file()),
            Self::Container => container::logs_command(server),
        }
    }

    /// The end of what it says, for an error message.
    pub fn last_words(&self, server: &Server) -> String {
        match self {
            Self::Process { .. } => process::last_words(server),
            Self::Container => container::last_words(server),
        }
    }
}

/// Deletes what the server keeps on either kind. It must not be running.
pub fn wipe(server: &Server) -> Result<()> {
    if container::is_usable() {
        container::wipe(server)?;
    }
    if server.service == Service::Postgres {
        postgres::wipe(server)?;
    }
    remove_folder(&server.dir())
}

pub fn remove_folder(dir: &Path) -> Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot delete {}", dir.display()))
        }
        _ => Ok(()),
    }
}
