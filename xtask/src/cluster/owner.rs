//! An ephemeral cluster ends with the process that started it, however that process ends.
//!
//! Two nets: a small shell waits for this process's end of a pipe to close and then runs `cluster down --wipe`; and
//! should that shell be killed too, the next start finds a folder whose lock nobody holds.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use super::instance::Instance;
use super::service::Service;

/// Holds the claim to one ephemeral instance.
pub struct Owner {
    guard: Child,
    _lock: File,
}

impl Owner {
    /// To be called before anything is started for the instance, under the cluster lock.
    pub fn claim(instance: &Instance) -> Result<Self> {
        std::fs::create_dir_all(instance.dir())?;
        let lock = File::create(lock_file(instance))?;
        lock.lock()?;
        let guard = Command::new("sh")
            // `read` returns when the other end of the pipe closes.
            .args(["-c", "read -r _; exec \"$@\"", "guard"])
            .arg(std::env::current_exe()?)
            .args(["cluster", "down", "--wipe", "--instance", instance.name()])
            // A Ctrl-C at the terminal is for this process, not for the guard.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start the shell that guards the cluster")?;
        Ok(Self { guard, _lock: lock })
    }

    /// To be called when the instance is down: nothing is left to guard.
    pub fn release(mut self) {
        // The pipe is still open here, so the guard cannot act between.
        if self.guard.kill().is_ok() {
            let _ = self.guard.wait();
        }
    }
}

/// Ends and wipes ephemeral instances whose owner is gone. To be called under the cluster lock.
pub fn sweep_abandoned() -> Result<()> {
    for instance in Instance::all()? {
        let Ok(lock) = File::open(lock_file(&instance)) else {
            continue;
        };
        if lock.try_lock().is_ok() {
            eprintln!("removing the {instance} cluster, which was left behind");
            super::bring_down_locked(&instance, &Service::ALL, true)?;
        }
    }
    Ok(())
}

fn lock_file(instance: &Instance) -> PathBuf {
    instance.dir().join("owner.lock")
}
