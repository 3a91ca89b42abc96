//! What a run came to, for people; and around a violation no more than one has to read.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::check::Violation;
use super::history::{History, Seq};
use super::run::Outcomes;
use super::world::Profile;

/// Events on each side of a violation.
const AROUND: Seq = 3;
/// More of the same tell nothing more.
const SHOWN: usize = 12;

pub fn print(outcomes: &Outcomes) {
    let Outcomes { plan, abilities, done, history, violations, refusals, words, took } = outcomes;
    println!("\n{:?}, seed {}, {:.0} s", plan.profile, plan.seed, took.as_secs_f64());
    println!("\n{:>9} {:>9} {:>9}  fault", "from s", "to s", "pause s");
    for done in done {
        let seconds = [done.began, done.ended, done.longest_pause].map(|millis| millis as f64 / 1_000.0);
        println!("{:>9.1} {:>9.1} {:>9.1}  {}", seconds[0], seconds[1], seconds[2], done.fault);
    }
    if !abilities.full_disk {
        println!("no full disk: this profile, this machine or this conversation has no disk for it");
    }
    if !abilities.clock {
        println!("no clocks that jump: `faketime` is not installed, or does not get on with this program");
    }
    if plan.profile == Profile::Distributed && !(abilities.kafka && abilities.cql) {
        println!("no broken ways to Kafka or the CQL store where these run in containers");
    }
    if !abilities.next_build {
        println!("no rolling upgrade: this program was built without the feature `chaos-next-build`");
    }
    println!("\n{}", counts(history));
    let refusals: Vec<String> = refusals.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    println!("attempts without an acknowledgement: {}", list(refusals));
    let mut ends = BTreeMap::new();
    for connection in &history.connections {
        *ends.entry(connection.ended.as_str()).or_insert(0) += 1;
    }
    println!(
        "ends of connections: {}",
        list(ends.iter().map(|(end, count)| format!("{end} {count}")).collect())
    );
    if violations.is_empty() {
        println!("\nnothing was lost, doubled or out of order");
        return;
    }
    println!("\n{} VIOLATIONS", violations.len());
    for violation in violations.iter().take(SHOWN) {
        println!("\n{violation}");
        print_window(violation, history);
    }
    if violations.len() > SHOWN {
        println!("\n… and {} more", violations.len() - SHOWN);
    }
    for line in words {
        println!("{line}");
    }
}

fn counts(history: &History) -> String {
    let acknowledged = history.commands.iter().filter(|command| command.accepted().is_some()).count();
    let repeated = history.commands.iter().filter(|command| command.attempts.len() > 1).count();
    let frames: usize = history.connections.iter().map(|connection| connection.frames.len()).sum();
    let skipped: Vec<String> =
        history.log.skipped.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    let conversation = history.conversation.as_ref();
    format!(
        "{} commands ({acknowledged} acknowledged, {repeated} given more than once), {} records, {} claims, skipped: {}\n\
         {} stream connections, {frames} frames; {} views of {} rooms; {} imported lines compared\n\
         {} checkpoints under {} audit keys verified",
        history.commands.len(),
        history.log.records.len(),
        history.log.claims,
        list(skipped),
        history.connections.len(),
        history.views.len(),
        history.views.first().map_or(0, |view| view.rooms.len()),
        conversation.map_or(0, |conversation| conversation.lines.len()),
        history.archive.as_ref().map_or(0, |archive| archive.checkpoints.len()),
        history.archive.as_ref().map_or(0, |archive| archive.keys.len()),
    )
}

fn list(items: Vec<String>) -> String {
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

fn print_window(violation: &Violation, history: &History) {
    let Some((room, seq)) = violation.at else { return };
    let range = seq.saturating_sub(AROUND)..=seq + AROUND;
    println!("  the log around it:");
    for record in &history.log.records {
        for event in record.events.iter().filter(|event| event.room == room && range.contains(&event.seq)) {
            println!("    {} {:>6}  seq {:>5}  {:?}", record.partition, record.offset, event.seq, event.what);
        }
    }
    if let Some(account) = violation.account {
        print_stream(account, room, &range, history);
    }
}

fn print_stream(account: Uuid, room: Uuid, range: &std::ops::RangeInclusive<Seq>, history: &History) {
    println!("  the stream around it:");
    for connection in history.connections.iter().filter(|connection| connection.account == account) {
        let frames = connection.frames.iter().filter(|frame| frame.room == room);
        let near: Vec<_> =
            frames.filter(|frame| frame.to >= *range.start() && frame.from <= *range.end()).collect();
        if near.is_empty() {
            continue;
        }
        let first = connection.started.as_ref().and_then(|started| started.rooms.get(&room));
        println!(
            "    {} from {} ms on, since {:?}, started at {first:?}, ended: {}",
            connection.instance,
            connection.opened,
            connection.since.get(&room),
            connection.ended
        );
        for frame in near {
            println!("      {:>8} ms  {}–{}  {:?}", frame.at, frame.from, frame.to, frame.body);
        }
    }
}
