//! schemathesis in an environment of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::cluster::packages;
use crate::workspace;

/// Every package with its version and hashes.
const REQUIREMENTS: &str = include_str!("requirements.txt");

/// The program, installed in `folder` unless these very packages are there already.
pub fn ensure(folder: &Path) -> Result<PathBuf> {
    let program = folder.join("bin/schemathesis");
    let installed = folder.join("requirements.txt");
    // Written last: what broke off is made anew.
    if std::fs::read_to_string(&installed).is_ok_and(|installed| installed == REQUIREMENTS)
        && program.exists()
    {
        return Ok(program);
    }
    eprintln!("installing schemathesis …");
    packages::ensure_python()?;
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    workspace::run_quietly(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    let wanted = folder.join("wanted.txt");
    std::fs::write(&wanted, REQUIREMENTS)?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--require-hashes", "--requirement"]).arg(&wanted);
    workspace::run_quietly(&mut pip)?;
    std::fs::rename(&wanted, &installed)?;
    Ok(program)
}
