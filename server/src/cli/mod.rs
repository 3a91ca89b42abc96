//! The command line.

mod import;
mod keys;
mod projections;
mod verify;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config::Config;
use crate::{openapi, serve};

/// Roomlog: an event-sourced chat platform. Without a command it serves.
#[derive(Debug, Parser)]
#[command(name = "roomlog", version = version())]
pub struct Cli {
    /// Configuration file (TOML); the environment (`ROOMLOG_…`) wins over it.
    #[arg(long, global = true, env = "ROOMLOG_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve (the default).
    Serve,
    /// Load a conversation (JSON lines, plain or gzipped) through the public API.
    Import(import::Args),
    /// List the projections, or build one anew from the log.
    #[command(subcommand)]
    Projections(projections::Command),
    /// The keys that sign access tokens and checkpoints: list them, add one, destroy one.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Read the log as a stranger and hold it against signed checkpoints; fails if it is not what was signed.
    Verify(verify::Args),
    /// Print the OpenAPI document.
    Openapi,
}

/// A later build says that it is one.
fn version() -> &'static str {
    if roomlog_schemas::next_build::is_on() {
        concat!(env!("CARGO_PKG_VERSION"), "-next")
    } else {
        env!("CARGO_PKG_VERSION")
    }
}

impl Cli {
    pub async fn run(self) -> anyhow::Result<()> {
        match self.command {
            None | Some(Command::Serve) => Box::pin(serve::run(Config::load(self.config.as_deref())?)).await,
            Some(Command::Import(args)) => {
                let config = Config::load(self.config.as_deref())?;
                Box::pin(import::run(args, &config)).await
            }
            Some(Command::Projections(command)) => {
                Box::pin(projections::run(command, &Config::load(self.config.as_deref())?)).await
            }
            Some(Command::Keys(command)) => {
                Box::pin(keys::run(command, &Config::load(self.config.as_deref())?)).await
            }
            Some(Command::Verify(args)) => {
                Box::pin(verify::run(args, &Config::load(self.config.as_deref())?)).await
            }
            Some(Command::Openapi) => {
                println!("{}", openapi::document().to_pretty_json()?);
                Ok(())
            }
        }
    }
}
