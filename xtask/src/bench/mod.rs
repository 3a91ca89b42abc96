//! `cargo xtask bench`: one Roomlog under load, beside what the same machine gives without it, measured in the same run.
//!
//! Server, load and comparisons are optimised processes of their own. All share the machine, as they do where the goals
//! come from.

mod binaries;
mod cases;
mod child;
mod figures;
pub mod floors;
pub mod load;
mod machine;
mod report;
mod roomlog;
mod runs;
mod scratch;
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use binaries::Binaries;
use cases::{Case, Timing};
use machine::Circumstances;
use runs::{LogKind, Runs};

#[derive(clap::Args)]
pub struct Options {
    /// Which log Roomlog runs on
    #[arg(long, value_enum, default_value = "sqlite")]
    log: Logs,
    /// Which workloads
    #[arg(long = "case", value_name = "CASE", value_enum, value_delimiter = ',', default_value = "w1,w2,w3")]
    cases: Vec<Case>,
    /// How long each round is measured [default: 20, or 5 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    seconds: Option<u32>,
    /// How often [default: 3, or 1 with --quick]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Where a line of JSON is added for each log and workload [default: target/bench.jsonl]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Measure this program, a server built before, instead of building one
    #[arg(long, value_name = "PROGRAM")]
    roomlog: Option<PathBuf>,
    /// Only look whether everything works: less of all; its figures are not comparable
    #[arg(long)]
    quick: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Logs {
    Sqlite,
    Kafka,
    Both,
}

impl Logs {
    fn kinds(self) -> &'static [LogKind] {
        match self {
            Self::Sqlite => &[LogKind::Sqlite],
            Self::Kafka => &[LogKind::Kafka],
            Self::Both => &[LogKind::Sqlite, LogKind::Kafka],
        }
    }
}

/// Access tokens end after 15 minutes, and are not renewed.
const LONGEST_LOAD_SECONDS: u32 = 13 * 60;

pub fn run(options: &Options) -> Result<ExitCode> {
    let timing = options.timing();
    let load_seconds = timing.rounds * (timing.warm_up_seconds + timing.seconds);
    ensure!(
        load_seconds <= LONGEST_LOAD_SECONDS,
        "{load_seconds} s of load for a workload are too many: at most {LONGEST_LOAD_SECONDS}"
    );
    let mut cases = options.cases.clone();
    cases.sort();
    cases.dedup();
    allow_open_files(&cases, options.quick)?;

    let circumstances = Circumstances::now();
    let binaries = Binaries::build(options.roomlog.as_deref())?;
    let out = options.out.clone().unwrap_or_else(|| crate::workspace::root().join("target/bench.jsonl"));
    let mut runs = Runs::new(&binaries, timing, options.quick)?;
    runs.measure_broadcast(&cases)?;
    let mut results = Vec::new();
    for log in options.log.kinds() {
        for result in runs.measure_log(*log, &cases)? {
            report::append_line(&out, &circumstances, &result)
                .with_context(|| format!("cannot write {}", out.display()))?;
            results.push(result);
        }
    }
    print!("{}", report::Report { circumstances: &circumstances, results: &results });
    Ok(ExitCode::SUCCESS)
}

impl Options {
    fn timing(&self) -> Timing {
        let (warm_up_seconds, seconds, rounds) = if self.quick { (1, 5, 1) } else { (5, 20, 3) };
        Timing {
            warm_up_seconds,
            seconds: self.seconds.unwrap_or(seconds),
            rounds: self.rounds.unwrap_or(rounds),
        }
    }
}

/// For connections that senders open, and for the files of a server.
const FURTHER_FILES: u64 = 1_000;

/// Raises this process's limit as far as it may be, for the processes that it starts.
fn allow_open_files(cases: &[Case], quick: bool) -> Result<()> {
    let sockets = cases.iter().map(|case| case.workload(quick).sockets()).max().unwrap_or_default();
    let needed = sockets as u64 + FURTHER_FILES;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .context("cannot raise the limit of open files")?;
    let allowed = limit.maximum.unwrap_or(u64::MAX);
    ensure!(
        allowed >= needed,
        "a process may open {allowed} files here; {needed} are needed: raise `ulimit -Hn`"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    fn parse(arguments: &[&str]) -> Options {
        Cli::parse_from([&["bench"], arguments].concat()).options
    }

    #[test]
    fn everything_has_a_usual_value() {
        let options = parse(&[]);
        assert_eq!(options.cases, [Case::W1, Case::W2, Case::W3]);
        assert_eq!(options.log.kinds(), [LogKind::Sqlite]);
        assert_eq!(options.timing(), Timing { warm_up_seconds: 5, seconds: 20, rounds: 3 });
    }

    #[test]
    fn what_is_asked_for_wins() {
        let options = parse(&["--quick", "--seconds", "2", "--case", "w3,w1", "--log", "both"]);
        assert_eq!(options.timing(), Timing { warm_up_seconds: 1, seconds: 2, rounds: 1 });
        assert_eq!(options.cases, [Case::W3, Case::W1]);
        assert_eq!(options.log.kinds(), [LogKind::Sqlite, LogKind::Kafka]);
    }
}
