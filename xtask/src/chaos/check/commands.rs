//! Every acknowledged command is in the log exactly once, every other one at most once; and what was
//! answered is what the log has.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{Invariant, Violation};
use crate::chaos::history::{Answer, Command, History, Outcome, Record, What};

pub fn check(history: &History) -> Vec<Violation> {
    let mut records: HashMap<(Uuid, Uuid), Vec<&Record>> = HashMap::new();
    for record in &history.log.records {
        if let Some(by) = record.actor.zip(record.key) {
            records.entry(by).or_default().push(record);
        }
    }
    let mut violations = Vec::new();
    for command in &history.commands {
        let found = records.get(&(command.account, command.key)).map_or(&[][..], Vec::as_slice);
        check_command(command, found, &mut violations);
    }
    violations.extend(check_unasked(history));
    violations
}

fn check_command(command: &Command, records: &[&Record], violations: &mut Vec<Violation>) {
    let mut report = |invariant, what: String| {
        let violation = Violation::new(invariant, format!("{what}: {}", describe(command)));
        let place = records.first().and_then(|record| record.events.first());
        let answered = command.room().zip(command.accepted().map(|answer| answer.seq));
        violations.push(match (place, answered) {
            (Some(event), _) => violation.at(event.room, event.seq),
            (None, Some((room, seq))) => violation.at(room, seq),
            (None, None) => violation,
        });
    };
    if records.len() > 1 {
        let offsets: Vec<String> = records.iter().map(|r| format!("{} {}", r.partition, r.offset)).collect();
        report(Invariant::Once, format!("in the log {} times ({})", records.len(), offsets.join(", ")));
    }
    let answers: Vec<&Answer> = command
        .attempts
        .iter()
        .filter_map(|attempt| match &attempt.outcome {
            Outcome::Accepted(answer) => Some(answer),
            _ => None,
        })
        .collect();
    if let Some(other) = answers.iter().find(|answer| **answer != answers[0]) {
        report(Invariant::Answers, format!("answered {:?} and {other:?}", answers[0]));
    }
    match (answers.first(), records.first()) {
        (Some(_), None) => report(Invariant::Acknowledged, "acknowledged and not in the log".to_owned()),
        (Some(answer), Some(record)) if !agrees(answer, record) => {
            report(Invariant::Answers, format!("answered {answer:?}, but the log has {record:?}"));
        }
        _ => {}
    }
    if let (Some(code), false) = (command.rejected(), records.is_empty()) {
        report(Invariant::Answers, format!("rejected with {code} and in the log"));
    }
}

/// Whether the answer is what the record says. Of a command with several events the seq is that of one
/// of them in the room that was named.
fn agrees(answer: &Answer, record: &Record) -> bool {
    let message = record.events.iter().find_map(|event| match event.what {
        What::Sent { message, .. } => Some(message),
        _ => None,
    });
    record.events.iter().any(|event| event.seq == answer.seq)
        && answer.message.is_none_or(|answered| Some(answered) == message)
        && answer.room.is_none_or(|room| record.events.iter().any(|event| event.room == room))
}

/// What the log has of our clients without their having asked for it.
fn check_unasked(history: &History) -> Vec<Violation> {
    let asked: HashSet<(Uuid, Uuid)> =
        history.commands.iter().map(|command| (command.account, command.key)).collect();
    let unasked = history.log.records.iter().filter(|record| {
        !record.events.is_empty() && record.actor.zip(record.key).is_none_or(|by| !asked.contains(&by))
    });
    unasked
        .map(|record| {
            let what = format!("offset {} of {}: nobody asked for it", record.offset, record.partition);
            let violation = Violation::new(Invariant::Once, what);
            match record.events.first() {
                Some(event) => violation.at(event.room, event.seq),
                None => violation,
            }
        })
        .collect()
}

fn describe(command: &Command) -> String {
    let attempts: Vec<String> = command
        .attempts
        .iter()
        .map(|a| format!("{}–{} ms at {}: {:?}", a.began, a.ended, a.instance, a.outcome))
        .collect();
    format!(
        "{:?} of {} under key {}, attempts [{}]",
        command.wanted,
        command.account,
        command.key,
        attempts.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Story, broken};
    use super::*;

    fn after(break_it: impl FnOnce(&mut History)) -> Vec<Violation> {
        let mut history = Story::new().history;
        break_it(&mut history);
        check(&history)
    }

    #[test]
    fn a_good_history_passes() {
        assert!(after(|_| {}).is_empty());
    }

    #[test]
    fn an_acknowledged_command_that_is_lost_is_caught() {
        let lost = after(|history| {
            history.log.records.pop();
        });
        assert!(broken(&lost, Invariant::Acknowledged));
    }

    #[test]
    fn an_unacknowledged_command_may_be_lost_but_not_doubled() {
        let unanswered = |history: &mut History| {
            let command = history.commands.last_mut().unwrap();
            command.attempts[0].outcome = Outcome::Unknown("no answer".to_owned());
        };
        assert!(after(unanswered).is_empty());
        assert!(
            after(|history| {
                unanswered(history);
                history.log.records.pop();
            })
            .is_empty()
        );
        let doubled = after(|history| {
            unanswered(history);
            let again = history.log.records.last().unwrap().clone();
            history.log.records.push(again);
        });
        assert!(broken(&doubled, Invariant::Once));
    }

    #[test]
    fn a_doubled_command_is_caught() {
        let doubled = after(|history| {
            let again = history.log.records.last().unwrap().clone();
            history.log.records.push(again);
        });
        assert!(broken(&doubled, Invariant::Once));
    }

    #[test]
    fn another_answer_than_before_or_than_the_log_is_caught() {
        let repeated = after(|history| {
            let command = history.commands.last_mut().unwrap();
            let mut again = command.attempts[0].clone();
            command.attempts.push(again.clone());
            let Outcome::Accepted(answer) = &mut again.outcome else { panic!("it was accepted") };
            answer.message = Some(Uuid::from_u128(999));
            command.attempts.push(again);
        });
        assert!(broken(&repeated, Invariant::Answers));
        let wrong = after(|history| {
            let command = history.commands.last_mut().unwrap();
            let Outcome::Accepted(answer) = &mut command.attempts[0].outcome else { panic!("accepted") };
            answer.seq += 1;
        });
        assert!(broken(&wrong, Invariant::Answers));
    }

    #[test]
    fn what_was_rejected_or_not_asked_for_and_is_in_the_log_is_caught() {
        let rejected = after(|history| {
            let command = history.commands.last_mut().unwrap();
            command.attempts[0].outcome = Outcome::Rejected("not_a_member".to_owned());
        });
        assert!(broken(&rejected, Invariant::Answers));
        let unasked = after(|history| {
            history.commands.pop();
        });
        assert!(broken(&unasked, Invariant::Once));
    }
}
