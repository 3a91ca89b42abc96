//! `cargo xtask bench`: Roomlog under load, beside what the same machine gives without it, measured in the same run.
//!
//! Platform, load and comparisons are optimised processes of their own. All share the machine, as they do where the goals
//! come from. What is measured, and the names of its figures, are in `docs/PERFORMANCE.md`.

mod addresses;
mod binaries;
mod cases;
mod child;
mod curves;
mod figures;
pub mod floors;
mod kind;
mod limits;
pub mod load;
mod machine;
mod options;
mod parts;
mod report;
mod runs;
mod scratch;
mod settings;
mod subject;
mod usage;
mod what;
mod workload;

use std::process::ExitCode;

use anyhow::{Context, Result};

use binaries::Binaries;
pub use kind::Kind;
use machine::Circumstances;
pub use options::Options;
use report::Report;
use runs::Runs;
pub use settings::settings;

pub fn run(options: &Options) -> Result<ExitCode> {
    let all = options.all()?;
    limits::allow_open_files(&all, options.quick)?;

    let circumstances = Circumstances::now();
    let binaries = Binaries::build(options.roomlog.as_deref())?;
    let out = options.out.clone().unwrap_or_else(|| crate::workspace::root().join("target/bench.jsonl"));
    let mut runs = Runs::new(&binaries, options.layout(), options.quick, options.asked())?;
    runs.measure_broadcast(&all)?;
    let mut measurements = Vec::new();
    for kind in options.platforms() {
        runs.measure(kind, &all, |measurement| {
            report::append_line(&out, &circumstances, &measurement)
                .with_context(|| format!("cannot write {}", out.display()))?;
            measurements.push(measurement);
            Ok(())
        })?;
    }
    print!("{}", Report { circumstances: &circumstances, measurements: &measurements });
    Ok(ExitCode::SUCCESS)
}
