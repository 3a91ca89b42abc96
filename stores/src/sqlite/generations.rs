//! A projection's database file, and its replacement by one that was built beside it.
//!
//! `<name>.<generation>.db` holds the rows; `<name>.current` names the generation that counts and is
//! replaced by a rename. So at any moment, whatever stops the machine, exactly one complete database
//! counts; a renamed database file could meet the write-ahead log of the one it replaced.

use std::path::{Path, PathBuf};

use crate::StoreError;

#[derive(Debug, Clone)]
pub struct Generations {
    directory: PathBuf,
    name: String,
}

impl Generations {
    pub fn new(directory: &Path, projection: &str, version: u32) -> Self {
        Self { directory: directory.to_owned(), name: format!("{projection}.v{version}") }
    }

    /// The generation that counts; removes what a build that did not finish left.
    pub fn open(&self) -> Result<u64, StoreError> {
        let current = match std::fs::read_to_string(self.pointer()) {
            Ok(text) => text.trim().parse().map_err(|_| StoreError::Damaged {
                store: "projection",
                what: format!("{} does not hold a number", self.pointer().display()),
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 1,
            Err(error) => return Err(unavailable(error)),
        };
        self.remove(current + 1);
        Ok(current)
    }

    pub fn path(&self, generation: u64) -> PathBuf {
        self.directory.join(format!("{}.{generation}.db", self.name))
    }

    /// From now on, and after any restart, this generation counts.
    pub fn promote(&self, generation: u64) -> Result<(), StoreError> {
        let new = self.directory.join(format!("{}.current.new", self.name));
        std::fs::write(&new, format!("{generation}\n")).map_err(unavailable)?;
        std::fs::File::open(&new).and_then(|file| file.sync_all()).map_err(unavailable)?;
        std::fs::rename(&new, self.pointer()).map_err(unavailable)?;
        std::fs::File::open(&self.directory).and_then(|folder| folder.sync_all()).map_err(unavailable)
    }

    /// Removes a generation's files, if there are any.
    pub fn remove(&self, generation: u64) {
        let path = self.path(generation);
        for suffix in ["", "-wal", "-shm"] {
            let mut name = path.clone().into_os_string();
            name.push(suffix);
            // Not there, most of the time; what stays is removed next time.
            let _ = std::fs::remove_file(name);
        }
    }

    fn pointer(&self) -> PathBuf {
        self.directory.join(format!("{}.current", self.name))
    }
}

fn unavailable(error: std::io::Error) -> StoreError {
    StoreError::Unavailable { store: "projection", source: error.into() }
}
