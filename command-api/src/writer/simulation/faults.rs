//! What goes wrong, by the profile's chances.

use super::invariant::Violation;
use super::node::Send;
use super::readers;
use super::world::{Did, World};
use crate::writer::core::Core;
use crate::writer::request::Millis;

const DAY_MS: Millis = 24 * 3_600_000;
const HOUR_MS: Millis = 3_600_000;

impl World {
    /// The faults of one step.
    pub fn faults(&mut self) -> Result<(), Violation> {
        let (now, n, profile) = (self.now, self.rng.below(self.nodes.len()), self.profile);
        self.restart_due()?;
        self.sharing_faults(n);
        self.land_late(|due| due <= now)?;
        if self.rng.chance(profile.slow_wire) {
            self.nodes[n].wire_rests_until = now + self.rng.between(500, 6_000);
        }
        if self.rng.chance(profile.slow_reader) {
            self.nodes[n].reader_rests_until = now + self.rng.between(500, 6_000);
        }
        if self.rng.chance(profile.pause) && self.nodes[n].runs(now) {
            self.fault(n, "pause");
            self.auditor.counters.pauses += 1;
            self.nodes[n].paused_until = now + self.rng.between(500, 15_000);
            self.favourite = (n + 1) % self.nodes.len();
        }
        // Whoever wakes up is asked before it knows what it missed.
        if self.nodes[n].paused_until > 0 && self.nodes[n].runs(now) {
            self.nodes[n].paused_until = 0;
            self.favourite = n;
        }
        if self.rng.chance(profile.crash) && self.nodes[n].core.is_some() {
            self.crash(n);
        }
        if self.rng.chance(profile.clock_jump) && self.nodes[n].runs(now) {
            let far = self.rng.chance(300);
            let most = if far { 3 * HOUR_MS } else { profile.skew_ms };
            let skew = self.rng.between(-most, most);
            self.set_clock(n, skew)?;
        }
        if self.rng.chance(profile.leap) {
            self.fault(n, "a day passes");
            self.now += DAY_MS + self.rng.between(-5_000, 45_000);
            self.clients.come_back(&mut self.rng, self.now);
        }
        if self.rng.chance(profile.garbage) {
            let (value, attempt) = self.log.garbage(&mut self.rng);
            self.append(n, &Send { life: 0, token: 0, value, attempt })?;
        }
        if self.rng.chance(profile.gap) {
            self.fault(n, "gap");
            self.log.leave_gap(1 + self.rng.below(3) as u64);
        }
        if self.rng.chance(profile.snapshot)
            && let Some(core) = &self.nodes[n].core
        {
            let snapshot = core.snapshot();
            self.keep_snapshot(snapshot);
        }
        Ok(())
    }

    /// One send reaches the log, or does not.
    pub fn wire_fault_or_append(&mut self, n: usize, send: Send) -> Result<(), Violation> {
        let profile = self.profile;
        if self.rng.chance(profile.lost) {
            self.fault(n, "lost");
            // The error is reported, or never.
            if self.rng.chance(700) {
                self.will_report(n, &send, false);
            }
            return Ok(());
        }
        if self.rng.chance(profile.late) {
            self.fault(n, "late");
            self.will_report(n, &send, false);
            let due = self.now + self.rng.between(0, 4_000);
            self.late.push((due, send));
            return Ok(());
        }
        self.append(n, &send)?;
        if self.rng.chance(profile.doubled) {
            self.fault(n, "doubled");
            let again = self.rng.below(self.nodes[n].wire.len() + 1);
            self.nodes[n].wire.insert(again, send.clone());
        }
        if !self.rng.chance(profile.report_lost) {
            self.will_report(n, &send, true);
        }
        Ok(())
    }

    pub fn end_fails(&mut self) -> bool {
        self.rng.chance(self.profile.end_fails)
    }

    fn land_late(&mut self, due: impl Fn(Millis) -> bool) -> Result<(), Violation> {
        let (landing, late) = std::mem::take(&mut self.late).into_iter().partition(|(at, _)| due(*at));
        self.late = late;
        let landing: Vec<(Millis, Send)> = landing;
        landing.into_iter().try_for_each(|(_, send)| self.append(0, &send))
    }

    pub fn crash(&mut self, n: usize) {
        self.fault(n, "crash");
        self.auditor.counters.crashes += 1;
        let down_until = self.now + self.rng.between(0, 5_000);
        // Whoever waited sees the connection end.
        for attempt in self.nodes[n].crash(down_until) {
            self.clients.answered(attempt, None, &mut self.rng, &self.profile, self.now);
        }
    }

    pub fn restart_due(&mut self) -> Result<(), Violation> {
        for n in 0..self.nodes.len() {
            if self.nodes[n].core.is_none() && self.nodes[n].down_until <= self.now {
                self.restart(n)?;
            }
        }
        Ok(())
    }

    /// From the partition's start, or from any snapshot that anybody took.
    fn restart(&mut self, n: usize) -> Result<(), Violation> {
        let kept = self.rng.below(self.snapshots.len() + 1);
        let snapshot = match self.snapshots.get(kept) {
            None => None,
            Some(snapshot) => Some(readers::stored(&self.log, snapshot)?),
        };
        self.fault(n, if snapshot.is_some() { "starts from a snapshot" } else { "starts" });
        self.auditor.counters.starts_from_snapshot += u64::from(snapshot.is_some());
        let at = snapshot.as_ref().map_or(0, |snapshot| self.log.index_of(snapshot.cursor.next_offset));
        self.nodes[n].start(snapshot, at);
        Ok(())
    }

    /// A jump of the wall clock takes no time: what passed before it has passed.
    fn set_clock(&mut self, n: usize, skew: Millis) -> Result<(), Violation> {
        self.fault(n, "clock jumps");
        self.input(n, Core::tick)?;
        self.nodes[n].skew = skew;
        self.input(n, Core::tick)
    }

    /// The faults are over: what is late lands, whoever is down starts, and the clocks are set.
    pub fn calm_down(&mut self) -> Result<(), Violation> {
        self.land_late(|_| true)?;
        for n in 0..self.nodes.len() {
            if self.nodes[n].core.is_none() {
                self.restart(n)?;
            }
            (self.nodes[n].paused_until, self.nodes[n].wire_rests_until, self.nodes[n].reader_rests_until) =
                (0, 0, 0);
            let skew = self.rng.between(-2_000, 2_000);
            self.set_clock(n, skew)?;
        }
        let profile = &mut self.profile;
        (profile.lost, profile.late, profile.doubled, profile.report_lost, profile.end_fails) =
            (0, 0, 0, 0, 0);
        (profile.beat_lost, profile.beat_delay_ms) = (0, profile.beat_delay_ms.min(60));
        for node in &mut self.nodes {
            if let Some(sharing) = &mut node.sharing {
                sharing.deaf_until = 0;
            }
        }
        Ok(())
    }

    fn fault(&mut self, node: usize, what: &'static str) {
        self.did(Did::Fault { node, what });
    }
}
