//! A server's jars: fetched once with Maven, as its `pom.xml` in `infra` says, and kept in `.cluster/jars`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::instance::Instance;
use super::packages;
use super::runtime::remove_folder;
use crate::workspace;

/// What `java -cp` takes.
pub struct Classpath {
    dir: PathBuf,
    /// Java itself expands the star, to the folder's jars only.
    all: PathBuf,
}

impl Classpath {
    pub fn as_os_str(&self) -> &OsStr {
        self.all.as_os_str()
    }

    /// The jar whose name begins so.
    pub fn find(&self, name: &str) -> Result<PathBuf> {
        for entry in std::fs::read_dir(&self.dir)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(name) {
                return Ok(entry.path());
            }
        }
        bail!("there is no {name}….jar in {}", self.dir.display())
    }
}

/// Registries are sometimes out of reach for a moment; what one attempt has fetched, the next need not.
const ATTEMPTS: u32 = 3;

/// Written last: it holds the POM that the jars were fetched for, so a folder without it is unfinished and one with
/// another text is out of date.
const MARKER: &str = "complete";

/// Makes sure that there is a Java and that the jars of this folder of `infra` are there. To be called under the cluster
/// lock, by one thread at a time.
pub fn ensure(project: &str) -> Result<Classpath> {
    packages::ensure_java()?;
    let dir = Instance::jars_dir().join(project);
    let pom_file = workspace::root().join("infra").join(project).join("pom.xml");
    let pom =
        std::fs::read_to_string(&pom_file).with_context(|| format!("cannot read {}", pom_file.display()))?;
    if !std::fs::read_to_string(dir.join(MARKER)).is_ok_and(|marker| marker == pom) {
        packages::ensure_maven()?;
        remove_folder(&dir)?;
        eprintln!("fetching the jars of {project} …");
        fetch(project, &pom_file, &dir)?;
        std::fs::write(dir.join(MARKER), pom)?;
    }
    Ok(Classpath { all: dir.join("*"), dir })
}

fn fetch(project: &str, pom: &Path, dir: &Path) -> Result<()> {
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
                return Err(error).with_context(|| format!("cannot fetch the jars of {project}"));
            }
            Err(_) => {
                eprintln!("attempt {attempt} to fetch the jars of {project} failed, trying again …");
                attempt += 1;
            }
        }
    }
}
