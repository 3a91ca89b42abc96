//! One cluster command at a time in a checkout: two would download, start or delete the same things.

use std::fs::{File, TryLockError};

use anyhow::{Context, Result};

use crate::workspace;

/// Held until the value is dropped or the process ends.
pub struct Lock(#[expect(dead_code, reason = "the open file is the lock")] File);

pub fn acquire() -> Result<Lock> {
    let dir = workspace::cluster_dir();
    let path = dir.join("lock");
    let file = std::fs::create_dir_all(&dir)
        .and_then(|()| File::create(&path))
        .with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            eprintln!("waiting for another cluster command in this checkout …");
            file.lock().context("cannot wait for the cluster lock")?;
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).context("cannot take the cluster lock");
        }
    }
    Ok(Lock(file))
}
