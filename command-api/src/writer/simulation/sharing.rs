//! Processes that share the partition: heartbeats between them, lost and late, and what each concludes.

use std::collections::VecDeque;

use roomlog_members::{HEARTBEAT_MS, Heartbeat, ProcessId, Role, Roster};
use uuid::Uuid;

use super::invariant::{Violation, hold};
use super::log::PARTITION;
use super::world::{Did, World};
use crate::writer::core::Core;
use crate::writer::ownership::{Duty, Options, Ownership, Status, UNANSWERED_MS};
use crate::writer::request::Millis;

/// Runs move a partition for balance sooner than production does.
const BALANCE_AFTER_MS: Millis = 8_000;
/// Steps after which, without faults, an owner has settled: longer than one is unable, and the first
/// in rank has been there long enough to be handed the partition.
const SETTLE_STEPS: u64 = 3_000;
/// Steps in which nobody claims any more.
const CALM_STEPS: u64 = 1_000;

/// What one process knows of the others.
pub struct Sharing {
    roster: Roster,
    ownership: Ownership,
    own: Heartbeat,
    next_beat: Millis,
    inbox: VecDeque<(Millis, Heartbeat)>,
    /// Hears nothing until then, not even itself.
    pub deaf_until: Millis,
    /// It has been told to stop, and hands over.
    pub stopping: bool,
}

impl Sharing {
    pub fn new(node: usize, life: u32) -> Self {
        let me = ProcessId(Uuid::from_u128(u128::from(life) << 64 | (node as u128 + 1) << 40 | 7));
        let options = Options {
            balance_after_ms: BALANCE_AFTER_MS,
            settled_after_ms: 3_000,
            jitter_ms: node as Millis * 20,
            warm_all: true,
        };
        Self {
            roster: Roster::new(me),
            ownership: Ownership::new([PARTITION], options),
            own: Heartbeat::new(me, vec![Role::CommandApi], format!("http://node-{node}")),
            next_beat: 0,
            inbox: VecDeque::new(),
            deaf_until: 0,
            stopping: false,
        }
    }

    pub fn stop(&mut self) {
        self.stopping = true;
        self.ownership.stop();
    }

    pub fn is_handed_over(&self) -> bool {
        self.ownership.is_handed_over()
    }

    fn plan(&mut self, now: Millis, core: &Core) -> (Option<Duty>, bool) {
        let status = Status {
            owns: core.is_owner(),
            holds_claim: core.holds_claim() && !core.is_stopped(),
            epoch: core.follower().chain().epoch(),
            caught_up: core.is_caught_up(),
            stopped: core.is_stopped(),
            in_flight: core.in_flight() > 0,
            unanswered: core.unanswered_for() >= UNANSWERED_MS,
        };
        let duties = self.ownership.plan(now, &self.roster, |_| status);
        let urgent = self.ownership.describe(now, &mut self.own);
        (duties.first().map(|(_, duty)| *duty), urgent)
    }
}

impl World {
    /// Heartbeats arrive and are sent, and each process draws its conclusions.
    pub fn share(&mut self) -> Result<(), Violation> {
        for n in 0..self.nodes.len() {
            if self.nodes[n].runs(self.now) && self.nodes[n].sharing.is_some() {
                self.share_one(n)?;
            }
        }
        Ok(())
    }

    fn share_one(&mut self, n: usize) -> Result<(), Violation> {
        let now = self.now;
        let node = &mut self.nodes[n];
        let (Some(sharing), Some(core)) = (&mut node.sharing, &node.core) else { return Ok(()) };
        while let Some((due, _)) = sharing.inbox.front()
            && *due <= now
            && let Some((_, heartbeat)) = sharing.inbox.pop_front()
        {
            if sharing.deaf_until <= now {
                sharing.roster.heard(now, heartbeat);
            }
        }
        let (duty, urgent) = sharing.plan(now, core);
        let beat = (urgent || now >= sharing.next_beat).then(|| {
            sharing.own.sequence += 1;
            sharing.next_beat = now + HEARTBEAT_MS;
            sharing.own.clone()
        });
        if let Some(duty) = duty {
            self.input(n, |core, now| {
                core.set_permit(now, duty.permit);
                core.set_yielding(now, duty.yielding);
            })?;
        }
        if let Some(beat) = beat {
            self.send_beat(&beat);
        }
        let leaves = |node: &super::node::Node| {
            node.sharing.as_ref().is_some_and(|sharing| sharing.stopping && sharing.is_handed_over())
        };
        if leaves(&self.nodes[n]) && self.nodes[n].requests.is_empty() {
            self.crash(n);
        }
        Ok(())
    }

    fn send_beat(&mut self, beat: &Heartbeat) {
        for n in 0..self.nodes.len() {
            if self.rng.chance(self.profile.beat_lost) {
                continue;
            }
            let due = self.now + self.rng.between(0, self.profile.beat_delay_ms);
            if let Some(sharing) = &mut self.nodes[n].sharing {
                // The topic keeps its order.
                let due = sharing.inbox.back().map_or(due, |(last, _)| due.max(*last));
                sharing.inbox.push_back((due, beat.clone()));
            }
        }
    }

    /// A process hears nothing for a while; another is told to stop.
    pub fn sharing_faults(&mut self, n: usize) {
        let (now, profile) = (self.now, self.profile);
        let deaf = self.rng.chance(profile.deaf).then(|| now + self.rng.between(500, 8_000));
        let stops = self.rng.chance(profile.stop);
        let Some(sharing) = &mut self.nodes[n].sharing else { return };
        if let Some(until) = deaf {
            sharing.deaf_until = until;
        }
        if stops && !sharing.stopping {
            sharing.stop();
            self.did(Did::Fault { node: n, what: "told to stop" });
        }
    }

    /// Whom a client that is sent on from process to process ends with.
    pub fn owner_or(&self, node: usize) -> usize {
        let owner = self.nodes.iter().position(|node| node.owns() && node.runs(self.now));
        owner.filter(|_| self.profile.shared).unwrap_or(node)
    }

    /// Without faults an owner is found, and then nobody claims any more.
    pub fn calm(&mut self) -> Result<(), Violation> {
        if !self.profile.shared {
            return Ok(());
        }
        self.idle(SETTLE_STEPS)?;
        let owners = self.nodes.iter().filter(|node| node.owns()).count();
        hold!(owners == 1, Calm, "{owners} owners when all has settled");
        let before = self.epoch();
        self.idle(CALM_STEPS)?;
        hold!(self.epoch() == before, Calm, "{} claims when all had settled", self.epoch() - before);
        Ok(())
    }

    fn idle(&mut self, steps: u64) -> Result<(), Violation> {
        for _ in 0..steps {
            self.now += self.rng.between(0, 60);
            self.step(Some(0))?;
        }
        Ok(())
    }

    fn epoch(&self) -> u64 {
        let epochs = self.nodes.iter().filter_map(|node| node.core.as_ref());
        epochs.map(|core| core.follower().chain().epoch()).max().unwrap_or(0)
    }
}
