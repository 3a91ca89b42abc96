//! Every reader gets the same, from wherever it starts.

use roomlog_eventlog::Cursor;

use super::invariant::{Violation, hold};
use super::log::Log;
use super::node::Node;
use super::world::World;
use crate::writer::core::Snapshot;

/// A snapshot as it comes back from where it was stored. What it was made after is read again.
pub fn stored(log: &Log, snapshot: &Snapshot) -> Result<Snapshot, Violation> {
    let json = serde_json::to_string(&snapshot.cursor).expect("a cursor is plain data");
    let cursor: Cursor = serde_json::from_str(&json).expect("its own JSON");
    hold!(cursor == snapshot.cursor, SameForEveryReader, "{cursor:?} was {:?}", snapshot.cursor);
    if let Some(last) = cursor.last_accepted {
        let record = &log.records[log.index_of(last.offset)];
        let proven = record.offset == last.offset && last.previous_head.extend(&record.value) == cursor.head;
        hold!(proven, SameForEveryReader, "the cursor {cursor:?} cannot be proven");
    }
    Ok(Snapshot { cursor, ..snapshot.clone() })
}

/// All writers read to the end; others read from each snapshot kept: all have the same then.
pub fn check(world: &mut World) -> Result<(), Violation> {
    let truth = world.auditor.snapshot();
    for node in &mut world.nodes {
        let unread = world.log.records[node.at..].to_vec();
        let clock = world.now + node.skew;
        node.with(|core| core.records(clock, &unread));
        let read = node.core.as_ref().map(|core| core.snapshot());
        same(read.as_ref(), &truth, &format!("writer {}", node.index))?;
    }
    for snapshot in std::mem::take(&mut world.snapshots) {
        let from = snapshot.cursor.next_offset;
        let at = world.log.index_of(from);
        let mut reader = Node::new(0, &world.profile);
        reader.start(Some(stored(&world.log, &snapshot)?), at);
        reader.with(|core| core.records(world.now, &world.log.records[at..]));
        let read = reader.core.as_ref().map(|core| core.snapshot());
        same(read.as_ref(), &truth, &format!("a reader from offset {from}"))?;
    }
    Ok(())
}

fn same(read: Option<&Snapshot>, truth: &Snapshot, who: &str) -> Result<(), Violation> {
    let Some(read) = read else { return Ok(()) };
    hold!(
        read.cursor == truth.cursor,
        SameForEveryReader,
        "{who}: {:?}, not {:?}",
        read.cursor,
        truth.cursor
    );
    hold!(read.state == truth.state, SameForEveryReader, "{who}: another state");
    hold!(read.window == truth.window, SameForEveryReader, "{who}: another window");
    Ok(())
}
