//! A small disk of its own under a data folder, which can be filled. Needs the right to mount.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::workspace;

/// Far more than a run writes before it is filled.
const SIZE: &str = "256m";
const BALLAST: usize = 1024 * 1024;

pub struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// `None` where this machine does not let us.
    pub fn mount(folder: &Path) -> Result<Option<Self>> {
        std::fs::create_dir_all(folder)?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={SIZE}"), "tmpfs"]).arg(folder);
        Ok(workspace::run_quietly(&mut mount).is_ok().then(|| Self { folder: folder.to_owned() }))
    }

    /// Until nothing more fits.
    pub fn fill(&self) -> Result<()> {
        let mut ballast = File::create(self.ballast())?;
        for length in [BALLAST, 4096, 1] {
            while ballast.write_all(&vec![0; length]).is_ok() {}
        }
        Ok(())
    }

    pub fn empty(&self) -> Result<()> {
        std::fs::remove_file(self.ballast()).context("cannot make room again")
    }

    /// What is on it goes with it, unless it is copied.
    pub fn keep_copy(&self, folder: &Path) -> Result<()> {
        workspace::run_quietly(Command::new("cp").arg("-r").arg(&self.folder).arg(folder)).map(drop)
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let mut unmount = Command::new("umount");
        if let Err(error) = workspace::run_quietly(unmount.arg("--lazy").arg(&self.folder)) {
            eprintln!("warning: {error:#}");
        }
    }
}
