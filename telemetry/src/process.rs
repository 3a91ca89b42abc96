//! The process's own figures from `/proc`, under the names that Prometheus' clients use.

use std::fmt::Write;
use std::fs;

use crate::metrics::{self, Kind};

/// What the text of `/metrics` ends with; nothing where there is no `/proc`. Reads five small files.
pub fn render() -> String {
    let mut out = String::new();
    for (name, value) in figures().unwrap_or_default() {
        let Some(metric) = metrics::find(name) else { continue };
        let kind = if metric.kind == Kind::Counter { "counter" } else { "gauge" };
        // Writing to a string does not fail.
        let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} {kind}\n{name} {value}\n", metric.help);
    }
    out
}

fn figures() -> Option<Vec<(&'static str, f64)>> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in brackets, which may have anything in it.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    // Counted from 1 in proc(5), the first here is the third.
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let mut figures = vec![
        ("process_cpu_seconds_total", (field(14)? + field(15)?) / ticks),
        ("process_resident_memory_bytes", field(24)? * rustix::param::page_size() as f64),
        ("process_virtual_memory_bytes", field(23)?),
        ("process_threads", field(20)?),
    ];
    if let Some(booted) = booted() {
        figures.push(("process_start_time_seconds", booted + field(22)? / ticks));
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // One of them reads the folder.
        figures.push(("process_open_fds", open.count().saturating_sub(1) as f64));
    }
    if let Some(most) = max_fds() {
        figures.push(("process_max_fds", most));
    }
    Some(figures)
}

/// Seconds since 1970.
fn booted() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

fn max_fds() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_its_own_figures() {
        let figures: std::collections::HashMap<_, _> = figures().unwrap().into_iter().collect();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        assert_eq!(figures.len(), 7);
        assert!((1e6..1e11).contains(&figures["process_resident_memory_bytes"]), "{figures:?}");
        assert!((now - 3_600.0..now + 2.0).contains(&figures["process_start_time_seconds"]), "{figures:?}");
        assert!(figures["process_open_fds"] >= 3.0 && figures["process_threads"] >= 1.0, "{figures:?}");
        assert!(figures["process_open_fds"] <= figures["process_max_fds"], "{figures:?}");
    }

    #[test]
    fn all_of_them_are_in_the_table_and_in_the_text() {
        let text = render();
        for (name, _) in figures().unwrap() {
            assert!(text.contains(&format!("# TYPE {name} ")), "{name}");
        }
        assert!(text.contains("# TYPE process_cpu_seconds_total counter\n"));
    }
}
