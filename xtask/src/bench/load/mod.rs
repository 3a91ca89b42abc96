//! The load: clients that send messages and sockets that receive them, all on one thread of a process of its own, so
//! that every time comes from one clock. The thread shares the machine with what it measures, so its work is kept
//! small, and its own processor time is part of the figures.

pub mod api;
mod audit;
mod delays;
mod http;
mod idle;
pub mod pace;
mod peak;
mod reads;
mod request;
mod round;
mod sample;
mod search;
mod senders;
mod silent;
mod sockets;
mod stage;
mod stream;
mod tally;
mod way_back;

use std::cell::RefCell;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::str::FromStr;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use tokio::task::LocalSet;

use super::addresses::Addresses;
use super::child;
use super::figures::Figures;
use super::parts::Measured;
use super::workload::{Load, Timing, Workload};
use sockets::Sockets;
use stage::Stage;
use tally::Tally;

/// What to do; given as JSON on the command line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    pub target: Target,
    pub addresses: Addresses,
    pub workload: Workload,
    pub timing: Timing,
    /// Whose processor time and memory are part of the figures …
    pub measured: Vec<Measured>,
    /// … and whether there are others that cannot be seen from here, so that nothing can be said of all together.
    pub unseen: bool,
    /// Needed for silent members.
    pub administrator_token_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    Roomlog,
    /// The comparison that stores nothing: no accounts to register, no rooms to create.
    Broadcast,
}

/// What the load asks of whoever started it: to kill a process that has sockets and to start it again.
pub const ORDER_RESTART: &str = "restart";

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

/// What all parts of the load share.
struct Scene {
    plan: Plan,
    stage: Stage,
    tally: RefCell<Tally>,
}

async fn drive(plan: &Plan) -> Result<Vec<Figures>> {
    let scene = Rc::new(Scene {
        plan: plan.clone(),
        stage: stage::prepare(plan).await?,
        tally: RefCell::new(Tally::new(plan.workload.rooms)),
    });
    let sockets = Sockets::new(scene.clone());
    let Workload { load, .. } = plan.workload;
    if load == Load::Idle {
        return Ok(vec![idle::run(&scene, &sockets).await?]);
    }
    sockets.open(0..plan.workload.sockets()).await?;
    let mut rounds = Vec::new();
    for number in 1..=plan.timing.rounds {
        let figures = match load {
            Load::Search { most_per_second } => peak::find(&scene, &sockets, most_per_second).await?,
            load => round::run(&scene, &sockets, load, plan.timing).await?.figures,
        };
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
