//! One round: load, a measured part of it, the wait for what is under way, and the figures.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::api::Api;
use super::audit::{self, Audit};
use super::senders::Senders;
use super::tally::{Counters, Tally};
use super::{Plan, SharedStage, SharedTally, Target};
use crate::bench::figures::{ERRORS, Figures};
use crate::bench::usage::{self, Memory};

/// For the last preparations.
const LEAD: Duration = Duration::from_millis(200);

/// Past the deadline of a request, so that every answer has come.
const DRAIN_DEADLINE: Duration = Duration::from_secs(15);
const DRAIN_LOOK: Duration = Duration::from_millis(5);

/// How long one query waits for its position; it is repeated.
const QUERY_WAIT_MS: u32 = 5_000;

pub async fn run(plan: &Plan, stage: &SharedStage, tally: &SharedTally) -> Result<Figures> {
    let senders = Senders::connect(plan, stage, tally).await?;
    let start = Instant::now() + LEAD;
    let from = start + plan.timing.warm_up();
    let to = from + plan.timing.measured();
    tally.borrow_mut().begin((from, to));
    let sending = tokio::task::spawn_local(senders.send(start, to));

    tokio::time::sleep_until(from.into()).await;
    let before = Sample::take(plan, &tally.borrow())?;
    tokio::time::sleep_until(to.into()).await;
    let after = Sample::take(plan, &tally.borrow())?;
    let memory = Memories::take(plan)?;
    sending.await??;

    let (drained, caught_up) = tokio::join!(drain(tally), wait_for_reads(plan, stage, tally));
    let rest = Sample::take(plan, &tally.borrow())?;

    let mut figures = Figures::new();
    before.until(&after).report(plan, &mut figures);
    memory.report(&mut figures);
    report_tally(&tally.borrow(), &mut figures);
    let mut put = |name: &str, value: f64| figures.insert(name.to_owned(), value);
    put("drain_ms", drained.as_secs_f64() * 1e3);
    if let Some(caught_up) = caught_up? {
        put("reads_caught_up_ms", caught_up.as_secs_f64() * 1e3);
    }
    put("server_cpu_after_load_s", after.until(&rest).server);
    Ok(figures)
}

/// What has been used and done at one moment.
struct Sample {
    at: Instant,
    counters: Counters,
    server: Duration,
    broker: Option<Duration>,
    load: Duration,
    machine: Duration,
}

impl Sample {
    fn take(plan: &Plan, tally: &Tally) -> Result<Self> {
        Ok(Self {
            at: Instant::now(),
            counters: tally.counters,
            server: usage::processor_time(plan.server_pid)?,
            broker: plan.broker_pid.map(usage::processor_time).transpose()?,
            load: usage::processor_time(std::process::id())?,
            machine: usage::machine_time()?,
        })
    }

    fn until(&self, after: &Self) -> Spent {
        Spent {
            seconds: (after.at - self.at).as_secs_f64(),
            sent: (after.counters.sent - self.counters.sent) as f64,
            accepted: (after.counters.accepted - self.counters.accepted) as f64,
            deliveries: (after.counters.deliveries - self.counters.deliveries) as f64,
            server: (after.server - self.server).as_secs_f64(),
            broker: after.broker.zip(self.broker).map(|(after, before)| (after - before).as_secs_f64()),
            load: (after.load - self.load).as_secs_f64(),
            machine: (after.machine - self.machine).as_secs_f64(),
        }
    }
}

/// Between two samples; times in seconds.
struct Spent {
    seconds: f64,
    sent: f64,
    accepted: f64,
    deliveries: f64,
    server: f64,
    broker: Option<f64>,
    load: f64,
    machine: f64,
}

