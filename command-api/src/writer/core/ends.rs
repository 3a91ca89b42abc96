//! Queries for the log's end: at most one under way, and each answer counts for whoever asked before
//! it was sent.

use std::collections::VecDeque;

use super::{RETRY_MS, STALLED_MS};
use crate::writer::request::Millis;

#[derive(Debug, Default)]
pub struct EndQueries {
    issued: u64,
    under_way: bool,
    /// When the query under way was sent.
    sent_at: Millis,
    wanted: bool,
    /// Query and end, of answers to which the log has not been read; both rise.
    answered: VecDeque<(u64, u64)>,
    /// The last query to whose end the log has been read.
    reached: u64,
    failed_at: Option<Millis>,
    /// When reading last came nearer to the ends in `answered`.
    moved_at: Millis,
}

impl EndQueries {
    /// The number of a query that is asked from now on.
    pub fn ask(&mut self) -> u64 {
        self.wanted = true;
        self.issued + 1
    }

    /// Whether the log has been read to the end that the query gave, or a later one.
    pub fn reached(&self, query: u64) -> bool {
        self.reached >= query
    }

    /// Whether the log has been read to any end that was asked for.
    pub fn caught_up(&self) -> bool {
        self.reached > 0
    }

    /// The number of a query to send now.
    pub fn next(&mut self, elapsed: Millis) -> Option<u64> {
        let resting = self.failed_at.is_some_and(|at| elapsed < at + RETRY_MS);
        if !self.wanted || self.under_way || resting {
            return None;
        }
        (self.wanted, self.under_way, self.failed_at) = (false, true, None);
        self.sent_at = elapsed;
        self.issued += 1;
        Some(self.issued)
    }

    pub fn answer(&mut self, query: u64, end: Option<u64>, elapsed: Millis) {
        if query != self.issued || !self.under_way {
            return;
        }
        self.under_way = false;
        let Some(end) = end else {
            (self.wanted, self.failed_at) = (true, Some(elapsed));
            return;
        };
        match self.answered.back_mut() {
            // A later query for the same end counts for all before it.
            Some((last, same)) if *same >= end => *last = query,
            Some(_) => self.answered.push_back((query, end)),
            None => {
                self.moved_at = elapsed;
                self.answered.push_back((query, end));
            }
        }
    }

    /// Records have been read.
    pub fn moved(&mut self, elapsed: Millis) {
        self.moved_at = elapsed;
    }

    /// The log has been read up to this offset.
    pub fn read_to(&mut self, next_offset: u64) {
        while let Some(&(query, end)) = self.answered.front()
            && next_offset >= end
        {
            self.reached = query;
            self.answered.pop_front();
        }
    }

    /// Nothing is asked, and no end is waited for.
    pub fn is_idle(&self) -> bool {
        !self.wanted && !self.under_way && self.answered.is_empty()
    }

    /// Since when a query has had no answer.
    pub fn unanswered_since(&self) -> Option<Millis> {
        self.under_way.then_some(self.sent_at)
    }

    /// There is an end that reading does not come nearer to: nothing is delivered, or the log ends
    /// with offsets that hold no record. A record of one's own, read back, shows the end as well.
    pub fn stalled(&self, elapsed: Millis) -> bool {
        !self.answered.is_empty() && elapsed >= self.moved_at + STALLED_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_counts_for_whoever_asked_before_it_was_sent() {
        let mut ends = EndQueries::default();
        let first = ends.ask();
        assert_eq!(ends.next(0), Some(first));
        let second = ends.ask();
        assert_ne!(first, second, "the first is under way");
        assert_eq!(ends.next(0), None, "one at a time");
        ends.answer(first, Some(5), 0);
        ends.read_to(5);
        assert!(ends.reached(first) && !ends.reached(second));
        assert_eq!(ends.next(0), Some(second));
    }

    #[test]
    fn a_failed_query_is_asked_again_after_a_rest() {
        let mut ends = EndQueries::default();
        let first = ends.ask();
        ends.next(0);
        ends.answer(first, None, 10);
        assert_eq!(ends.next(10 + RETRY_MS - 1), None);
        let again = ends.next(10 + RETRY_MS).expect("asked again");
        ends.answer(again, Some(0), 10 + RETRY_MS);
        ends.read_to(0);
        assert!(ends.reached(first), "a later answer counts for the first as well");
    }

    #[test]
    fn answers_with_the_same_end_take_no_room() {
        let mut ends = EndQueries::default();
        for _ in 0..1000 {
            let query = ends.ask();
            ends.next(0);
            ends.answer(query, Some(7), 0);
        }
        assert_eq!(ends.answered.len(), 1);
        ends.read_to(7);
        assert!(ends.reached(1000));
    }

    #[test]
    fn an_end_that_reading_does_not_come_nearer_to_is_a_stall() {
        let mut ends = EndQueries::default();
        let query = ends.ask();
        ends.next(0);
        ends.answer(query, Some(7), 100);
        ends.moved(200);
        assert!(!ends.stalled(200 + STALLED_MS - 1));
        assert!(ends.stalled(200 + STALLED_MS));
        ends.read_to(7);
        assert!(!ends.stalled(200 + STALLED_MS));
    }
}
