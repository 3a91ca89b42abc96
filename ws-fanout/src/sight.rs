//! What a socket's account sees of a room, while it reads.

use roomlog_domain::visibility::Visibility;
use roomlog_schemas::event::Seq;

/// From the event of joining on the account is a member, until the reader meets its removal; for
/// what lies before, the store's visibility decides.
#[derive(Debug)]
pub(crate) struct Sight<'a> {
    pub joined: Seq,
    pub before: &'a Visibility,
}

/// Neighbouring seqs that are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub is_shown: bool,
    /// Its last seq.
    pub to: Seq,
}

impl Sight<'_> {
    /// The longest run that starts with `from`.
    pub fn run(&self, from: Seq) -> Run {
        if from >= self.joined {
            return Run { is_shown: true, to: Seq::MAX };
        }
        let is_shown = self.shows(from);
        // Within what lies between these nothing changes.
        let mut borders: Vec<Seq> = self.before.rules.iter().map(|rule| rule.from).collect();
        for interval in &self.before.intervals {
            borders.push(interval.joined);
            borders.extend(interval.left.map(|left| left.saturating_add(1)));
        }
        borders.retain(|&border| from < border && border < self.joined);
        borders.push(self.joined);
        borders.sort_unstable();
        match borders.into_iter().find(|&border| self.shows(border) != is_shown) {
            Some(border) => Run { is_shown, to: border - 1 },
            None => Run { is_shown, to: Seq::MAX },
        }
    }

    fn shows(&self, seq: Seq) -> bool {
        seq >= self.joined
            || self.before.sees(seq)
            // The store may know of a removal that the reader has not come to.
            || self.before.intervals.iter().any(|interval| interval.contains(seq))
    }
}

#[cfg(test)]
mod tests {
    use roomlog_domain::visibility::{HistoryRule, Interval};
    use roomlog_schemas::History;

    use super::*;

    fn visibility(intervals: &[(Seq, Option<Seq>)], rules: &[(Seq, History)]) -> Visibility {
        Visibility {
            intervals: intervals.iter().map(|&(joined, left)| Interval { joined, left }).collect(),
            rules: rules.iter().map(|&(from, rule)| HistoryRule { from, rule }).collect(),
        }
    }

    fn runs(joined: Seq, before: &Visibility) -> Vec<(Seq, Seq, bool)> {
        let sight = Sight { joined, before };
        let mut runs = Vec::new();
        let mut from = 1;
        loop {
            let Run { is_shown, to } = sight.run(from);
            runs.push((from, to, is_shown));
            if to == Seq::MAX {
                return runs;
            }
            from = to + 1;
        }
    }

    #[test]
    fn absences_are_hidden_and_neighbours_merged() {
        let v = visibility(&[(3, Some(5)), (9, None)], &[(1, History::FromJoin)]);
        assert_eq!(runs(9, &v), [(1, 2, false), (3, 5, true), (6, 8, false), (9, Seq::MAX, true)]);
        let v = visibility(&[(3, Some(5)), (9, None)], &[(1, History::FromBeginning)]);
        assert_eq!(runs(9, &v), [(1, Seq::MAX, true)]);
        let v = visibility(
            &[(9, None)],
            &[(1, History::FromJoin), (4, History::FromBeginning), (6, History::FromJoin)],
        );
        assert_eq!(runs(9, &v), [(1, 3, false), (4, 5, true), (6, 8, false), (9, Seq::MAX, true)]);
    }

    #[test]
    fn a_removal_ahead_hides_what_only_a_member_may_see() {
        let v = visibility(&[(3, Some(5)), (9, Some(12))], &[(1, History::FromBeginning)]);
        assert_eq!(runs(9, &v), [(1, 2, false), (3, 5, true), (6, 8, false), (9, Seq::MAX, true)]);
    }
}
