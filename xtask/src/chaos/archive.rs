//! What the platform keeps outside its log: set up so that there is much of it, and read as files, without the
//! platform's own code.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use super::history::Archive;

/// In seconds: as often as can be.
const INTERVAL: &str = "1";

/// One folder for all processes.
pub fn settings(folder: &Path) -> [(String, String); 2] {
    let objects = objects(folder).to_string_lossy().into_owned();
    [("ROOMLOG_OBJECTS".to_owned(), objects), ("ROOMLOG_CHECKPOINT_INTERVAL".to_owned(), INTERVAL.to_owned())]
}

pub fn read(folder: &Path) -> Result<Archive> {
    let audit = objects(folder).join("audit");
    let mut archive = Archive { keys: read_all(&audit.join("keys"))?, ..Archive::default() };
    for log in entries(&audit.join("checkpoints"))? {
        for partition in entries(&log)? {
            archive.checkpoints.extend(read_all(&partition)?);
        }
    }
    Ok(archive)
}

fn objects(folder: &Path) -> PathBuf {
    folder.join("objects")
}

/// In the order of their names.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        paths.push(entry?.path());
    }
    paths.sort();
    Ok(paths)
}

fn read_all(folder: &Path) -> Result<Vec<Value>> {
    // What is being written has another ending until it is there as a whole.
    let files =
        entries(folder)?.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "json"));
    files
        .map(|path| {
            let text = std::fs::read_to_string(&path)?;
            serde_json::from_str(&text).with_context(|| path.display().to_string())
        })
        .collect()
}
