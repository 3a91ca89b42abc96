//! A room's seqs rise by one from 1, in the order of the log.

use std::collections::BTreeMap;

use super::{Invariant, Violation};
use crate::chaos::history::Log;

pub fn check(log: &Log) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut last = BTreeMap::new();
    for record in &log.records {
        for event in &record.events {
            let last = last.entry(event.room).or_insert(0);
            if event.seq != *last + 1 {
                let what = format!(
                    "in room {}, seq {} follows seq {last} (offset {} of {})",
                    event.room, event.seq, record.offset, record.partition
                );
                violations.push(Violation::new(Invariant::GapFree, what).at(event.room, event.seq));
            }
            *last = event.seq;
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Story, broken};
    use super::*;

    #[test]
    fn a_hole_a_doubled_seq_and_a_wrong_order_are_caught() {
        let story = Story::new();
        assert!(check(&story.history.log).is_empty());
        for break_it in [
            (|log: &mut Log| log.records[2].events[0].seq += 1) as fn(&mut Log),
            |log| log.records[3].events[0].seq -= 1,
            |log| log.records.swap(2, 3),
            |log| {
                log.records.remove(2);
            },
        ] {
            let mut history = story.history.clone();
            break_it(&mut history.log);
            assert!(broken(&check(&history.log), Invariant::GapFree));
        }
    }
}
