//! `cargo xtask chaos`: shows that no message is lost, doubled or out of order, whatever happens to the platform.
//!
//! Real processes on loopback are driven by clients and met by faults that a seed fixes. What the clients sent, were
//! answered and saw is recorded; afterwards `check` compares these histories with the log and with each other.

mod archive;
mod carry;
mod check;
mod client;
mod clock;
mod conversation;
mod disk;
mod fault;
mod figures;
mod history;
mod log;
mod mutations;
mod random;
mod recorder;
mod report;
mod run;
mod tcp;
mod upgrade;
mod ways;
mod world;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;

use crate::build;
use run::{Length, Outcomes, Plan};
use world::Profile;

#[derive(clap::Args)]
pub struct Options {
    /// Fixes the faults and what clients do; a run that fails names its own [default: the time]
    #[arg(long)]
    seed: Option<u64>,
    /// How long faults go on
    #[arg(long, value_name = "M", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// So many faults instead
    #[arg(long, value_name = "N", conflicts_with = "minutes")]
    faults: Option<usize>,
    /// Only faults whose description, as the report has it, contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// One profile instead of both
    #[arg(long, value_enum)]
    profile: Option<Profile>,
    /// This program instead of one built from the checkout
    #[arg(long, value_name = "PATH")]
    roomlog: Option<PathBuf>,
    /// How the program is built
    #[arg(long, value_enum, default_value_t = build::Profile::Debug)]
    build: build::Profile,
    /// Break one promise of the platform after the other: each has to be noticed
    #[arg(long, conflicts_with_all = ["profile", "roomlog", "minutes", "faults"])]
    all_mutations: bool,
    /// A conversation that is imported before the faults, in the form of `roomlog import`, and has to be shown as it is
    /// there when they are over [default: a small one that is made up]
    #[arg(long, value_name = "FILE")]
    conversation: Option<PathBuf>,
    /// Measure instead of looking for faults: how long clients notice that something went away, and how long a new
    /// owner of a long partition takes [default: both]
    #[arg(long, value_enum, value_name = "WHICH", num_args = 0..=1, default_missing_value = "all",
        conflicts_with_all = ["all_mutations", "minutes", "faults"])]
    figures: Option<figures::Which>,
    /// Of `first-command`: records of that partition
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(2_000..))]
    records: u64,
    /// Of `first-command`: over how many days its commands were given
    #[arg(long, value_name = "D", default_value_t = 10.0)]
    days: f64,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    if options.all_mutations {
        return mutations::run(options.seed.unwrap_or(1), options.build);
    }
    let seed = options.seed.unwrap_or_else(time_as_seed);
    let roomlog = match &options.roomlog {
        // It can be one of a later build besides.
        None if options.figures.is_none() => {
            build::build_with("roomlog", options.build, &["chaos-next-build"])?
        }
        given => build::given_or_built("roomlog", given.as_deref(), options.build)?,
    };
    if let Some(which) = options.figures {
        let partition = figures::Partition { records: options.records, days: options.days };
        figures::run(which, options.profile, &partition, &roomlog, &scratch(&roomlog))?;
        return Ok(ExitCode::SUCCESS);
    }
    let length = options.faults.map_or(Length::Minutes(options.minutes), Length::Faults);
    let mut passed = true;
    for profile in [Profile::Embedded, Profile::Distributed] {
        if options.profile.is_none_or(|only| only == profile) {
            let plan = Plan {
                profile,
                seed,
                length: length.clone(),
                only: options.only.clone().unwrap_or_default(),
                roomlog: roomlog.clone(),
                settings: Vec::new(),
                conversation: options.conversation.clone(),
            };
            passed &= carry_out(plan)?.violations.is_empty();
        }
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// In a folder of its own, which stays where something was wrong.
fn carry_out(plan: Plan) -> Result<Outcomes> {
    eprintln!("\n{:?}, seed {}", plan.profile, plan.seed);
    let folder = tempfile::Builder::new().prefix("roomlog-chaos-").tempdir_in(scratch(&plan.roomlog))?;
    let outcomes = match run::run(plan, folder.path()) {
        Ok(outcomes) => outcomes,
        Err(error) => {
            eprintln!("what the processes left behind: {}", folder.keep().display());
            return Err(error);
        }
    };
    report::print(&outcomes);
    if !outcomes.violations.is_empty() {
        println!("\nwhat the processes left behind: {}", folder.keep().display());
    }
    Ok(outcomes)
}

/// Where programs are built there is room.
fn scratch(roomlog: &Path) -> PathBuf {
    roomlog.parent().map_or_else(std::env::temp_dir, Path::to_path_buf)
}

fn time_as_seed() -> u64 {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since_1970.map_or(0, |time| time.as_secs())
}
