//! Intervals of membership from the changes that the log has.
//!
//! The tables hold each change as it came, never what follows from it: so a change may be written
//! again, late, or beside another one, and the intervals are the same.

use roomlog_domain::visibility::Interval;

/// Beside one seq, joining comes before leaving: who joins and leaves in one event was there for it.
pub(super) const JOINED: i8 = 0;
pub(super) const LEFT: i8 = 1;

/// `changes` rise in (seq, change).
pub(super) fn intervals(changes: impl IntoIterator<Item = (i64, i8)>) -> Vec<Interval> {
    let mut intervals: Vec<Interval> = Vec::new();
    for (seq, change) in changes {
        let seq = seq.cast_unsigned();
        match (intervals.last_mut(), change) {
            // A member that joins is a member.
            (Some(Interval { left: None, .. }), JOINED) => {}
            (Some(Interval { left: Some(left), .. }), JOINED) if *left >= seq => {}
            (_, JOINED) => intervals.push(Interval { joined: seq, left: None }),
            (Some(last @ Interval { left: None, .. }), _) => last.left = Some(seq),
            // Who is no member can't leave.
            _ => {}
        }
    }
    intervals
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(changes: &[(i64, i8)]) -> Vec<(u64, Option<u64>)> {
        intervals(changes.iter().copied()).iter().map(|i| (i.joined, i.left)).collect()
    }

    #[test]
    fn joining_and_leaving_make_intervals() {
        assert_eq!(folded(&[]), []);
        assert_eq!(folded(&[(2, JOINED)]), [(2, None)]);
        assert_eq!(folded(&[(2, JOINED), (4, LEFT), (7, JOINED)]), [(2, Some(4)), (7, None)]);
        assert_eq!(folded(&[(5, JOINED), (5, LEFT), (6, JOINED)]), [(5, Some(5)), (6, None)]);
    }

    #[test]
    fn what_makes_no_sense_changes_nothing() {
        assert_eq!(folded(&[(1, LEFT), (2, JOINED), (3, JOINED), (4, LEFT), (5, LEFT)]), [(2, Some(4))]);
    }
}
