//! Which seqs of a room an account may see, as ranges: so that a page skips what is hidden instead
//! of reading it.

use std::ops::RangeInclusive;

use roomlog_domain::visibility::Visibility;
use roomlog_schemas::History;
use roomlog_schemas::event::Seq;

/// The seqs up to `last` that `visibility` shows: disjoint ranges, rising, none next to another.
/// They hold exactly the seqs for which [`Visibility::sees`] is true.
pub(crate) fn visible_ranges(visibility: &Visibility, last: Seq) -> Vec<RangeInclusive<Seq>> {
    if !visibility.is_member() {
        return Vec::new();
    }
    let memberships =
        visibility.intervals.iter().map(|interval| (interval.joined, interval.left.unwrap_or(last)));
    let next_rules = visibility.rules.iter().skip(1).map(|next| next.from.saturating_sub(1)).chain([last]);
    let open_to_all = visibility
        .rules
        .iter()
        .zip(next_rules)
        .filter(|(rule, _)| rule.rule == History::FromBeginning)
        .map(|(rule, until)| (rule.from, until));
    let mut ranges: Vec<_> =
        memberships.chain(open_to_all).map(|(from, until)| (from.max(1), until.min(last))).collect();
    ranges.retain(|(from, until)| from <= until);
    ranges.sort_unstable();
    let mut merged: Vec<RangeInclusive<Seq>> = Vec::with_capacity(ranges.len());
    for (from, until) in ranges {
        match merged.last_mut() {
            Some(previous) if from <= previous.end().saturating_add(1) => {
                *previous = *previous.start()..=until.max(*previous.end());
            }
            _ => merged.push(from..=until),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use roomlog_domain::visibility::{HistoryRule, Interval};

    use super::*;

    const LAST: Seq = 40;

    fn visibility() -> impl Strategy<Value = Visibility> {
        let seqs = proptest::collection::btree_set(1..=LAST, 0..8);
        let rules = proptest::collection::btree_map(1..=LAST, proptest::bool::ANY, 0..5);
        (seqs, rules).prop_map(|(seqs, rules)| Visibility {
            intervals: seqs
                .into_iter()
                .collect::<Vec<_>>()
                .chunks(2)
                .map(|pair| Interval { joined: pair[0], left: pair.get(1).copied() })
                .collect(),
            rules: rules
                .into_iter()
                .map(|(from, all)| HistoryRule {
                    from,
                    rule: if all { History::FromBeginning } else { History::FromJoin },
                })
                .collect(),
        })
    }

    proptest! {
        #[test]
        fn ranges_hold_exactly_what_may_be_seen(visibility in visibility(), last in 0..=LAST) {
            let ranges = visible_ranges(&visibility, last);
            let listed: Vec<Seq> = ranges.iter().cloned().flatten().collect();
            let seen: Vec<Seq> = (1..=last).filter(|&seq| visibility.sees(seq)).collect();
            prop_assert_eq!(listed, seen);
            for pair in ranges.windows(2) {
                prop_assert!(pair[0].end() + 1 < *pair[1].start());
            }
        }
    }
}
