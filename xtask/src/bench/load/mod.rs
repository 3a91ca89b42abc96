//! The load: clients that send messages and sockets that receive them, all on one thread of a process of its own, so
//! that every time comes from one clock. The thread shares the machine with what it measures, so its work is kept
//! small, and its own processor time is part of the figures.

mod api;
mod audit;
mod http;
pub mod pace;
mod request;
mod round;
mod senders;
mod sockets;
mod stage;
mod tally;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::str::FromStr;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use tokio::task::LocalSet;

use super::cases::{Timing, Workload};
use super::child;
use super::figures::Figures;
use stage::Stage;
use tally::Tally;

/// What to do; given as JSON on the command line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    pub target: Target,
    pub address: SocketAddr,
    pub workload: Workload,
    pub timing: Timing,
    /// Whose processor time is part of the figures.
    pub server_pid: u32,
    /// The log's own process, where it has one that can be seen from here …
    pub broker_pid: Option<u32>,
    /// … and whether it has one that cannot, so that nothing can be said of all processes together.
    pub unseen_broker: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    Roomlog,
    /// The comparison that stores nothing: no accounts to register, no rooms to create.
    Broadcast,
}

impl FromStr for Plan {
    type Err = serde_json::Error;

    fn from_str(json: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(json)
    }
}

/// Prints the figures of each round, as a JSON array.
pub fn run(plan: &Plan) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let rounds = LocalSet::new().block_on(&runtime, drive(plan))?;
    child::answer(&rounds)?;
    Ok(ExitCode::SUCCESS)
}

async fn drive(plan: &Plan) -> Result<Vec<Figures>> {
    let stage = Rc::new(stage::prepare(plan).await?);
    let tally = Rc::new(RefCell::new(Tally::new(plan.workload.rooms)));
    sockets::open_all(plan, &stage, &tally).await?;

    let mut rounds = Vec::new();
    for number in 1..=plan.timing.rounds {
        let figures = round::run(plan, &stage, &tally).await?;
        let figure = |name: &str| figures.get(name).copied().unwrap_or(f64::NAN);
        eprintln!(
            "  round {number} of {}: {:.0} accepted/s, accept p50/p99 {:.2}/{:.2} ms, to socket p50/p99 {:.2}/{:.2} ms",
            plan.timing.rounds,
            figure("accepted_per_s"),
            figure("accept_p50_ms"),
            figure("accept_p99_ms"),
            figure("send_to_socket_p50_ms"),
            figure("send_to_socket_p99_ms"),
        );
        ensure!(figure("accepted_per_s") > 0.0, "no message was accepted: {figures:?}");
        rounds.push(figures);
    }
    Ok(rounds)
}

/// Whom the load acts as, and where.
type SharedStage = Rc<Stage>;
type SharedTally = Rc<RefCell<Tally>>;
