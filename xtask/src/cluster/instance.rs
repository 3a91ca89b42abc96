//! Which cluster: a name, and with it a folder, ports and a lifetime of its own.

use std::fmt;
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Error, Result, bail};

use crate::workspace;

/// One cluster of servers among those that may run on this machine for this checkout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    name: String,
    ephemeral: bool,
}

impl Instance {
    pub const DEV: &str = "dev";

    /// As [`ephemeral`](Self::ephemeral), for one whose servers are killed and have to come back with what they confirmed.
    pub fn killed() -> Self {
        Self::ephemeral(KILLED)
    }

    /// A cluster of this process alone (`test-4711`, `bench-4711`): wiped when the process is done with it.
    pub fn ephemeral(purpose: &str) -> Self {
        Self { name: format!("{purpose}-{}", std::process::id()), ephemeral: true }
    }

    pub fn is_ephemeral(&self) -> bool {
        self.ephemeral
    }

    /// Whether its servers have to come back with what they confirmed when they are killed.
    pub fn is_killed(&self) -> bool {
        self.ephemeral && self.name.starts_with(KILLED)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Holds a folder for each of its servers.
    pub fn dir(&self) -> PathBuf {
        workspace::cluster_dir().join(&self.name)
    }

    /// Every instance that has a folder, by name.
    pub fn all() -> Result<Vec<Self>> {
        let mut instances = Vec::new();
        if let Ok(entries) = std::fs::read_dir(workspace::cluster_dir()) {
            for entry in entries {
                let path = entry?.path();
                let name = path.file_name().unwrap_or(path.as_os_str());
                if path.is_dir()
                    && let Ok(instance) = name.to_string_lossy().parse()
                {
                    instances.push(instance);
                }
            }
        }
        instances.sort_by(|one: &Self, other| one.name.cmp(&other.name));
        Ok(instances)
    }

    /// The folder next to the instances' that holds the downloaded jars.
    pub fn jars_dir() -> PathBuf {
        workspace::cluster_dir().join(JARS)
    }
}

/// What the clusters of `cargo xtask chaos` are called.
const KILLED: &str = "chaos";

/// Taken by the jars, so no instance can have this name.
const JARS: &str = "jars";

impl FromStr for Instance {
    type Err = Error;

    /// An instance that lasts until somebody ends it.
    fn from_str(name: &str) -> Result<Self> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name == JARS || !name.chars().all(allowed) || name.starts_with('-') {
            bail!("`{name}` cannot name a cluster: use lower-case letters, digits and hyphens");
        }
        Ok(Self { name: name.to_owned(), ephemeral: false })
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Differs between checkouts on the same machine.
pub fn checkout() -> u16 {
    // Unkeyed: the same path gives the same number in every process of one build.
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(workspace::root().as_os_str().as_encoded_bytes());
    (hasher.finish() >> 48) as u16
}

/// The path as a person can type it from the workspace's root.
pub fn relative(path: &Path) -> String {
    path.strip_prefix(workspace::root()).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_folder() {
        for name in ["", "..", "a/b", "jars", "Dev", "-x", "a b"] {
            assert!(name.parse::<Instance>().is_err(), "{name:?}");
        }
        assert_eq!("dev".parse::<Instance>().unwrap().name(), "dev");
    }

    #[test]
    fn an_ephemeral_instance_can_be_named_on_the_command_line() {
        let instance = Instance::ephemeral("test");
        let named: Instance = instance.name().parse().unwrap();
        assert_eq!(named.dir(), instance.dir());
    }
}
