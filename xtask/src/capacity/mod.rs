//! `cargo xtask capacity`: what a platform of some size needs, by a small model whose constants were
//! measured. It adds up and divides; it knows nothing of bursts, failures or bad luck but for the share of
//! each machine that it leaves free.

mod constants;
mod limits;
mod model;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use self::constants::Constants;
use self::model::{Demand, Needs};

/// Sizes that docs/SCALING.md is about.
const SIZES: [Demand; 3] = [
    Demand { connections: 1e5, rooms: 2e4, rate: 1e3, rooms_per_account: 10.0, cores: 8.0 },
    Demand { connections: 1e7, rooms: 2e6, rate: 1e5, rooms_per_account: 10.0, cores: 32.0 },
    Demand { connections: 1e8, rooms: 2e7, rate: 1e6, rooms_per_account: 10.0, cores: 64.0 },
];

#[derive(Debug, clap::Args)]
pub struct Options {
    /// Clients connected at the same time; without it, the sizes of docs/SCALING.md
    #[arg(long, requires_all = ["rooms", "rate"])]
    connections: Option<f64>,
    /// Rooms in which somebody writes
    #[arg(long)]
    rooms: Option<f64>,
    /// Messages a second, in all rooms together
    #[arg(long)]
    rate: Option<f64>,
    /// Rooms that a connected account is a member of
    #[arg(long, default_value_t = 10.0)]
    rooms_per_account: f64,
    /// Cores of each machine
    #[arg(long, default_value_t = 16.0)]
    cores: f64,
    /// Lines that `cargo xtask bench` wrote; what they do not hold is taken from docs/PERFORMANCE.md
    #[arg(long, default_value = "target/bench.jsonl")]
    bench: PathBuf,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    let constants = Constants::read(&options.bench)?;
    print!("{}", report::constants(&constants));
    let demands = match (options.connections, options.rooms, options.rate) {
        (Some(connections), Some(rooms), Some(rate)) => {
            let (rooms_per_account, cores) = (options.rooms_per_account, options.cores);
            vec![Demand { connections, rooms, rate, rooms_per_account, cores }.checked()?]
        }
        _ => SIZES.to_vec(),
    };
    for demand in demands {
        let needs = Needs::of(&demand, &constants);
        print!("{}", report::needs(&demand, &needs, &limits::reached(&demand, &needs)));
    }
    Ok(ExitCode::SUCCESS)
}
