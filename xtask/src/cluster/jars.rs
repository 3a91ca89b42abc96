//! Kafka's jars: fetched once with Maven, as `infra/kafka/pom.xml` says, and kept in `.cluster/kafka`.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::instance::Instance;
use super::packages;
use crate::workspace;

/// What `java -cp` takes.
pub struct Classpath(OsString);

impl Classpath {
    pub fn as_os_str(&self) -> &OsStr {
        &self.0
    }
}

/// Registries are sometimes out of reach for a moment; what one attempt has fetched, the next need not.
const ATTEMPTS: u32 = 3;

/// Written last: it holds the POM that the jars were fetched for, so a folder without it is unfinished and one with
/// another text is out of date.
const MARKER: &str = "complete";

/// Makes sure that there is a Java and that the jars are there. To be called under the cluster lock.
pub fn ensure() -> Result<Classpath> {
    packages::ensure_java()?;
    let dir = Instance::jars_dir();
    let pom_file = workspace::root().join("infra/kafka/pom.xml");
    let pom =
        std::fs::read_to_string(&pom_file).with_context(|| format!("cannot read {}", pom_file.display()))?;
    if !std::fs::read_to_string(dir.join(MARKER)).is_ok_and(|marker| marker == pom) {
        packages::ensure_maven()?;
        remove(&dir)?;
        eprintln!("fetching Kafka's jars …");
        fetch(&pom_file, &dir)?;
        std::fs::write(dir.join(MARKER), pom)?;
    }
    Ok(classpath(&dir))
}

fn fetch(pom: &Path, dir: &Path) -> Result<()> {
    let mut attempt = 1;
    loop {
        let mut maven = Command::new("mvn");
        maven
            // `-U`: a failure that Maven remembers from an interrupted run is not the last word.
            .args(["--quiet", "--batch-mode", "-U", "--file"])
            .arg(pom)
            .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
            .arg(format!("-DoutputDirectory={}", dir.display()));
        match workspace::run_quietly(&mut maven) {
            Ok(_) => return Ok(()),
            Err(error) if attempt == ATTEMPTS => {
                return Err(error).context("cannot fetch Kafka's jars");
            }
            Err(_) => {
                eprintln!("attempt {attempt} to fetch Kafka's jars failed, trying again …");
                attempt += 1;
            }
        }
    }
}

fn classpath(dir: &Path) -> Classpath {
    // Java itself expands the star, to the folder's jars only.
    let all: PathBuf = dir.join("*");
    Classpath(all.into_os_string())
}

fn remove(dir: &Path) -> Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot delete {}", dir.display()))
        }
        _ => Ok(()),
    }
}
