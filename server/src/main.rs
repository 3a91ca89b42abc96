//! `roomlog`: any set of roles in one process, and the commands of an operator.

mod cli;
mod config;
mod docs;
mod draining;
mod files;
mod health;
mod http;
mod listener;
mod logging;
mod openapi;
mod patience;
mod platform;
mod serve;

use std::process::ExitCode;

use clap::Parser;

/// Messages are many small pieces made on one thread and freed on another, which the system's allocator
/// pays for with contention and memory that it does not give back (docs/PERFORMANCE.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(cli.run())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
