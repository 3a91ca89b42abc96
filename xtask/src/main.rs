//! What a person or CI does with this workspace, one command each: `cargo xtask <task>`.

// What only `chaos` and `bench` call is looked at where they are built.
#![cfg_attr(
    not(all(feature = "chaos", feature = "floors")),
    allow(dead_code, unused_imports, reason = "a build without them")
)]

mod bench;
mod build;
mod capacity;
#[cfg(feature = "chaos")]
mod chaos;
mod cluster;
mod fuzz;
#[cfg(any(feature = "chaos", feature = "floors"))]
mod past;
mod platform;
mod schemathesis;
mod secret;
mod test;
mod wait;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Roomlog's development tasks")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Start, stop or look at real servers on this machine: Kafka, a CQL store, PostgreSQL
    #[command(subcommand)]
    Cluster(cluster::cli::Command),
    /// Check the formatting, the lints and the documents, and run every test
    Test(test::Options),
    /// Measure Roomlog under load, embedded or distributed, beside what this machine gives without it
    Bench(bench::Options),
    /// Show that no message is lost, doubled or out of order while processes and servers fail
    #[cfg(feature = "chaos")]
    Chaos(chaos::Options),
    /// Show that no message is lost, doubled or out of order while processes and servers fail
    #[cfg(not(feature = "chaos"))]
    #[command(disable_help_flag = true)]
    Chaos {
        /// Those of the whole program, which is built first
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<std::ffi::OsString>,
    },
    /// Look for bytes that break what reads them, guided by coverage
    Fuzz(fuzz::Options),
    /// What a platform of some size needs, by what the bench has measured
    Capacity(capacity::Options),
    /// A benchmark's load, in a process of its own
    #[command(hide = true)]
    Load {
        /// As JSON
        plan: bench::load::Plan,
    },
    /// A benchmark's comparison, in a process of its own
    #[command(subcommand, hide = true)]
    Floor(bench::floors::Command),
}

fn main() -> ExitCode {
    run(Cli::parse().task).unwrap_or_else(|error| {
        // What goes wrong here is about the machine, not about this program: no backtrace.
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(task: Task) -> Result<ExitCode> {
    match task {
        Task::Cluster(command) => cluster::cli::run(command),
        Task::Test(options) => test::run(&options),
        Task::Bench(options) => bench::run(&options),
        #[cfg(feature = "chaos")]
        Task::Chaos(options) => chaos::run(&options),
        #[cfg(not(feature = "chaos"))]
        Task::Chaos { arguments } => {
            let whole = build::build("xtask", build::Profile::Debug)?;
            let status = std::process::Command::new(whole).arg("chaos").args(arguments).status()?;
            Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Capacity(options) => capacity::run(&options),
        Task::Load { plan } => bench::load::run(&plan),
        Task::Floor(command) => bench::floors::run(command),
    }
}
