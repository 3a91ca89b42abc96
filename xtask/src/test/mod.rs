//! `cargo xtask test`: everything that must hold before a change goes in, by one command on a fresh machine.

mod report;
mod steps;

use std::process::ExitCode;

use anyhow::{Result, bail};

use report::Report;
use steps::Step;

#[derive(clap::Args)]
pub struct Options {
    /// Skip the tests that need real servers (refused where the environment variable CI is set)
    #[arg(long)]
    without_servers: bool,
    /// Run this step alone (repeatable)
    #[arg(long, value_name = "STEP")]
    only: Vec<Step>,
    /// Stop at the first step that fails
    #[arg(long)]
    fail_fast: bool,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    let needs_servers = options.only.is_empty()
        || [Step::Proxy, Step::Tests, Step::Chaos].iter().any(|step| options.only.contains(step));
    if options.without_servers && needs_servers && on_ci() {
        bail!("CI is set, so nothing may be skipped: run without --without-servers");
    }

    let mut report = Report::default();
    for step in steps::ALL {
        if options.only.is_empty() || options.only.contains(&step) {
            step.run(options, &mut report);
            if options.fail_fast && report.has_failed() {
                break;
            }
        }
    }
    print!("\n{report}");
    Ok(if report.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn on_ci() -> bool {
    std::env::var_os("CI").is_some_and(|ci| !ci.is_empty())
}
