//! What every process has used and done at one moment, and what came between two moments.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::tally::Counters;
use super::{Plan, Scene};
use crate::bench::figures::Figures;
use crate::bench::parts::{Measured, Part};
use crate::bench::usage::{self, Memory};

/// At one moment.
pub struct Sample {
    at: Instant,
    counters: Counters,
    /// In the order of the plan. `None`: the process is gone.
    used: Vec<Option<Duration>>,
    load: Duration,
    machine: Duration,
}

impl Sample {
    pub fn take(scene: &Scene) -> Result<Self> {
        Ok(Self {
            at: Instant::now(),
            counters: scene.tally.borrow().counters,
            used: scene.plan.measured.iter().map(used).collect(),
            load: usage::processor_time(std::process::id())?,
            machine: usage::machine_time()?,
        })
    }

    pub fn until(&self, after: &Self, plan: &Plan) -> Spent {
        let used = self.used.iter().zip(&after.used).zip(&plan.measured);
        let used = used.map(|((before, after), measured)| {
            let seconds =
                before.zip(*after).map(|(before, after)| after.saturating_sub(before).as_secs_f64());
            (measured.clone(), seconds)
        });
        Spent {
            seconds: (after.at - self.at).as_secs_f64(),
            sent: (after.counters.sent - self.counters.sent) as f64,
            accepted: (after.counters.accepted - self.counters.accepted) as f64,
            deliveries: (after.counters.deliveries - self.counters.deliveries) as f64,
            used: used.collect(),
            unseen: plan.unseen,
            load: (after.load - self.load).as_secs_f64(),
            machine: (after.machine - self.machine).as_secs_f64(),
        }
    }
}

/// One that was killed has no time any more.
fn used(measured: &Measured) -> Option<Duration> {
    let used = if measured.part.has_children() {
        usage::processor_time_of_tree(measured.pid)
    } else {
        usage::processor_time(measured.pid)
    };
    used.ok()
}

/// Between two samples; times in seconds.
pub struct Spent {
    seconds: f64,
    sent: f64,
    accepted: f64,
    deliveries: f64,
    used: Vec<(Measured, Option<f64>)>,
    /// Whether there are processes besides those.
    unseen: bool,
    load: f64,
    machine: f64,
}

impl Spent {
    /// Names of figures of a part or a process end in a dot and its name.
    pub fn report(&self, figures: &mut Figures) {
        let mut put = |name: &str, value: f64| {
            if value.is_finite() {
                figures.insert(name.to_owned(), value);
            }
        };
        put("measured_s", self.seconds);
        put("sent_per_s", self.sent / self.seconds);
        put("accepted_per_s", self.accepted / self.seconds);
        put("deliveries", self.deliveries);
        put("deliveries_per_s", self.deliveries / self.seconds);
        put("load_cpu_s", self.load);
        let known: f64 = self.used.iter().filter_map(|(_, seconds)| *seconds).sum();
        // Ticks are coarse, so a quiet machine may come out a little below 0.
        put("other_cpu_s", (self.machine - known - self.load).max(0.0));
        for (measured, seconds) in &self.used {
            if let Some(seconds) = seconds {
                put(&format!("process_cpu_s.{}", measured.name), *seconds);
            }
        }
        for part in Part::ALL {
            if let Some(seconds) = self.of(|of| of == part) {
                put(&format!("cpu_s.{part}"), seconds);
                put(&format!("cpu_s_per_1000_messages.{part}"), seconds / self.accepted * 1e3);
                put(&format!("cpu_s_per_1m_deliveries.{part}"), seconds / self.deliveries * 1e6);
            }
        }
        if let Some(fan_out) = self.of(Part::is_fan_out) {
            put("fan_out_cpu_s_per_1m_deliveries", fan_out / self.deliveries * 1e6);
        }
        if let Some(own) = self.of(Part::is_own) {
            put("own_cpu_s", own);
            put("own_cpu_s_per_1000_messages", own / self.accepted * 1e3);
        }
        if let Some(all) = self.of(|_| true).filter(|_| !self.unseen) {
            put("all_cpu_s_per_1000_messages", all / self.accepted * 1e3);
        }
    }

