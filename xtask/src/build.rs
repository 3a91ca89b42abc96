//! Building the workspace's programs.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::workspace;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// Built fast, runs slowly
    Debug,
    /// Optimised
    Release,
}

/// Where this program is given, that one; otherwise it is built.
pub fn given_or_built(package: &str, given: Option<&Path>, profile: Profile) -> Result<PathBuf> {
    match given {
        // Absolute, because it is started in another folder.
        Some(given) => given.canonicalize().with_context(|| format!("there is no {}", given.display())),
        None => build(package, profile),
    }
}

/// One package alone, so that it is built with just the features that it asks for. Answers where its program is.
pub fn build(package: &str, profile: Profile) -> Result<PathBuf> {
    build_with(package, profile, &[])
}

/// The same with these features besides.
pub fn build_with(package: &str, profile: Profile, features: &[&str]) -> Result<PathBuf> {
    let mut build = workspace::cargo();
    build.args(["build", "--bins", "--message-format", "json-render-diagnostics", "--package", package]);
    for feature in features {
        build.args(["--features", feature]);
    }
    if profile == Profile::Release {
        build.arg("--release");
    }
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
pub fn executable(messages: &str) -> Option<PathBuf> {
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
