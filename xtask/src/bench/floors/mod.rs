//! What the machine gives without Roomlog: the same load on the bare log, on bare commits, and on a bare broadcast.

mod broadcast;
mod broadcast_http;
#[cfg(feature = "floors")]
mod commit;
#[cfg(feature = "floors")]
mod log;
pub mod plan;
#[cfg(feature = "floors")]
mod reading;

use std::process::ExitCode;

use anyhow::Result;

#[cfg(feature = "floors")]
use super::child;

/// The parts of a comparison that need a process of their own. Plans are JSON.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Broadcasts to the sockets of a room and stores nothing, until its input ends
    Broadcast { rooms: usize },
    /// Appends to the log and reads back
    #[cfg(feature = "floors")]
    Log { plan: plan::LogPlan },
    /// Commits to SQLite
    #[cfg(feature = "floors")]
    Commit { plan: plan::CommitPlan },
    /// Judges records in memory, and replays them
    #[cfg(feature = "floors")]
    Reading { plan: plan::ReadingPlan },
}

pub fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Broadcast { rooms } => broadcast::run(rooms)?,
        #[cfg(feature = "floors")]
        Command::Log { plan } => child::answer(&log::run(plan)?)?,
        #[cfg(feature = "floors")]
        Command::Commit { plan } => child::answer(&commit::run(&plan)?)?,
        #[cfg(feature = "floors")]
        Command::Reading { plan } => child::answer(&reading::run(&plan)?)?,
    }
    Ok(ExitCode::SUCCESS)
}
