//! What a person or CI does with this workspace, one command each: `cargo xtask <task>`.

mod cluster;
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
    /// Start, stop or look at a real Kafka on this machine
    #[command(subcommand)]
    Cluster(cluster::cli::Command),
    /// Check the formatting, the lints and the documents, and run every test
    Test(test::Options),
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
    }
}
