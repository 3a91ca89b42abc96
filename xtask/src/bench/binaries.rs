//! The optimised programs that a benchmark runs: the server, and this one for the load.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::workspace;

pub struct Binaries {
    pub roomlog: PathBuf,
    pub xtask: PathBuf,
}

impl Binaries {
    /// One after the other, so that each is built with just the features that it asks for. A server that is given is
    /// not built.
    pub fn build(roomlog: Option<&Path>) -> Result<Self> {
        let roomlog = match roomlog {
            // Absolute, because it is started in another folder.
            Some(given) => {
                given.canonicalize().with_context(|| format!("there is no {}", given.display()))?
            }
            None => build(&["--package", "roomlog"])?,
        };
        Ok(Self { roomlog, xtask: build(&["--package", "xtask"])? })
    }

    /// On the same disk as everything that is built, where there is room.
    pub fn scratch_parent(&self) -> Result<&Path> {
        self.xtask.parent().context("a program that lies nowhere")
    }
}

fn build(package: &[&str]) -> Result<PathBuf> {
    let mut build = workspace::cargo();
    build.args(["build", "--release", "--bins", "--message-format", "json-render-diagnostics"]).args(package);
    let shown = workspace::show(&build);
    eprintln!("$ {shown}");
    let output = build.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("{shown}: {}", output.status);
    }
    executable(&String::from_utf8_lossy(&output.stdout)).with_context(|| format!("{shown} built no program"))
}

#[derive(Deserialize)]
struct BuildMessage {
    executable: Option<PathBuf>,
}

/// The last that cargo names.
fn executable(messages: &str) -> Option<PathBuf> {
    messages.lines().rev().find_map(|line| serde_json::from_str::<BuildMessage>(line).ok()?.executable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_says_where_a_program_is() {
        let messages = r#"{"reason":"compiler-artifact","executable":null}
{"reason":"compiler-artifact","executable":"/target/release/roomlog"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages), Some(PathBuf::from("/target/release/roomlog")));
        assert_eq!(executable(""), None);
    }
}
