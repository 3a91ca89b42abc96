//! The log can be read to its end, and every stored cursor names the head that the log has there.

use super::{Invariant, Violation};
use crate::chaos::history::{History, StoredCursor};

pub fn check(history: &History) -> Vec<Violation> {
    let stopped = history.log.stopped.iter().map(|why| Violation::new(Invariant::Chain, why.clone()));
    let cursors = history.cursors.iter().filter_map(|cursor| check_cursor(history, cursor));
    stopped.chain(cursors).collect()
}

fn check_cursor(history: &History, cursor: &StoredCursor) -> Option<Violation> {
    let StoredCursor { projection, partition, next_offset, head } = cursor;
    let heads = history.log.heads.get(partition)?;
    let expected = heads.range(..=*next_offset).next_back().map(|(_, head)| head);
    if *next_offset == 0 || head.as_ref() == expected {
        return None;
    }
    let what = format!(
        "the cursor of {projection} in {partition} has head {head:?} at offset {next_offset}; the log has {expected:?}"
    );
    Some(Violation::new(Invariant::Chain, what))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Story, broken};
    use super::*;

    #[test]
    fn a_log_that_cannot_be_read_is_caught() {
        let mut history = Story::new().history;
        assert!(check(&history).is_empty());
        history.log.stopped.push("rooms/0 cannot be decoded at offset 7".to_owned());
        assert!(broken(&check(&history), Invariant::Chain));
    }

    #[test]
    fn a_cursor_that_is_off_the_chain_is_caught() {
        let mut history = Story::new().history;
        let heads = [(0, "a"), (5, "b"), (7, "c")].map(|(offset, head)| (offset, head.to_owned()));
        history.log.heads.insert("rooms/0".to_owned(), heads.into());
        let cursor = |next_offset, head: &str| StoredCursor {
            projection: "directory".to_owned(),
            partition: "rooms/0".to_owned(),
            next_offset,
            head: Some(head.to_owned()),
        };
        history.cursors = vec![cursor(5, "b"), cursor(6, "b"), cursor(9, "c")];
        assert!(check(&history).is_empty());
        history.cursors = vec![cursor(6, "c")];
        assert!(broken(&check(&history), Invariant::Chain));
    }
}
