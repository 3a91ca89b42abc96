//! Which events of a room an account may see: one function for pages, resume and stream.
//!
//! An account that is a member now sees seq s if and only if it was a member when s was accepted
//! (its join and removal included), or the history rule in force at s was "from the beginning".

use roomlog_schemas::History;
use roomlog_schemas::event::Seq;
use serde::{Deserialize, Serialize};

/// A membership in seqs of the room: from the event of joining to the event of leaving, both
/// included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    pub joined: Seq,
    /// `None` while it lasts.
    pub left: Option<Seq>,
}

impl Interval {
    pub fn contains(&self, seq: Seq) -> bool {
        self.joined <= seq && self.left.is_none_or(|left| seq <= left)
    }
}

/// In force from this seq until the next rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryRule {
    pub from: Seq,
    pub rule: History,
}

/// What one account may see of one room. Both lists rise in seq.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Visibility {
    pub intervals: Vec<Interval>,
    pub rules: Vec<HistoryRule>,
}

impl Visibility {
    pub fn is_member(&self) -> bool {
        self.intervals.last().is_some_and(|interval| interval.left.is_none())
    }

    /// Whether the account, as it stands now, may see this event.
    pub fn sees(&self, seq: Seq) -> bool {
        self.is_member()
            && (self.rule_at(seq) == History::FromBeginning
                || self.intervals.iter().any(|interval| interval.contains(seq)))
    }

    fn rule_at(&self, seq: Seq) -> History {
        self.rules.iter().rev().find(|rule| rule.from <= seq).map_or(History::FromJoin, |rule| rule.rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visibility(intervals: &[(Seq, Option<Seq>)], rules: &[(Seq, History)]) -> Visibility {
        Visibility {
            intervals: intervals.iter().map(|&(joined, left)| Interval { joined, left }).collect(),
            rules: rules.iter().map(|&(from, rule)| HistoryRule { from, rule }).collect(),
        }
    }

    fn seen(visibility: &Visibility, up_to: Seq) -> Vec<Seq> {
        (1..=up_to).filter(|&seq| visibility.sees(seq)).collect()
    }

    #[test]
    fn from_join_shows_the_memberships_with_join_and_removal() {
        let v = visibility(&[(2, Some(4)), (7, None)], &[(1, History::FromJoin)]);
        assert_eq!(seen(&v, 9), [2, 3, 4, 7, 8, 9]);
    }

    #[test]
    fn from_beginning_shows_everything_to_a_member() {
        let v = visibility(&[(5, None)], &[(1, History::FromBeginning)]);
        assert_eq!(seen(&v, 6), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn the_rule_in_force_at_the_event_counts_not_todays() {
        let v = visibility(
            &[(9, None)],
            &[(1, History::FromJoin), (4, History::FromBeginning), (6, History::FromJoin)],
        );
        assert_eq!(seen(&v, 9), [4, 5, 9]);
    }

    #[test]
    fn who_is_no_member_sees_nothing() {
        let v = visibility(&[(2, Some(4))], &[(1, History::FromBeginning)]);
        assert!(seen(&v, 9).is_empty());
        assert!(seen(&Visibility::default(), 9).is_empty());
    }
}
