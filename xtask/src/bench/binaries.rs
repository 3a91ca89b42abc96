//! The optimised programs that a benchmark runs: the server, and this one for the load.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::build::{self, Profile};

pub struct Binaries {
    pub roomlog: PathBuf,
    pub xtask: PathBuf,
}

impl Binaries {
    /// One after the other, so that each is built with just the features that it asks for. A server that is given is
    /// not built.
    pub fn build(roomlog: Option<&Path>) -> Result<Self> {
        Ok(Self {
            roomlog: build::given_or_built("roomlog", roomlog, Profile::Release)?,
            xtask: build::build("xtask", Profile::Release)?,
        })
    }

    /// On the same disk as everything that is built, where there is room.
    pub fn scratch_parent(&self) -> Result<&Path> {
        self.xtask.parent().context("a program that lies nowhere")
    }
}
