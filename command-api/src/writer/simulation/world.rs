//! Log, writers and clients together: one step after the other, each chosen by the seed.

use std::collections::VecDeque;

use super::auditor::Auditor;
use super::clients::{AttemptId, Clients};
use super::counters::Counters;
use super::invariant::{Violation, hold};
use super::log::Log;
use super::node::{Node, Report, Send, Wish};
use super::profile::Profile;
use super::readers;
use super::rng::Rng;
use crate::writer::core::{Core, Snapshot};
use crate::writer::request::Millis;

/// When a run begins.
const START: Millis = 1_750_000_000_000;
/// Steps shown with a violation.
const SHOWN: usize = 60;
/// Most snapshots that a run keeps to start from.
const SNAPSHOTS: usize = 6;
/// Commands given once the faults have stopped, all to one writer.
const FRESH: usize = 3;
/// Steps within which all is answered, and those are accepted, once the faults have stopped: some
/// two minutes, the longest wait of a writer (its clock disagreed) being half a minute.
pub const QUIET_STEPS: u64 = 4_000;

/// What a step did, for whoever looks for the cause of a violation.
#[derive(Debug, Clone)]
#[allow(dead_code, reason = "read through Debug")]
pub enum Did {
    Ask { node: usize, attempt: AttemptId },
    Answer { node: usize, attempt: AttemptId, outcome: &'static str },
    Land { node: usize, token: u64, attempt: Option<AttemptId>, offset: u64 },
    Fault { node: usize, what: &'static str },
    Report { node: usize, token: u64, confirmed: bool },
    End { node: usize, end: Option<u64> },
    Read { node: usize, to: u64, owns: bool },
    Quiet,
}

pub struct World {
    pub profile: Profile,
    pub rng: Rng,
    pub now: Millis,
    pub log: Log,
    pub nodes: Vec<Node>,
    pub clients: Clients,
    pub auditor: Auditor,
    pub snapshots: Vec<Snapshot>,
    /// Sends that were reported as failed, and when they reach the log all the same.
    pub late: Vec<(Millis, Send)>,
    /// Whom most clients ask.
    pub favourite: usize,
    alarm: Option<String>,
    did: VecDeque<(Millis, Did)>,
}

/// Runs one seed. With a violation comes what happened last.
pub fn run(seed: u64, profile: &Profile) -> Result<Counters, (Violation, String)> {
    let mut world = World::new(seed, profile);
    match world.run() {
        Ok(()) => Ok(world.auditor.counters),
        Err(violation) => {
            let shown = world.did.iter().map(|(at, did)| format!("{:>8} {did:?}\n", at - START)).collect();
            Err((violation, shown))
        }
    }
}

impl World {
    fn new(seed: u64, profile: &Profile) -> Self {
        let mut rng = Rng::new(seed);
        let mut nodes: Vec<Node> = (0..profile.writers).map(|index| Node::new(index, profile)).collect();
        for node in &mut nodes {
            node.skew = rng.between(-profile.skew_ms, profile.skew_ms);
        }
        Self {
            profile: *profile,
            rng,
            now: START,
            log: Log::default(),
            nodes,
            clients: Clients::default(),
            auditor: Auditor::new(profile.max_keys),
            snapshots: Vec::new(),
            late: Vec::new(),
            favourite: 0,
            alarm: None,
            did: VecDeque::new(),
        }
    }

    fn run(&mut self) -> Result<(), Violation> {
        for _ in 0..self.profile.steps {
            self.now +=
                if self.rng.chance(6) { self.rng.between(200, 3_000) } else { self.rng.between(0, 16) };
            self.faults()?;
            self.step(None)?;
        }
        self.calm_down()?;
        self.quiet()?;
        self.calm()
    }

    /// What the clients, the wires and the writers do at one moment. With `home` the clients only
    /// finish what was begun, with that writer.
    pub fn step(&mut self, home: Option<usize>) -> Result<(), Violation> {
        self.share()?;
        if home.is_some() && self.profile.shared {
            self.restart_due()?;
        }
        for _ in 0..self.rng.below(5) {
            let n = self.rng.below(self.nodes.len());
            match self.rng.below(16) {
                0..2 => self.ask(home)?,
                2..6 => self.land(n)?,
                6..10 => self.read(n)?,
                10..12 => self.report(n)?,
                _ => self.end(n)?,
            }
        }
        for n in 0..self.nodes.len() {
            if self.nodes[n].runs(self.now) && self.rng.chance(500) {
                self.input(n, Core::tick)?;
            }
        }
        Ok(())
    }

    /// A client makes an attempt, or thinks of a new command.
    fn ask(&mut self, home: Option<usize>) -> Result<(), Violation> {
        for attempt in self.clients.overdue(self.now) {
            self.clients.answered(attempt, None, &mut self.rng, &self.profile, self.now);
        }
        // Most ask the same writer, another one from time to time.
        let any = self.rng.below(self.nodes.len());
        if self.rng.chance(20) {
            self.favourite = any;
        }
        let node = match home {
            Some(home) => self.owner_or(home),
            None if self.rng.chance(930) => self.owner_or(self.favourite),
            None => any,
        };
        if !self.nodes[node].runs(self.now) {
            return Ok(()); // nobody answers there: no attempt has begun
        }
        if home.is_none() && self.rng.chance(600) {
            self.clients.invent(&mut self.rng, &self.profile, self.now);
        }
        let Some(intent) = self.clients.due(&mut self.rng, self.now, home.is_some()) else { return Ok(()) };
        let (low, high) = if home.is_some() { (10_000, 10_000) } else { self.profile.deadline_ms };
        let patience = self.rng.between(low, high);
        let attempt = self.clients.attempt(intent, &mut self.rng, self.now + patience + 1_000);
        let request = self.clients.request(attempt, self.now + self.nodes[node].skew + patience);
        self.did(Did::Ask { node, attempt });
        self.auditor.asked(attempt, request.clone(), self.now + patience);
        self.nodes[node].request(self.now, attempt, request);
        self.effects(node)
    }

    /// The next of a writer's sends reaches the log.
    fn land(&mut self, n: usize) -> Result<(), Violation> {
        if self.nodes[n].wire_rests_until > self.now {
            return Ok(());
        }
        for _ in 0..1 + self.rng.below(4) {
            let Some(send) = self.nodes[n].wire.pop_front() else { return Ok(()) };
            self.wire_fault_or_append(n, send)?;
        }
        Ok(())
    }

    pub fn append(&mut self, n: usize, send: &Send) -> Result<(), Violation> {
        let record = self.log.append(send.value.clone(), send.attempt, self.now);
        self.did(Did::Land { node: n, token: send.token, attempt: send.attempt, offset: record.offset });
        self.auditor.appended(&record, send.attempt)
    }

    pub fn will_report(&mut self, n: usize, send: &Send, confirmed: bool) {
        if send.life == self.nodes[n].life && self.nodes[n].core.is_some() {
            self.nodes[n].reports.push_back(Report { token: send.token, confirmed });
        }
    }

    fn report(&mut self, n: usize) -> Result<(), Violation> {
        if !self.nodes[n].runs(self.now) {
            return Ok(());
        }
        for _ in 0..1 + self.rng.below(4) {
            let Some(Report { token, confirmed }) = self.nodes[n].reports.pop_front() else { return Ok(()) };
            self.did(Did::Report { node: n, token, confirmed });
            self.input(n, |core, now| {
                if confirmed { core.appended(now, token) } else { core.append_failed(now, token) }
            })?;
        }
        Ok(())
    }

    /// The log sees a writer's query for its end, or the answer comes back.
    fn end(&mut self, n: usize) -> Result<(), Violation> {
        match self.nodes[n].query {
            None => {}
            Some((query, None)) => self.nodes[n].query = Some((query, Some(self.log.end()))),
            Some((query, Some(end))) if self.nodes[n].runs(self.now) => {
                self.nodes[n].query = None;
                let end = (!self.end_fails()).then_some(end);
                self.did(Did::End { node: n, end });
                self.input(n, |core, now| core.end(now, query, end))?;
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// A writer reads some of the records that it has not read.
    fn read(&mut self, n: usize) -> Result<(), Violation> {
        let unread = self.log.records.len() - self.nodes[n].at;
        if unread == 0 || !self.nodes[n].runs(self.now) || self.nodes[n].reader_rests_until > self.now {
            return Ok(());
        }
        let at = self.nodes[n].at;
        let batch = at..at + 1 + self.rng.below(unread.min(20));
        self.nodes[n].at = batch.end;
        let records = self.log.records[batch].to_vec();
        let to = records[records.len() - 1].offset;
        self.input(n, |core, now| core.records(now, &records))?;
        let owns = self.nodes[n].owns();
        self.did(Did::Read { node: n, to, owns });
        Ok(())
    }

    pub fn input(&mut self, n: usize, input: impl FnOnce(&mut Core, Millis)) -> Result<(), Violation> {
        let now = self.now + self.nodes[n].skew;
        self.nodes[n].with(|core| input(core, now));
        self.effects(n)
    }

    fn effects(&mut self, n: usize) -> Result<(), Violation> {
        let sent = self.nodes[n].wire.len();
        let wishes = self.nodes[n].effects();
        for attempt in self.nodes[n].wire.iter().skip(sent).filter_map(|send| send.attempt) {
            self.auditor.sent(attempt, self.now)?;
        }
        for wish in wishes {
            match wish {
                Wish::Outcome(attempt, outcome) => {
                    self.did(Did::Answer { node: n, attempt, outcome: outcome.name() });
                    self.auditor.answered(attempt, &outcome)?;
                    self.clients.answered(attempt, Some(&outcome), &mut self.rng, &self.profile, self.now);
                }
                Wish::StrayOutcome(request) => {
                    hold!(false, OneOutcomePerRequest, "node {n}: request {request} has no attempt");
                }
                Wish::Alarm(reason) => {
                    self.did(Did::Fault { node: n, what: "alarm" });
                    self.alarm.get_or_insert(reason);
                }
            }
        }
        Ok(())
    }

    /// No faults any more: all is answered, and what one writer is asked now is accepted.
    fn quiet(&mut self) -> Result<(), Violation> {
        self.did(Did::Quiet);
        hold!(self.alarm.is_none(), NoFalseAlarm, "{:?}", self.alarm);
        let any = self.rng.below(self.nodes.len());
        let owner = self.nodes.iter().position(Node::owns).filter(|_| self.rng.chance(700));
        let home = owner.unwrap_or(any);
        for _ in 0..FRESH {
            self.clients.invent_fresh(&mut self.rng, self.now);
        }
        let mut steps = 0;
        while self.nodes.iter().any(|node| !node.requests.is_empty()) || self.clients.fresh_open() {
            hold!(
                steps < QUIET_STEPS,
                Progress,
                "not answered: {:?}; fresh commands are not all accepted: {}",
                self.nodes.iter().map(|node| node.requests.len()).collect::<Vec<_>>(),
                self.clients.fresh_open()
            );
            steps += 1;
            self.now += self.rng.between(0, 60);
            self.step(Some(home))?;
        }
        hold!(self.alarm.is_none(), NoFalseAlarm, "{:?}", self.alarm);
        self.auditor.counters.most_quiet_steps = steps;
        readers::check(self)
    }

    pub fn keep_snapshot(&mut self, snapshot: Snapshot) {
        if self.snapshots.len() == SNAPSHOTS {
            let oldest = self.rng.below(SNAPSHOTS);
            self.snapshots.swap_remove(oldest);
        }
        self.snapshots.push(snapshot);
    }

    pub fn did(&mut self, did: Did) {
        if self.did.len() == SHOWN {
            self.did.pop_front();
        }
        self.did.push_back((self.now, did));
    }
}
