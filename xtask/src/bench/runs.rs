//! Every measurement of a run, one after the other.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;
use serde::Serialize;

use super::addresses::Addresses;
use super::binaries::Binaries;
use super::child::{self, Server};
use super::figures::{Figures, Summaries, summarize};
use super::floors::plan::{CommitPlan, Log, LogPlan, ReadingPlan};
use super::kind::{Kind, Layout};
use super::load::{Plan, Target};
use super::parts::{Measured, Part};
use super::scratch::Scratch;
use super::settings::{settings, topic_prefix};
use super::subject::Subject;
use super::what::{Asked, What};
use super::workload::{Load, Timing, Workload};
use crate::cluster::{self, Cluster, Instance, Running, Service};

/// Records that are read in memory: a second's worth or two.
const READING: u64 = 500_000;
const READING_QUICK: u64 = 20_000;

/// One measurement on one platform, and what it is compared with.
#[derive(Debug, Serialize)]
pub struct Measurement {
    pub platform: Kind,
    /// Of a distributed platform.
    pub layout: Option<Layout>,
    #[serde(flatten)]
    pub what: What,
    pub quick: bool,
    pub workload: Workload,
    pub timing: Timing,
    pub figures: Summaries,
    /// The same load on the bare log; empty where that is no comparison.
    pub log_floor: Summaries,
    /// Append and read-back one after the other.
    pub log_floor_one_by_one: Summaries,
    /// Bare commits to SQLite; empty on another log.
    pub commit_floor: Figures,
    /// Records in memory: judged, and replayed.
    pub reading_floor: Figures,
    /// The same load on a server that only passes messages on; empty where that is no comparison.
    pub broadcast_floor: Summaries,
}

pub struct Runs<'a> {
    binaries: &'a Binaries,
    layout: Layout,
    quick: bool,
    asked: Asked,
    /// Everything that is stored during the run.
    scratch: Scratch,
    broadcast: Vec<(What, Summaries)>,
    /// Platforms and comparisons so far.
    number: usize,
}

impl<'a> Runs<'a> {
    pub fn new(binaries: &'a Binaries, layout: Layout, quick: bool, asked: Asked) -> Result<Self> {
        let scratch = Scratch::new(binaries.scratch_parent()?)?;
        Ok(Self { binaries, layout, quick, asked, scratch, broadcast: Vec::new(), number: 0 })
    }

    /// The comparison of all platforms.
    pub fn measure_broadcast(&mut self, all: &[What]) -> Result<()> {
        for what in all.iter().filter(|what| what.has_broadcast_floor()) {
            let workload = what.workload(self.quick);
            eprintln!("{what} on a bare broadcast: {workload}");
            let mut command = Command::new(&self.binaries.xtask);
            command.args(["floor", "broadcast", &workload.rooms.to_string()]);
            let mut server = Server::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
            let address = server.first_line()?.parse()?;
            let part = Part::Broadcast;
            let plan = Plan {
                target: Target::Broadcast,
                addresses: Addresses::one(address),
                workload,
                timing: what.timing(self.quick, self.asked),
                measured: vec![Measured { part, name: part.id().to_owned(), pid: server.pid() }],
                unseen: false,
                administrator_token_file: None,
            };
            let rounds: Vec<Figures> = child::run(&self.binaries.xtask, &["load"], &plan)?;
            server.stop()?;
            self.broadcast.push((*what, summarize(&rounds)));
        }
        Ok(())
    }

