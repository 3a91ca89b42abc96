//! `--figures`: how long clients notice that something went away, and how long a new owner takes.

mod audience;
mod first_command;
mod senders;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::history::Millis;
use super::world::{Profile, Servers, World, pause};
use crate::cluster::Service;
use audience::Audience;
pub use first_command::Partition;
use senders::Senders;

/// Each is measured so often.
const ROUNDS: usize = 3;
/// An owner's lease is 2 s; this is long past it.
const PAUSED: Duration = Duration::from_secs(8);
/// Between a process's return and the next misfortune, so that partitions are spread and left alone again.
const CALM: Duration = Duration::from_secs(5);

struct Figure {
    what: &'static str,
    /// Milliseconds, where there is one.
    goal: Option<Millis>,
    measured: Vec<Millis>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Which {
    All,
    /// How long clients notice that something went away; distributed
    FailOver,
    /// How long it takes until a new owner of a long partition decides; both profiles, or one
    FirstCommand,
}

/// Prints them, as of this machine.
pub fn run(
    which: Which,
    profile: Option<Profile>,
    partition: &Partition,
    roomlog: &Path,
    scratch: &Path,
) -> Result<()> {
    if which != Which::FirstCommand && profile != Some(Profile::Embedded) {
        fail_over(roomlog, tempfile::tempdir_in(scratch)?.path())?;
    }
    for each in [Profile::Embedded, Profile::Distributed] {
        if which != Which::FailOver && profile.is_none_or(|only| only == each) {
            first_command::run(each, partition, roomlog, tempfile::tempdir_in(scratch)?.path())?;
        }
    }
    Ok(())
}

fn fail_over(roomlog: &Path, folder: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let handle = runtime.handle().clone();
    let _within = handle.enter();
    let servers = Servers::start()?;
    // Balance would move partitions while something else is measured.
    let settings = [("ROOMLOG_BALANCE_AFTER_MS".to_owned(), "3600000".to_owned())];
    let mut world = World::start(Profile::Distributed, roomlog, folder, Some(servers), &settings)?;
    let senders = runtime.block_on(Senders::start(world.targets()))?;
    let streams = world.targets().streams;
    let mut figures = Vec::new();
    {
        let mut measure = |what, goal, event: &mut dyn FnMut(&mut World) -> Result<Millis>| -> Result<()> {
            let mut measured = Vec::new();
            for _ in 0..ROUNDS {
                senders.get_on()?;
                pause(CALM)?;
                measured.push(event(&mut world)?);
                eprintln!("{what}: {:.2} s", measured.last().copied().unwrap_or(0) as f64 / 1_000.0);
                world.all_ready()?;
            }
            figures.push(Figure { what, goal, measured });
            Ok(())
        };
        measure("an owner is killed", Some(3_000), &mut |world| {
            let owner = runtime.block_on(senders.busiest(world))?;
            senders.gap(&owner, || world.platform.process(&owner)?.kill().map(drop))
        })?;
        measure("an owner is paused", Some(3_000), &mut |world| {
            let owner = runtime.block_on(senders.busiest(world))?;
            let gap = senders.gap(&owner, || world.platform.process(&owner)?.pause())?;
            pause(PAUSED)?;
            world.platform.process(&owner)?.resume()?;
            Ok(gap)
        })?;
        measure("an owner stops when asked to", Some(1_000), &mut |world| {
            let owner = runtime.block_on(senders.busiest(world))?;
            senders.gap(&owner, || world.platform.process(&owner)?.terminate())
        })?;
        measure("the broker is killed and started at once", None, &mut |world| {
            senders.gap("", || world.kill_server(Service::Kafka, Duration::ZERO))
        })?;
        let (first, second) = (streams.first().context("no streams")?, streams.last().context("no streams")?);
        measure("1,000 sockets whose ws-fanout is killed", Some(2_000), &mut |world| {
            let audience = runtime.block_on(Audience::gather(&senders, first, second))?;
            let took =
                audience.back_in_step(&senders, || world.platform.process(&first.name)?.kill().map(drop));
            audience.dissolve();
            took
        })?;
    }
    print(&mut figures);
    drop(senders);
    world.stop()?;
    runtime.shutdown_background();
    Ok(())
}

fn print(figures: &mut [Figure]) {
    println!(
        "\n{:<44} {:>8} {:>8} {:>8}  goal s",
        "time without acknowledgements, or behind", "best s", "median", "worst"
    );
    for Figure { what, goal, measured } in figures {
        measured.sort_unstable();
        let seconds = |millis: Option<&Millis>| millis.map_or(0.0, |millis| *millis as f64 / 1_000.0);
        let goal = goal.map_or("–".to_owned(), |goal| format!("≤ {}", goal / 1_000));
        println!(
            "{what:<44} {:>8.2} {:>8.2} {:>8.2}  {goal}",
            seconds(measured.first()),
            seconds(measured.get(measured.len() / 2)),
            seconds(measured.last())
        );
    }
}
