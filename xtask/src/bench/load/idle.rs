//! The memory of sockets that nothing is sent to.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::sample::{self, fan_out_bytes};
use super::senders::Senders;
use super::sockets::Sockets;
use super::{Scene, round};
use crate::bench::figures::Figures;
use crate::bench::workload::Load;

/// One in so many is opened before memory is looked at first: what rooms and accounts take is there by then, and what was
/// left over from the preparations is used up.
const FIRST: usize = 10;

/// Memory has settled when it stays as it is for that long.
const LOOK: Duration = Duration::from_millis(500);
const SETTLED_BYTES: u64 = 256 * 1024;
const SETTLE_DEADLINE: Duration = Duration::from_secs(10);

/// Messages at the end, so that every socket shows that it lives.
const MESSAGES_PER_SECOND: u32 = 50;
const DRAIN_DEADLINE: Duration = Duration::from_secs(30);
const DRAIN_LOOK: Duration = Duration::from_millis(20);

pub async fn run(scene: &Rc<Scene>, sockets: &Rc<Sockets>) -> Result<Figures> {
    let count = scene.plan.workload.sockets();
    let first = count / FIRST;
    sockets.open(0..first).await?;
    let before = settled(scene).await;
    sockets.open(first..count).await?;
    let idle = settled(scene).await;
    one_message_to_each_room(scene).await?;
    let used = settled(scene).await;

    let mut figures = Figures::new();
    let per_socket = |now: u64| (now as f64 - before as f64) / (count - first) as f64;
    let mut put = |name: &str, value: f64| figures.insert(name.to_owned(), value);
    put("sockets", count as f64);
    put("rss_bytes_per_socket", per_socket(idle));
    put("rss_bytes_per_socket_after_event", per_socket(used));
    put("fan_out_rss_mb", idle as f64 / 1e6);
    sample::report_memory(&scene.plan, &mut figures);
    round::report_tally(&scene.tally.borrow(), None, &mut figures);
    eprintln!("  {count} sockets, {:.0} bytes each", figures["rss_bytes_per_socket"]);
    Ok(figures)
}

async fn settled(scene: &Scene) -> u64 {
    let started = Instant::now();
    let mut last = fan_out_bytes(&scene.plan);
    loop {
        tokio::time::sleep(LOOK).await;
        let now = fan_out_bytes(&scene.plan);
        if now.abs_diff(last) <= SETTLED_BYTES || started.elapsed() >= SETTLE_DEADLINE {
            return now;
        }
        last = now;
    }
}

async fn one_message_to_each_room(scene: &Rc<Scene>) -> Result<()> {
    let senders = Senders::connect(scene, Load::Open { messages_per_second: MESSAGES_PER_SECOND }).await?;
    let start = Instant::now();
    // Turns go round the rooms; the last one just fits.
    let end = start + Duration::from_secs(1) * scene.plan.workload.rooms as u32 / MESSAGES_PER_SECOND;
    scene.tally.borrow_mut().begin((start, end));
    senders.send(start, end).await?;
    let started = Instant::now();
    let is_drained = || {
        let counters = scene.tally.borrow().counters;
        counters.answered == counters.sent && counters.deliveries >= counters.deliveries_due
    };
    while !is_drained() && started.elapsed() < DRAIN_DEADLINE {
        tokio::time::sleep(DRAIN_LOOK).await;
    }
    Ok(())
}