    /// Of all processes of such parts; `None` if there is none, or if one of them is gone.
    fn of(&self, is_meant: impl Fn(Part) -> bool) -> Option<f64> {
        let meant = self.used.iter().filter(|(measured, _)| is_meant(measured.part));
        let times: Vec<f64> = meant.map(|(_, seconds)| *seconds).collect::<Option<_>>()?;
        (!times.is_empty()).then(|| times.iter().sum())
    }
}

/// Resident memory of every process that is still there, and of the platform's own together.
pub fn report_memory(plan: &Plan, figures: &mut Figures) {
    let mut own = (0, 0);
    for measured in &plan.measured {
        let Some(Memory { resident_bytes, peak_resident_bytes }) = memory(measured) else { continue };
        let mut put =
            |name: &str, bytes: u64| figures.insert(format!("{name}.{}", measured.name), bytes as f64 / 1e6);
        put("process_rss_mb", resident_bytes);
        put("process_peak_rss_mb", peak_resident_bytes);
        if measured.part.is_own() {
            own = (own.0 + resident_bytes, own.1 + peak_resident_bytes);
        }
    }
    figures.insert("own_rss_mb".to_owned(), own.0 as f64 / 1e6);
    figures.insert("own_peak_rss_mb".to_owned(), own.1 as f64 / 1e6);
}

fn memory(measured: &Measured) -> Option<Memory> {
    let memory = if measured.part.has_children() {
        usage::memory_of_tree(measured.pid)
    } else {
        usage::memory(measured.pid)
    };
    memory.ok()
}

/// Resident bytes of the processes that hold the sockets.
pub fn fan_out_bytes(plan: &Plan) -> u64 {
    let fan_out = plan.measured.iter().filter(|measured| measured.part.is_fan_out());
    fan_out.filter_map(memory).map(|memory| memory.resident_bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(used: &[(Part, &str, Option<f64>)]) -> Spent {
        let used = used.iter().map(|(part, name, seconds)| {
            (Measured { part: *part, name: (*name).to_owned(), pid: 1 }, *seconds)
        });
        Spent {
            seconds: 10.0,
            sent: 2_000.0,
            accepted: 2_000.0,
            deliveries: 20_000.0,
            used: used.collect(),
            unseen: false,
            load: 1.0,
            machine: 9.0,
        }
    }

    fn reported(spent: &Spent) -> Figures {
        let mut figures = Figures::new();
        spent.report(&mut figures);
        figures
    }

    #[test]
    fn processor_time_is_told_by_process_and_by_part() {
        let figures = reported(&spent(&[
            (Part::CommandApi, "command-api-1", Some(1.0)),
            (Part::CommandApi, "command-api-2", Some(0.5)),
            (Part::WsFanout, "ws-fanout-1", Some(2.0)),
            (Part::Kafka, "kafka", Some(3.0)),
        ]));
        let expected = [
            ("process_cpu_s.command-api-2", 0.5),
            ("cpu_s.command-api", 1.5),
            ("cpu_s_per_1000_messages.kafka", 1.5),
            ("cpu_s_per_1m_deliveries.ws-fanout", 100.0),
            ("fan_out_cpu_s_per_1m_deliveries", 100.0),
            ("own_cpu_s", 3.5),
            ("all_cpu_s_per_1000_messages", 3.25),
            ("other_cpu_s", 1.5),
            ("accepted_per_s", 200.0),
        ];
        for (name, value) in expected {
            assert!((figures[name] - value).abs() < 1e-9, "{name}: {}", figures[name]);
        }
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        let gone = reported(&spent(&[
            (Part::WsFanout, "ws-fanout-1", None),
            (Part::WsFanout, "ws-fanout-2", Some(1.0)),
            (Part::Kafka, "kafka", Some(1.0)),
        ]));
        for name in ["cpu_s.ws-fanout", "own_cpu_s", "all_cpu_s_per_1000_messages", "cpu_s.roomlog"] {
            assert!(!gone.contains_key(name), "{name}");
        }
        assert_eq!(gone["cpu_s.kafka"], 1.0);
        let mut hidden = spent(&[(Part::Roomlog, "all-1", Some(1.0))]);
        hidden.unseen = true;
        assert!(!reported(&hidden).contains_key("all_cpu_s_per_1000_messages"));
        let mut silent = spent(&[(Part::Roomlog, "all-1", Some(0.0))]);
        silent.accepted = 0.0;
        assert!(!reported(&silent).contains_key("own_cpu_s_per_1000_messages"));
    }
}
