//! The programs that servers need which run as processes. On Debian, as root, what is missing is installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Kafka 4's broker refuses older ones; Cassandra 5 runs on it.
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
            "`java` is version {version}, but Kafka 4 and Cassandra 5 need {OLDEST_JAVA} or newer: install one and put it first in PATH"
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

/// Oldest release with what the SQL store's migrations use.
const OLDEST_POSTGRES: u32 = 15;

/// Debian keeps each release's programs apart, outside PATH.
const POSTGRES_RELEASES: &str = "/usr/lib/postgresql";

/// The folder that holds `initdb` and `postgres`, of the newest release that is there.
pub fn ensure_postgres() -> Result<PathBuf> {
    if let Some(programs) = find_postgres() {
        return Ok(programs);
    }
    // Debian's package makes and starts a cluster of its own on the customary port, unless told not to before.
    if may_install()? {
        install("pg_ctlcluster", &["postgresql-common"])?;
        forbid_main_cluster(Path::new("/etc/postgresql-common/createcluster.conf"))?;
    }
    install("initdb", &["postgresql"])?;
    find_postgres().with_context(|| format!("PostgreSQL {OLDEST_POSTGRES} or newer is not installed"))
}

fn find_postgres() -> Option<PathBuf> {
    let releases = std::fs::read_dir(POSTGRES_RELEASES).into_iter().flatten().flatten();
    let newest = releases
        .filter_map(|release| Some((release.file_name().to_str()?.parse::<u32>().ok()?, release.path())))
        .filter(|(release, path)| *release >= OLDEST_POSTGRES && path.join("bin/initdb").exists())
        .max();
    if let Some((_, path)) = newest {
        return Some(path.join("bin"));
    }
    let in_path = std::env::split_paths(&std::env::var_os("PATH")?)
        .find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())?;
    let version = workspace::run_quietly(Command::new(in_path.join("postgres")).arg("--version")).ok()?;
    (postgres_release(&String::from_utf8_lossy(&version.stdout))? >= OLDEST_POSTGRES).then_some(in_path)
}

/// From `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`.
fn postgres_release(answer: &str) -> Option<u32> {
    let version = answer.split_once("(PostgreSQL) ")?.1;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Only where nobody has decided otherwise: the packaged file holds the setting as a comment.
fn forbid_main_cluster(file: &Path) -> Result<()> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let decided = text.lines().any(|line| line.trim_start().starts_with("create_main_cluster"));
    if !decided {
        std::fs::write(file, format!("{text}create_main_cluster = false\n"))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// Debian keeps it outside an ordinary user's PATH.
const NGINX: &str = "/usr/sbin/nginx";

pub fn ensure_nginx() -> Result<PathBuf> {
    if !has_nginx() {
        install("nginx", &["nginx-light", "nginx"])?;
        // Started by its package, and not needed: the platform's proxy is a process of its own.
        let mut service = Command::new("systemctl");
        if let Err(error) = workspace::run_quietly(service.args(["disable", "--now", "nginx"])) {
            eprintln!("note: nginx's own service may run as well: {error:#}");
        }
    }
    Ok(if Path::new(NGINX).exists() { NGINX.into() } else { "nginx".into() })
}

/// Whether it can be had without a question to a person.
pub fn has_nginx() -> bool {
    Path::new(NGINX).exists() || workspace::is_installed("nginx")
}

/// Oldest that schemathesis runs on.
const OLDEST_PYTHON: u32 = 11;

/// `python3` with what makes environments, which Debian keeps apart.
pub fn ensure_python() -> Result<()> {
    let can_make_environments =
        || workspace::run_quietly(Command::new("python3").args(["-c", "import ensurepip, venv"])).is_ok();
    if !can_make_environments() {
        install("python3", &["python3-venv"])?;
    }
    let minor = "import sys; print(sys.version_info.minor)";
    let minor = workspace::run_quietly(Command::new("python3").args(["-c", minor]))?;
    let minor: u32 = String::from_utf8_lossy(&minor.stdout).trim().parse().context("no version of Python")?;
    if minor < OLDEST_PYTHON {
        bail!("`python3` is version 3.{minor}, but schemathesis needs 3.{OLDEST_PYTHON} or newer");
    }
    Ok(())
}

fn may_install() -> Result<bool> {
    Ok(Path::new("/etc/debian_version").exists() && is_root()?)
}

/// Installs the first of these packages that the distribution has.
fn install(program: &str, packages: &[&str]) -> Result<()> {
    let package = packages[0];
    if !may_install()? {
        bail!(
            "`{program}` is needed and not installed. Install it (on Debian: apt-get install {package}), or, where \
             it is for one of the servers, start a container engine"
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

pub fn is_root() -> Result<bool> {
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
    fn reads_postgresqls_version() {
        let debian = "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n";
        for (answer, expected) in
            [(debian, Some(15)), ("postgres (PostgreSQL) 18beta1", Some(18)), ("", None)]
        {
            assert_eq!(postgres_release(answer), expected, "{answer}");
        }
    }

    #[test]
    fn a_decision_about_the_main_cluster_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("createcluster.conf");
        for (before, after) in [
            ("#create_main_cluster = true\n", "#create_main_cluster = true\ncreate_main_cluster = false\n"),
            ("create_main_cluster = true\n", "create_main_cluster = true\n"),
        ] {
            std::fs::write(&file, before).unwrap();
            forbid_main_cluster(&file).unwrap();
            assert_eq!(std::fs::read_to_string(&file).unwrap(), after);
        }
    }

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
