//! What an instance runs on, and what can be asked of either kind.

use std::io::ErrorKind;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::instance::{self, Instance};
use super::{container, process};

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Runtime {
    /// A Java process of ours.
    Jars { pid: u32 },
    /// The service in `infra/compose.yaml`, as a compose project of the instance's own.
    Container,
}

impl Runtime {
    pub fn is_running(&self, instance: &Instance) -> Result<bool> {
        match self {
            Self::Jars { pid } => Ok(process::is_broker(*pid, instance)),
            Self::Container => container::is_running(instance),
        }
    }

    /// `in_haste`: the data is not needed any more.
    pub fn stop(&self, instance: &Instance, in_haste: bool) -> Result<()> {
        match self {
            Self::Jars { pid } => process::stop(*pid, instance, in_haste),
            Self::Container => container::stop(instance),
        }
    }

    /// Where a person finds what the broker says.
    pub fn where_logs_are(&self, instance: &Instance) -> String {
        match self {
            Self::Jars { .. } => instance::relative(&instance.log_file()),
            Self::Container => container::logs_command(instance),
        }
    }

    /// The end of what the broker says, for an error message.
    pub fn last_words(&self, instance: &Instance) -> String {
        match self {
            Self::Jars { .. } => process::last_words(instance),
            Self::Container => container::last_words(instance),
        }
    }
}

/// Deletes what the instance keeps on either kind. It must not be running.
pub fn wipe(instance: &Instance) -> Result<()> {
    if container::is_usable() {
        container::wipe(instance)?;
    }
    let dir = instance.dir();
    match std::fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot delete {}", dir.display()))
        }
        _ => Ok(()),
    }
}
