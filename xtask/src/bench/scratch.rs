//! Where a run keeps its data.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use tempfile::TempDir;

/// A folder that goes with this value. What an interrupted run left behind goes with the next one.
pub struct Scratch {
    folder: TempDir,
    /// Held while the folder is in use; it ends with the process, however that ends.
    _lock: File,
}

const PREFIX: &str = "bench-";
const LOCK: &str = "in-use.lock";

impl Scratch {
    pub fn new(parent: &Path) -> Result<Self> {
        sweep(parent)?;
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        let lock = File::create(folder.path().join(LOCK))?;
        lock.lock()?;
        Ok(Self { folder, _lock: lock })
    }

    /// One of its own for each measurement; it goes when dropped.
    pub fn folder(&self) -> Result<TempDir> {
        tempfile::tempdir_in(self.folder.path()).context("cannot make a folder")
    }
}

fn sweep(parent: &Path) -> Result<()> {
    for entry in std::fs::read_dir(parent).with_context(|| format!("cannot list {}", parent.display()))? {
        let path = entry?.path();
        let is_ours = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        let Ok(lock) = File::open(path.join(LOCK)) else { continue };
        if is_ours && lock.try_lock().is_ok() {
            std::fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_uses_is_swept() {
        let parent = tempfile::tempdir().unwrap();
        let used = Scratch::new(parent.path()).unwrap();
        let left_behind = parent.path().join("bench-left");
        std::fs::create_dir(&left_behind).unwrap();
        File::create(left_behind.join(LOCK)).unwrap();
        let foreign = parent.path().join("roomlog");
        std::fs::create_dir(&foreign).unwrap();

        let other = Scratch::new(parent.path()).unwrap();
        assert!(used.folder.path().exists() && foreign.exists());
        assert!(!left_behind.exists());
        let gone = other.folder.path().to_owned();
        drop(other);
        assert!(!gone.exists());
    }
}
