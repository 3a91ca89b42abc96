//! One round: load, a measured part of it, the wait for what is under way, and the figures.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::audit::{self, Audit};
use super::delays;
use super::sample::{self, Sample};
use super::senders::Senders;
use super::sockets::Sockets;
use super::tally::{Counters, Tally};
use super::{ORDER_RESTART, Scene, reads};
use crate::bench::child;
use crate::bench::figures::{ERRORS, Figures};
use crate::bench::workload::{Cut, Load, Timing};

/// For the last preparations.
const LEAD: Duration = Duration::from_millis(200);

/// Past the deadline of a request, so that every answer has come, and past the time in which sockets come back.
const DRAIN_DEADLINE: Duration = Duration::from_secs(15);
const DRAIN_DEADLINE_AFTER_CUT: Duration = Duration::from_secs(60);
const DRAIN_LOOK: Duration = Duration::from_millis(5);

pub struct Round {
    pub figures: Figures,
    /// Messages were not sent because too many were unanswered.
    pub overloaded: bool,
}

pub async fn run(scene: &Rc<Scene>, sockets: &Rc<Sockets>, load: Load, timing: Timing) -> Result<Round> {
    let Scene { plan, tally, .. } = &**scene;
    let senders = Senders::connect(scene, load).await?;
    let delays_before = delays::read(&plan.addresses.projectors).await?;
    let start = Instant::now() + LEAD;
    let from = start + timing.warm_up();
    let to = from + timing.measured();
    tally.borrow_mut().begin((from, to));
    let sending = tokio::task::spawn_local(senders.clone().send(start, to));

    tokio::time::sleep_until(from.into()).await;
    let before = Sample::take(scene)?;
    if let Some(cut) = plan.workload.cut {
        tokio::time::sleep_until((from + timing.measured() / 2).into()).await;
        carry_out(cut, sockets)?;
    }
    tokio::time::sleep_until(to.into()).await;
    let after = Sample::take(scene)?;
    let mut figures = Figures::new();
    sample::report_memory(plan, &mut figures);
    sending.await??;

    let (drained, caught_up) = tokio::join!(drain(scene), reads::catch_up(scene));
    let delays_after = delays::read(&plan.addresses.projectors).await?;

    before.until(&after, plan).report(&mut figures);
    delays_after.since(&delays_before).report(&mut figures);
    report_tally(&tally.borrow(), plan.workload.cut, &mut figures);
    figures.insert("drain_ms".to_owned(), drained.as_secs_f64() * 1e3);
    if let Some(caught_up) = caught_up? {
        figures.insert("reads_caught_up_ms".to_owned(), caught_up.as_secs_f64() * 1e3);
    }
    Ok(Round { figures, overloaded: senders.were_overloaded() })
}

fn carry_out(cut: Cut, sockets: &Rc<Sockets>) -> Result<()> {
    sockets.expect_loss();
    match cut {
        Cut::Connections => sockets.close_all(),
        Cut::Process => child::order(ORDER_RESTART)?,
    }
    Ok(())
}

/// Waits until every message has its answer, every accepted one has arrived everywhere and every socket is back, but not
/// for ever. Answers how long that took.
async fn drain(scene: &Scene) -> Duration {
    let started = Instant::now();
    let is_drained = || {
        let tally = scene.tally.borrow();
        let Counters { sent, answered, deliveries, deliveries_due, .. } = tally.counters;
        answered == sent && deliveries >= deliveries_due && tally.way_back.missing() == 0
    };
    let deadline = if scene.plan.workload.cut.is_some() { DRAIN_DEADLINE_AFTER_CUT } else { DRAIN_DEADLINE };
    while !is_drained() && started.elapsed() < deadline {
        tokio::time::sleep(DRAIN_LOOK).await;
    }
    started.elapsed()
}

pub fn report_tally(tally: &Tally, cut: Option<Cut>, figures: &mut Figures) {
    tally.accept.report("accept", figures);
    tally.send_to_socket.report("send_to_socket", figures);
    tally.dispatch.report("dispatch", figures);
    let audit = audit::audit(tally.first(), &tally.messages, &tally.sockets);
    let Audit { lost, doubled, out_of_order, skipped_seqs, misplaced, delivered_unaccepted } = audit;
    let mut counts = vec![
        ("lost", lost),
        ("doubled", doubled),
        ("out_of_order", out_of_order),
        ("skipped_seqs", skipped_seqs),
        ("misplaced", misplaced),
        ("delivered_unaccepted", delivered_unaccepted),
        ("unanswered", tally.counters.sent - tally.counters.answered),
    ];
    if cut.is_some() {
        let way_back = &tally.way_back;
        way_back.back.report("back_in_step", figures);
        counts.extend([
            ("sockets_back_in_step", way_back.came_back),
            ("sockets_never_back", way_back.missing() as u64),
            ("failed_reconnects", way_back.failed_attempts),
        ]);
    }
    figures.extend(counts.into_iter().map(|(name, count)| (name.to_owned(), count as f64)));
    let errors: u64 = tally.errors.values().sum();
    figures.insert(format!("{ERRORS}total"), errors as f64);
    figures.extend(tally.errors.iter().map(|(what, count)| (format!("{ERRORS}{what}"), *count as f64)));
}
