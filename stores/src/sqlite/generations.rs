//! A projection's database files on disk, and which one counts.
//!
//! `<projection>.v<version>.<generation>.db` holds the rows; `<projection>.v<version>.current` names
//! the generation that counts (1 without it) and is replaced by a rename. So at any moment, whatever
//! stops the machine, exactly one complete database counts. Renaming the database itself would not
//! do: it could meet the write-ahead log of the one that it replaced.
//!
//! Another version has files of its own, which are left alone.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::StoreError;

const FIRST: u64 = 1;

#[derive(Debug, Clone)]
pub(super) struct Generations {
    store: &'static str,
    directory: PathBuf,
    /// With the dot behind it.
    prefix: String,
}

impl Generations {
    pub fn new(store: &'static str, directory: &Path, projection: &str, version: u32) -> Self {
        let prefix = format!("{projection}.v{version}.");
        Self { store, directory: directory.to_owned(), prefix }
    }

    /// The generation that counts. Removes all others: what a build that did not finish, or a
    /// replacement that was interrupted, left. Makes the folder if need be.
    pub fn open(&self) -> Result<u64, StoreError> {
        fs::create_dir_all(&self.directory).map_err(self.unavailable())?;
        let current = match fs::read_to_string(self.pointer()) {
            Ok(text) => text.trim().parse().map_err(|_| StoreError::Damaged {
                store: self.store,
                what: format!("{} does not hold a number", self.pointer().display()),
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => FIRST,
            Err(error) => return Err(self.unavailable()(error)),
        };
        self.remove_all_but(current).map_err(self.unavailable())?;
        Ok(current)
    }

    pub fn path(&self, generation: u64) -> PathBuf {
        self.directory.join(format!("{}{generation}.db", self.prefix))
    }

    /// From now on, and after any restart, this generation counts.
    pub fn set_current(&self, generation: u64) -> Result<(), StoreError> {
        let new = self.directory.join(format!("{}current.new", self.prefix));
        let replace = || -> io::Result<()> {
            let mut file = File::create(&new)?;
            writeln!(file, "{generation}")?;
            file.sync_all()?;
            fs::rename(&new, self.pointer())?;
            File::open(&self.directory)?.sync_all()
        };
        replace().map_err(self.unavailable())
    }

    /// Removes a generation's files, if there are any.
    pub fn remove(&self, generation: u64) {
        let path = self.path(generation);
        for suffix in ["", "-wal", "-shm"] {
            let mut name = path.clone().into_os_string();
            name.push(suffix);
            match fs::remove_file(&name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(file = ?name, %error, "an old database file stays until the next start");
                }
                _ => {}
            }
        }
    }

    fn remove_all_but(&self, current: u64) -> io::Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let name = entry?.file_name();
            let generation = name
                .to_str()
                .and_then(|name| name.strip_prefix(&self.prefix))
                .and_then(|rest| rest.split_once(".db"))
                .and_then(|(number, _)| number.parse().ok());
            if let Some(generation) = generation.filter(|&generation| generation != current) {
                self.remove(generation);
            }
        }
        Ok(())
    }

    fn pointer(&self) -> PathBuf {
        self.directory.join(format!("{}current", self.prefix))
    }

    fn unavailable(&self) -> impl Fn(io::Error) -> StoreError {
        let store = self.store;
        move |error| StoreError::Unavailable { store, source: error.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(generations: &Generations, generation: u64) {
        for suffix in ["", "-wal", "-shm"] {
            let mut path = generations.path(generation).into_os_string();
            path.push(suffix);
            fs::write(path, "x").unwrap();
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn one_generation_counts_and_the_others_go() {
        let folder = tempfile::tempdir().unwrap();
        let generations = Generations::new("test", folder.path(), "p", 2);
        let other_version = Generations::new("test", folder.path(), "p", 1);
        touch(&other_version, 7);
        assert_eq!(generations.open().unwrap(), 1);
        touch(&generations, 1);
        touch(&generations, 2);

        // Killed before the replacement: the old one counts.
        assert_eq!(generations.open().unwrap(), 1);
        assert_eq!(
            names(folder.path()),
            ["p.v1.7.db", "p.v1.7.db-shm", "p.v1.7.db-wal", "p.v2.1.db", "p.v2.1.db-shm", "p.v2.1.db-wal"]
        );

        // Killed right after it: the new one.
        touch(&generations, 2);
        generations.set_current(2).unwrap();
        assert_eq!(generations.open().unwrap(), 2);
        assert!(!generations.path(1).exists());
        assert!(generations.path(2).exists());

        fs::write(folder.path().join("p.v2.current"), "nonsense").unwrap();
        assert!(matches!(generations.open(), Err(StoreError::Damaged { .. })));
    }
}
