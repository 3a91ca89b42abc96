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

/// What makes processes look at a clock that can jump: each at [its own](own_setting). Monotonic time goes on as it is.
pub fn settings(library: &str) -> Vec<(String, String)> {
    let settings = [
        ("LD_PRELOAD", library),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
        // Seconds after which the file is read again.
        ("FAKETIME_CACHE_DURATION", "1"),
    ];
    settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

/// Where this process finds its clock; without the library nobody looks there.
pub fn own_setting(folder: &Path, process: &str) -> Result<(String, String)> {
    std::fs::create_dir_all(folder)?;
    set(folder, process, 0)?;
    let file = file(folder, process).to_string_lossy().into_owned();
    Ok(("FAKETIME_TIMESTAMP_FILE".to_owned(), file))
}

/// Whole at any moment, because processes read it at any moment.
pub fn set(folder: &Path, process: &str, seconds: i64) -> Result<()> {
    let file = file(folder, process);
    let unfinished = file.with_extension("partial");
    std::fs::write(&unfinished, format!("{seconds:+}\n"))
        .and_then(|()| std::fs::rename(&unfinished, file))
        .context("cannot set the clocks")
}

fn file(folder: &Path, process: &str) -> PathBuf {
    folder.join(format!("clock of {process}"))
}
