//! Every measurement of a run, one after the other.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;
use serde::Serialize;

use super::binaries::Binaries;
use super::cases::{Case, Load, Timing, Workload};
use super::child::{self, Server};
use super::figures::{Figures, Summaries, summarize};
use super::floors::plan::{CommitPlan, Log, LogPlan};
use super::load::{Plan, Target};
use super::roomlog;
use super::scratch::Scratch;
use crate::cluster::{self, Cluster, Instance, Running, Service};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogKind {
    Sqlite,
    Kafka,
}

/// One workload on one log, and what it is compared with.
#[derive(Debug, Serialize)]
pub struct CaseResult {
    pub log: LogKind,
    pub case: Case,
    pub quick: bool,
    pub workload: Workload,
    pub timing: Timing,
    pub figures: Summaries,
    /// The same load on the bare log.
    pub log_floor: Summaries,
    /// Append and read-back one after the other.
    pub log_floor_one_by_one: Summaries,
    /// Bare commits to SQLite; empty on another log.
    pub commit_floor: Figures,
    /// The same load on a server that only passes messages on.
    pub broadcast_floor: Summaries,
}

pub struct Runs<'a> {
    binaries: &'a Binaries,
    timing: Timing,
    quick: bool,
    /// Everything that is stored during the run.
    scratch: Scratch,
    broadcast: BTreeMap<Case, Summaries>,
    topics: usize,
}

impl<'a> Runs<'a> {
    pub fn new(binaries: &'a Binaries, timing: Timing, quick: bool) -> Result<Self> {
        let scratch = Scratch::new(binaries.scratch_parent()?)?;
        Ok(Self { binaries, timing, quick, scratch, broadcast: BTreeMap::new(), topics: 0 })
    }

    /// The comparison of all logs.
    pub fn measure_broadcast(&mut self, cases: &[Case]) -> Result<()> {
        for case in cases {
            let workload = case.workload(self.quick);
            eprintln!("{case} on a bare broadcast: {workload}");
            let mut command = Command::new(&self.binaries.xtask);
            command.args(["floor", "broadcast", &workload.rooms.to_string()]);
            let mut server = Server::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
            let address = server.first_line()?.parse()?;
            let plan = Plan {
                target: Target::Broadcast,
                address,
                workload,
                timing: self.timing,
                server_pid: server.pid(),
                broker_pid: None,
                unseen_broker: false,
            };
            let figures = self.load(&plan)?;
            server.stop()?;
            self.broadcast.insert(*case, figures);
        }
        Ok(())
    }

    pub fn measure_log(&mut self, kind: LogKind, cases: &[Case]) -> Result<Vec<CaseResult>> {
        let cluster = match kind {
            LogKind::Sqlite => None,
            LogKind::Kafka => {
                Some(cluster::ensure_up(&Instance::ephemeral("bench"), &[Service::Kafka.into()])?)
            }
        };
        let kafka = cluster.as_ref().and_then(|cluster| cluster.server(Service::Kafka));
        let commit_floor = if kafka.is_none() { self.measure_commits()? } else { Figures::new() };
        let log_floor_one_by_one = self.measure_bare_log(kafka, Load::Closed { senders: 1 })?;
        let mut results = Vec::new();
        for case in cases {
            let workload = case.workload(self.quick);
            results.push(CaseResult {
                log: kind,
                case: *case,
                quick: self.quick,
                timing: self.timing,
                log_floor: self.measure_bare_log(kafka, workload.load)?,
                log_floor_one_by_one: log_floor_one_by_one.clone(),
                commit_floor: commit_floor.clone(),
                broadcast_floor: self.broadcast.get(case).cloned().unwrap_or_default(),
                figures: self.measure_roomlog(kafka, *case)?,
                workload,
            });
        }
        cluster.map_or(Ok(()), Cluster::stop)?;
        Ok(results)
    }

    fn measure_roomlog(&mut self, kafka: Option<&Running>, case: Case) -> Result<Summaries> {
        let workload = case.workload(self.quick);
        eprintln!("{case} on Roomlog with {}: {workload}", name(kafka));
        let folder = self.scratch.folder()?;
        let log = self.new_log(kafka, folder.path());
        let (server, address) = roomlog::start(&self.binaries.roomlog, &log, folder.path())?;
        let broker_pid = kafka.and_then(|kafka| kafka.pid);
        let plan = Plan {
            target: Target::Roomlog,
            address,
            workload,
            timing: self.timing,
            server_pid: server.pid(),
            broker_pid,
            unseen_broker: kafka.is_some() && broker_pid.is_none(),
        };
        let loaded = self.load(&plan);
        server.stop()?;
        if let Some(warnings) = roomlog::warnings(folder.path()) {
            eprintln!("  the server warned, {warnings}");
        }
        loaded
    }

    fn load(&self, plan: &Plan) -> Result<Summaries> {
        let rounds: Vec<Figures> = child::run(&self.binaries.xtask, &["load"], plan)?;
        Ok(summarize(&rounds))
    }

    fn measure_bare_log(&mut self, kafka: Option<&Running>, load: Load) -> Result<Summaries> {
        eprintln!("bare append and read-back with {}: {load}", name(kafka));
        let folder = self.scratch.folder()?;
        let plan = LogPlan {
            log: self.new_log(kafka, folder.path()),
            load,
            timing: self.timing,
            broker_pid: kafka.and_then(|kafka| kafka.pid),
        };
        let rounds: Vec<Figures> = child::run(&self.binaries.xtask, &["floor", "log"], &plan)?;
        Ok(summarize(&rounds))
    }

    fn measure_commits(&self) -> Result<Figures> {
        eprintln!("bare commits to SQLite");
        let folder = self.scratch.folder()?;
        let plan = CommitPlan { file: folder.path().join("commits.db"), seconds: self.timing.seconds };
        child::run(&self.binaries.xtask, &["floor", "commit"], &plan)
    }

    fn new_log(&mut self, kafka: Option<&Running>, folder: &Path) -> Log {
        let Some(kafka) = kafka else {
            return Log::Sqlite { file: folder.join("log.db") };
        };
        self.topics += 1;
        Log::Kafka { brokers: kafka.address(), topic_prefix: format!("bench-{}-", self.topics) }
    }
}

fn name(kafka: Option<&Running>) -> &'static str {
    if kafka.is_some() { "Kafka" } else { "SQLite" }
}
