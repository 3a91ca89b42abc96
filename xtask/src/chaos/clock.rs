//! Clocks that jump, by Debian's `faketime`: a library that is loaded before others and reads the shift from a file.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::workspace;

/// Where the package puts it, by architecture.
const LIBRARIES: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];

/// `None` where it is not installed, or does not get on with this program: it replaces functions that an allocator may
/// need before they are there.
pub fn library_for(program: &Path) -> Option<&'static str> {
    LIBRARIES.into_iter().find(|library| {
        let mut version = Command::new(program);
        let version = version.arg("--version").env("LD_PRELOAD", library);
        Path::new(library).exists() && workspace::run_quietly(version).is_ok()
    })
}

/// What makes processes look at the clock of this folder. Monotonic time goes on as it is.
pub fn settings(library: &str, folder: &Path) -> Result<Vec<(String, String)>> {
    std::fs::create_dir_all(folder)?;
    set(folder, 0)?;
    let file = file(folder).to_string_lossy().into_owned();
    let settings = [
        ("LD_PRELOAD", library),
        ("FAKETIME_TIMESTAMP_FILE", &file),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
        // Seconds after which the file is read again.
        ("FAKETIME_CACHE_DURATION", "1"),
    ];
    Ok(settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec())
}

/// Whole at any moment, because processes read it at any moment.
pub fn set(folder: &Path, seconds: i64) -> Result<()> {
    let unfinished = file(folder).with_extension("partial");
    std::fs::write(&unfinished, format!("{seconds:+}\n"))
        .and_then(|()| std::fs::rename(&unfinished, file(folder)))
        .context("cannot set the clocks")
}

fn file(folder: &Path) -> PathBuf {
    folder.join("clock")
}