impl Spent {
    fn report(&self, plan: &Plan, figures: &mut Figures) {
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
        put("server_cpu_s", self.server);
        put("load_cpu_s", self.load);
        // Ticks are coarse, so a quiet machine may come out a little below 0.
        let known = self.server + self.load + self.broker.unwrap_or_default();
        put("other_cpu_s", (self.machine - known).max(0.0));
        put("server_cpu_s_per_1000_messages", self.server / self.accepted * 1e3);
        put("server_cpu_s_per_1m_deliveries", self.server / self.deliveries * 1e6);
        if let Some(broker) = self.broker {
            put("broker_cpu_s", broker);
            put("broker_cpu_s_per_1000_messages", broker / self.accepted * 1e3);
        }
        if !plan.unseen_broker {
            let all = self.server + self.broker.unwrap_or_default();
            put("all_cpu_s_per_1000_messages", all / self.accepted * 1e3);
        }
    }
}

struct Memories {
    server: Memory,
    broker: Option<Memory>,
}

impl Memories {
    fn take(plan: &Plan) -> Result<Self> {
        let broker = plan.broker_pid.map(usage::memory).transpose()?;
        Ok(Self { server: usage::memory(plan.server_pid)?, broker })
    }

    fn report(&self, figures: &mut Figures) {
        let mut put = |name: &str, bytes: u64| figures.insert(name.to_owned(), bytes as f64 / 1e6);
        put("server_rss_mb", self.server.resident_bytes);
        put("server_peak_rss_mb", self.server.peak_resident_bytes);
        if let Some(broker) = self.broker {
            put("broker_rss_mb", broker.resident_bytes);
        }
    }
}

/// Waits until every message has its answer and every accepted one has arrived everywhere, but not for ever. Answers how
/// long that took.
async fn drain(tally: &SharedTally) -> Duration {
    let started = Instant::now();
    let is_drained = || {
        let Counters { sent, answered, deliveries, deliveries_due, .. } = tally.borrow().counters;
        answered == sent && deliveries >= deliveries_due
    };
    while !is_drained() && started.elapsed() < DRAIN_DEADLINE {
        tokio::time::sleep(DRAIN_LOOK).await;
    }
    started.elapsed()
}

fn report_tally(tally: &Tally, figures: &mut Figures) {
    tally.accept.report("accept", figures);
    tally.send_to_socket.report("send_to_socket", figures);
    tally.dispatch.report("dispatch", figures);
    let audit = audit::audit(tally.first(), &tally.messages, &tally.sockets);
    let Audit { lost, doubled, out_of_order, skipped_seqs, misplaced, delivered_unaccepted } = audit;
    let counts = [
        ("lost", lost),
        ("doubled", doubled),
        ("out_of_order", out_of_order),
        ("skipped_seqs", skipped_seqs),
        ("misplaced", misplaced),
        ("delivered_unaccepted", delivered_unaccepted),
        ("unanswered", tally.counters.sent - tally.counters.answered),
    ];
    figures.extend(counts.map(|(name, count)| (name.to_owned(), count as f64)));
    let errors: u64 = tally.errors.values().sum();
    figures.insert(format!("{ERRORS}total"), errors as f64);
    figures.extend(tally.errors.iter().map(|(what, count)| (format!("{ERRORS}{what}"), *count as f64)));
}

/// How long it takes until a query reflects the message that was accepted last. Nothing where nothing is stored.
async fn wait_for_reads(plan: &Plan, stage: &SharedStage, tally: &SharedTally) -> Result<Option<Duration>> {
    let started = Instant::now();
    let last = tally.borrow().last_position.clone();
    let Some((room, position)) = last.filter(|_| plan.target == Target::Roomlog) else {
        return Ok(None);
    };
    let room = &stage.rooms[room];
    let position = percent_encoded(&position);
    let path =
        format!("/v1/rooms/{}/messages?limit=1&wait_ms={QUERY_WAIT_MS}&min_position={position}", room.id);
    Api::new(plan.address).query(&path, &room.members[0]).await?;
    Ok(Some(started.elapsed()))
}

/// As a value in a query string.
fn percent_encoded(text: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_survive_a_query_string() {
        assert_eq!(percent_encoded("rooms/3:17 a"), "rooms%2F3%3A17%20a");
        assert_eq!(percent_encoded("a-b_c.d~9"), "a-b_c.d~9");
    }
}