    /// Each is given to `done` as soon as it is there.
    pub fn measure(
        &mut self,
        kind: Kind,
        all: &[What],
        mut done: impl FnMut(Measurement) -> Result<()>,
    ) -> Result<()> {
        let cluster = match kind.services() {
            [] => None,
            services => {
                let wanted: Vec<_> = services.iter().map(|service| (*service).into()).collect();
                Some(cluster::ensure_up(&Instance::ephemeral("bench"), &wanted)?)
            }
        };
        let kafka = cluster.as_ref().and_then(|cluster| cluster.server(Service::Kafka));
        let with_log_floor = all.iter().find(|what| what.log_floor(self.quick).is_some());
        let (mut commit_floor, mut reading_floor) = (Figures::new(), Figures::new());
        let mut one_by_one = Summaries::new();
        if let Some(what) = with_log_floor {
            let timing = what.timing(self.quick, self.asked);
            if kafka.is_none() {
                commit_floor = self.measure_commits(timing)?;
            }
            reading_floor = self.measure_reading()?;
            one_by_one = self.measure_bare_log(kafka, Load::Closed { senders: 1 }, timing)?;
        }
        for what in all {
            let timing = what.timing(self.quick, self.asked);
            let log_floor = match what.log_floor(self.quick) {
                Some(load) => self.measure_bare_log(kafka, load, timing)?,
                None => Summaries::new(),
            };
            let broadcast = self.broadcast.iter().find(|(floor, _)| floor == what);
            done(Measurement {
                platform: kind,
                layout: (kind == Kind::Distributed).then_some(self.layout),
                what: *what,
                quick: self.quick,
                workload: what.workload(self.quick),
                timing,
                log_floor,
                log_floor_one_by_one: one_by_one.clone(),
                commit_floor: commit_floor.clone(),
                reading_floor: reading_floor.clone(),
                broadcast_floor: broadcast.map(|(_, floor)| floor.clone()).unwrap_or_default(),
                figures: self.measure_roomlog(kind, cluster.as_ref(), *what, timing)?,
            })?;
        }
        cluster.map_or(Ok(()), Cluster::stop)
    }

    fn measure_roomlog(
        &mut self,
        kind: Kind,
        cluster: Option<&Cluster>,
        what: What,
        timing: Timing,
    ) -> Result<Summaries> {
        let workload = what.workload(self.quick);
        eprintln!("{what} on Roomlog, {kind}: {workload}");
        let folder = self.scratch.folder()?;
        self.number += 1;
        let of_servers = cluster.map(Cluster::environment).transpose()?.unwrap_or_default();
        let of_servers = of_servers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let environment = settings(kind, of_servers, self.number, what.partitions());
        let roomlog = &self.binaries.roomlog;
        let mut subject = Subject::start(roomlog, kind, self.layout, environment, folder.path())?;
        let servers = cluster.map_or(&[][..], |cluster| &cluster.servers);
        let plan = Plan {
            target: Target::Roomlog,
            addresses: subject.addresses(),
            workload,
            timing,
            measured: subject.measured(servers),
            unseen: servers.iter().any(|server| server.pid.is_none()),
            administrator_token_file: Some(subject.administrator_token_file().to_path_buf()),
        };
        let rounds =
            child::run_with_orders(&self.binaries.xtask, &["load"], &plan, |order| subject.carry_out(order));
        for complaint in subject.complaints() {
            eprintln!("  {complaint}");
        }
        subject.stop()?;
        let rounds: Vec<Figures> = rounds?;
        Ok(summarize(&rounds))
    }

    fn measure_bare_log(&mut self, kafka: Option<&Running>, load: Load, timing: Timing) -> Result<Summaries> {
        let name = if kafka.is_some() { "Kafka" } else { "SQLite" };
        eprintln!("bare append and read-back with {name}: {load}");
        let folder = self.scratch.folder()?;
        let plan = LogPlan {
            log: self.new_log(kafka, folder.path()),
            load,
            timing,
            broker_pid: kafka.and_then(|kafka| kafka.pid),
        };
        let rounds: Vec<Figures> = child::run(&self.binaries.xtask, &["floor", "log"], &plan)?;
        Ok(summarize(&rounds))
    }

    fn measure_commits(&self, timing: Timing) -> Result<Figures> {
        eprintln!("bare commits to SQLite");
        let folder = self.scratch.folder()?;
        let plan = CommitPlan { file: folder.path().join("commits.db"), seconds: timing.seconds };
        child::run(&self.binaries.xtask, &["floor", "commit"], &plan)
    }

    fn measure_reading(&self) -> Result<Figures> {
        eprintln!("bare reading of records in memory");
        let records = if self.quick { READING_QUICK } else { READING };
        child::run(&self.binaries.xtask, &["floor", "reading"], &ReadingPlan { records })
    }

    fn new_log(&mut self, kafka: Option<&Running>, folder: &Path) -> Log {
        let Some(kafka) = kafka else {
            return Log::Sqlite { file: folder.join("log.db") };
        };
        self.number += 1;
        Log::Kafka { brokers: kafka.address(), topic_prefix: topic_prefix(self.number) }
    }
}
