//! `roomlog`: any set of roles in one process, and the commands of an operator.

mod cli;
mod config;
mod files;
mod health;
mod http;
mod listener;
mod logging;
mod openapi;
mod platform;
mod serve;

use clap::Parser;

fn main() -> anyhow::Result<()> {
    let cli = cli::Cli::parse();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(cli.run())
}
