//! Replacing a running platform by one of the next build, process by process.
//!
//! The next build is the same program: it has [another version of the directory, and writes messages as a type of event
//! that the build before it does not know](roomlog_schemas::next_build).

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::runtime::Handle;

use super::client::{Crowd, reads};
use super::run::last_positions;
use super::world::{READY_DEADLINE, World};
use crate::platform::Role;
use crate::{wait, workspace};

const SETTING: &str = "ROOMLOG_CHAOS_NEXT_BUILD";
/// Commands that are acknowledged between one process and the next: both builds are at work side by side.
const PROGRESS: u64 = 20;
const DEADLINE: Duration = Duration::from_secs(120);

/// Whether this program can be one of the next build.
pub fn is_possible(program: &Path) -> bool {
    let mut version = Command::new(program);
    let said = workspace::run_quietly(version.arg("--version").env(SETTING, "1"));
    said.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).trim_end().ends_with("-next"))
}

/// Before this process reads what such a build wrote.
pub fn understand() {
    roomlog_schemas::next_build::turn_on();
}

/// As an operator is told to: one that projects, so that it builds the new version while another keeps the old one; who
/// reads the projections; the others that project; who writes. Or the other way round: readers of the old build then stop
/// where they meet what they do not know, and their successors go on from there.
pub fn roll(world: &mut World, crowd: &Crowd, runtime: &Handle, readers_first: bool) -> Result<()> {
    for process in order(world, readers_first) {
        let one = world.platform.process(&process)?;
        one.terminate()?;
        one.set(SETTING, "1");
        one.start_again()?;
        one.wait_until_ready(READY_DEADLINE)?;
        let recorder = &crowd.shared.recorder;
        let goal = recorder.acknowledgements() + PROGRESS;
        wait::until(&format!("commands once {process} was replaced"), DEADLINE, || {
            Ok(recorder.acknowledgements() >= goal)
        })?;
        if readers_first {
            let positions = last_positions(&recorder.commands());
            let read = runtime.block_on(reads(crowd, &positions));
            read.with_context(|| format!("queries, once {process} was replaced"))?;
        }
    }
    Ok(())
}

fn order(world: &World, readers_first: bool) -> Vec<String> {
    let with = |role: Role| -> Vec<String> {
        let with_role = world.platform.processes().iter().filter(|process| process.has(role));
        with_role.map(|process| process.name().to_owned()).collect()
    };
    let (mut first, mut rest) = (with(Role::Projectors), Vec::new());
    if first.len() > 1 {
        rest = first.split_off(1);
    }
    let mut order =
        [first, with(Role::QueryApi), with(Role::WsFanout), rest, with(Role::CommandApi)].concat();
    if !readers_first {
        order.reverse();
    }
    let mut seen = std::collections::HashSet::new();
    // One process may have several roles.
    order.retain(|process| seen.insert(process.clone()));
    order
}
