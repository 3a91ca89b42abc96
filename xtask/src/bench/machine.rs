//! Where and of what a measurement was taken.

use std::process::Command;

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::workspace;

#[derive(Clone, Debug, Serialize)]
pub struct Circumstances {
    /// RFC 3339, UTC.
    pub date: String,
    pub command_line: String,
    /// The commit, and whether there were changes on top of it.
    pub revision: String,
    pub cores: usize,
    pub processor: String,
    pub kernel: String,
    pub memory_mb: u64,
    /// Processes that wanted to run in the last minute before: something else went on if it is not near 0.
    pub load_average_before: f64,
}

impl Circumstances {
    pub fn now() -> Self {
        let now = OffsetDateTime::now_utc();
        let now = now.replace_nanosecond(0).unwrap_or(now);
        Self {
            date: now.format(&Rfc3339).unwrap_or_default(),
            command_line: command_line(std::env::args().skip(1)),
            revision: revision(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: field_of(&read("/proc/cpuinfo"), "model name").unwrap_or_default(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            memory_mb: memory_mb(&read("/proc/meminfo")),
            load_average_before: load_average(&read("/proc/loadavg")),
        }
    }
}

/// As a person would type it.
fn command_line(arguments: impl Iterator<Item = String>) -> String {
    ["cargo".to_owned(), "xtask".to_owned()].into_iter().chain(arguments).collect::<Vec<_>>().join(" ")
}

fn revision() -> String {
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.current_dir(workspace::root()).args(arguments);
        let output = workspace::run_quietly(&mut git).ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "unknown".to_owned();
    };
    match git(&["status", "--porcelain"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => format!("{commit} with changes"),
    }
}

/// Empty where there is no such file.
fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn field_of(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim_start_matches([' ', '\t', ':']).trim().to_owned())
}

fn memory_mb(meminfo: &str) -> u64 {
    let total = field_of(meminfo, "MemTotal");
    let kibibytes = total.and_then(|total| total.split(' ').next()?.parse::<u64>().ok());
    kibibytes.unwrap_or_default() / 1_024
}

fn load_average(loadavg: &str) -> f64 {
    loadavg.split(' ').next().and_then(|minute| minute.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_understood() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Some Processor @ 2.00GHz\n";
        assert_eq!(field_of(cpuinfo, "model name").unwrap(), "Some Processor @ 2.00GHz");
        assert_eq!(memory_mb("MemTotal:       16384000 kB\nMemFree:  1 kB\n"), 16_000);
        assert_eq!(load_average("3.37 3.29 2.29 1/234 5678\n"), 3.37);
        assert_eq!((memory_mb(""), load_average("")), (0, 0.0));
    }

    #[test]
    fn the_command_line_is_what_was_typed() {
        let arguments = ["bench", "--quick"].map(str::to_owned).into_iter();
        assert_eq!(command_line(arguments), "cargo xtask bench --quick");
    }
}
