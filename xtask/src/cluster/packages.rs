//! The programs that running Kafka from its jars needs. On Debian, as root, what is missing is installed.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Kafka 4's broker refuses older ones.
const OLDEST_JAVA: u32 = 17;

/// A newer Debian has no Java 17; its default one does as well.
const JAVA_PACKAGES: [&str; 2] = ["openjdk-17-jre-headless", "default-jre-headless"];

pub fn ensure_java() -> Result<()> {
    if !workspace::is_installed("java") {
        install("java", &JAVA_PACKAGES)?;
    }
    let output = workspace::run_quietly(Command::new("java").arg("-version"))?;
    let answer = String::from_utf8_lossy(&output.stderr);
    match major_version(&answer) {
        Some(version) if version < OLDEST_JAVA => bail!(
            "`java` is version {version}, but Kafka 4 needs {OLDEST_JAVA} or newer: install one and put it first in PATH"
        ),
        _ => Ok(()),
    }
}

pub fn ensure_maven() -> Result<()> {
    if !workspace::is_installed("mvn") {
        install("mvn", &["maven"])?;
    }
    Ok(())
}

/// Installs the first of these packages that the distribution has.
fn install(program: &str, packages: &[&str]) -> Result<()> {
    let package = packages[0];
    if !(Path::new("/etc/debian_version").exists() && is_root()?) {
        bail!(
            "Kafka needs `{program}`, which is not installed. Install it (on Debian: apt-get install {package}), \
             or start a container engine"
        );
    }
    eprintln!("installing {package} …");
    apt_get(&["update"])?;
    let mut result = Ok(());
    for package in packages {
        result = apt_get(&["install", "--yes", "--no-install-recommends", package]);
        if result.is_ok() {
            break;
        }
    }
    result.with_context(|| format!("cannot install `{program}`"))?;
    if !workspace::is_installed(program) {
        bail!("{package} is installed, but `{program}` is not in PATH");
    }
    Ok(())
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let mut apt_get = Command::new("apt-get");
    apt_get
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Somebody else may be installing.
        .args(["-o", "DPkg::Lock::Timeout=300"])
        .args(arguments);
    workspace::run_quietly(&mut apt_get)?;
    Ok(())
}

fn is_root() -> Result<bool> {
    let output = workspace::run_quietly(Command::new("id").arg("-u"))?;
    Ok(output.stdout.trim_ascii() == b"0")
}

/// From `openjdk version "17.0.15" 2025-04-15`; before Java 9 it was `"1.8.0_292"`.
fn major_version(answer: &str) -> Option<u32> {
    let version = answer.split('"').nth(1)?;
    let mut numbers = version.split(|c: char| !c.is_ascii_digit());
    match numbers.next()?.parse().ok()? {
        1 => numbers.next()?.parse().ok(),
        major => Some(major),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_javas_version() {
        let cases = [
            ("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK …", Some(17)),
            ("java version \"1.8.0_292\"", Some(8)),
            ("openjdk version \"21\" 2023-09-19", Some(21)),
            ("openjdk version \"25-ea\"", Some(25)),
            ("something else", None),
        ];
        for (answer, expected) in cases {
            assert_eq!(major_version(answer), expected, "{answer}");
        }
    }
}
