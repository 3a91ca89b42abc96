//! Where a run keeps its data.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

/// A folder that goes with this value. What an interrupted run left behind goes when the next one starts.
pub struct Scratch {
    folder: PathBuf,
    /// Of one run at a time; it ends with the process, however that ends.
    lock: File,
}

impl Scratch {
    /// Refused while another run uses the same place: side by side neither would measure anything of worth.
    pub fn new(parent: &Path) -> Result<Self> {
        let lock = File::create(parent.join("bench.lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another benchmark is running"),
            Err(TryLockError::Error(error)) => {
                return Err(error).context("cannot lock the benchmark's folder");
            }
        }
        let folder = parent.join("bench");
        remove(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self { folder, lock })
    }

    /// One of its own for each measurement; it goes when dropped.
    pub fn folder(&self) -> Result<TempDir> {
        tempfile::tempdir_in(&self.folder).context("cannot make a folder")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.folder) {
            eprintln!("warning: cannot remove {}: {error}", self.folder.display());
        }
        // Closing it would not do: a process that is being started at this moment holds the same file until it is itself.
        if let Err(error) = self.lock.unlock() {
            eprintln!("warning: the benchmark's folder stays locked: {error}");
        }
    }
}

fn remove(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_run_at_a_time_and_each_cleans_up() {
        let parent = tempfile::tempdir().unwrap();
        let left_behind = parent.path().join("bench/of an interrupted run");
        std::fs::create_dir_all(&left_behind).unwrap();

        let run = Scratch::new(parent.path()).unwrap();
        assert!(!left_behind.exists());
        assert!(Scratch::new(parent.path()).is_err());
        let folder = run.folder().unwrap();
        assert!(folder.path().starts_with(parent.path()));
        drop((folder, run));
        assert!(!parent.path().join("bench").exists());
        assert!(Scratch::new(parent.path()).is_ok());
    }
}
