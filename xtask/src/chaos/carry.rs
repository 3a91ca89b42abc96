//! Carrying out a fault, and mending it.

use std::time::Duration;

use anyhow::{Context, Result};
use roomlog_eventlog::TopicPartition;
use tokio::runtime::Handle;

use super::client::{Crowd, Order};
use super::disk::Disk;
use super::fault::Fault;
use super::log::Opened;
use super::world::{Profile, READY_DEADLINE, World, pause};
use super::{clock, tcp, upgrade};

/// So much is said that it does not fit into the buffers of a socket that nobody reads.
const BURST_MESSAGES: usize = 60;
const BURST_BYTES: usize = 20_000;

pub struct Means<'a> {
    pub world: &'a mut World,
    pub crowd: &'a Crowd,
    pub runtime: &'a Handle,
    pub disk: Option<&'a Disk>,
}

impl Means<'_> {
    /// Returns when the fault is over and what it had ended runs again, though perhaps not ready yet.
    pub fn carry_out(&mut self, fault: &Fault) -> Result<()> {
        match fault {
            Fault::Kill { process, down } => {
                self.world.platform.process(process)?.kill()?;
                pause(Duration::from_millis(*down))?;
                self.world.platform.process(process)?.start_again()
            }
            Fault::Stop { process } => {
                let process = self.world.platform.process(process)?;
                process.terminate()?;
                process.start_again()
            }
            Fault::Pause { process, millis } => {
                self.world.platform.process(process)?.pause()?;
                pause(Duration::from_millis(*millis))?;
                self.world.platform.process(process)?.resume()
            }
            Fault::KillServer { service, down } => {
                self.world.kill_server(*service, Duration::from_millis(*down))
            }
            Fault::SecondOwner { partition } => {
                let partition = TopicPartition::rooms(*partition);
                self.on_the_log(|log, runtime| runtime.block_on(log.claim(partition)))
            }
            Fault::Doubled { partition } => {
                self.on_a_partition(*partition, async |log, partition| log.double(partition).await)
            }
            Fault::Foreign { partition } => {
                self.on_a_partition(*partition, async |log, partition| log.pollute(partition).await)
            }
            Fault::Cut { process } => {
                self.world.ways.named(process)?.iter().for_each(|way| way.cut());
                Ok(())
            }
            Fault::Hold { process, millis, then_cut } => {
                hold(&self.world.ways.named(process)?, *millis, *then_cut)
            }
            Fault::Delay { process, each, millis } => {
                let ways = self.world.ways.named(process)?;
                ways.iter().for_each(|way| way.delay(*each));
                pause(Duration::from_millis(*millis))?;
                ways.iter().for_each(|way| way.delay(0));
                Ok(())
            }
            Fault::SlowReader { millis } => self.slow_reader(*millis),
            Fault::RollingRestart => self.rolling_restart(),
            Fault::Upgrade { readers_first } => {
                upgrade::roll(self.world, self.crowd, self.runtime, *readers_first)
            }
            Fault::FullDisk { millis } => {
                let disk = self.disk.context("the data folder has no disk of its own")?;
                disk.fill()?;
                pause(Duration::from_millis(*millis))?;
                disk.empty()
            }
            Fault::Clock { process, seconds, millis } => {
                self.set_clocks(process.as_deref(), *seconds)?;
                pause(Duration::from_millis(*millis))?;
                self.set_clocks(process.as_deref(), 0)
            }
        }
    }

    /// In the first partition from this one on that has what it takes.
    fn on_a_partition(
        &mut self,
        first: u32,
        write: impl AsyncFn(&Opened, TopicPartition) -> Result<()>,
    ) -> Result<()> {
        self.on_the_log(|log, runtime| {
            let count = log.room_partitions();
            let mut outcome = Ok(());
            for n in 0..count {
                outcome = runtime.block_on(write(log, TopicPartition::rooms((n + first) % count)));
                if outcome.is_ok() {
                    break;
                }
            }
            outcome
        })
    }

    /// Nobody else may have an SQLite log open: there the server is killed first.
    fn on_the_log(&mut self, write: impl FnOnce(&Opened, &Handle) -> Result<()>) -> Result<()> {
        let is_embedded = self.world.profile == Profile::Embedded;
        if is_embedded {
            self.world.platform.process("all-1")?.kill()?;
        }
        let log = self.world.log.open()?;
        let written = write(&log, self.runtime);
        drop(log);
        if is_embedded {
            self.world.platform.process("all-1")?.start_again()?;
        }
        written
    }

    /// Of one process, or of all.
    fn set_clocks(&self, process: Option<&str>, seconds: i64) -> Result<()> {
        let all = self.world.platform.processes().iter().map(|one| one.name());
        for name in all.filter(|name| process.is_none_or(|process| process == *name)) {
            clock::set(self.world.folder(), name, seconds)?;
        }
        Ok(())
    }

    /// Somebody talks much in a room of whom one does not listen.
    fn slow_reader(&mut self, millis: u64) -> Result<()> {
        let shared = &self.crowd.shared;
        let pair = shared.rooms.iter().find_map(|room| {
            let mut members = self.crowd.clients.iter().filter(|client| client.is_member(room.id));
            let (first, second) = (members.next()?, members.next()?);
            // Its creator stays to the end of what it says.
            let (talker, listener) =
                if first.account == room.creator { (first, second) } else { (second, first) };
            Some((room.id, talker, listener))
        });
        let Some((room, talker, listener)) = pair else { return Ok(()) };
        listener.stall(millis);
        let order = Order::Burst { room, messages: BURST_MESSAGES, bytes: BURST_BYTES };
        talker.orders.send(order).ok().context("a client has ended")?;
        pause(Duration::from_millis(millis))
    }

    fn rolling_restart(&mut self) -> Result<()> {
        for process in self.world.platform.processes_mut() {
            process.terminate()?;
            process.start_again()?;
            process.wait_until_ready(READY_DEADLINE)?;
        }
        Ok(())
    }
}

fn hold(ways: &[&tcp::Path], millis: u64, then_cut: bool) -> Result<()> {
    ways.iter().for_each(|way| way.hold());
    pause(Duration::from_millis(millis))?;
    for way in ways {
        if then_cut {
            way.cut();
        }
        way.release();
    }
    Ok(())
}
