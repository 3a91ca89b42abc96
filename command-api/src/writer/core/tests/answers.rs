//! When which answer is given.

use bytes::Bytes;
use roomlog_domain::command::SendMessage;
use roomlog_domain::{Command, ImportBatch, ImportItem, ImportKind, Rejection};
use roomlog_eventlog::Kind;
use roomlog_eventlog::frame::MAX_RECORD_LEN;
use roomlog_schemas::MessageId;

use super::bench::*;
use crate::writer::core::Options;
use crate::writer::request::Outcome;

fn send(text: Bytes) -> Command {
    let message_id = MessageId::from_u128(1);
    Command::SendMessage(SendMessage { room_id: ROOM, message_id, author_id: ALICE, text, reply_to: None })
}

#[test]
fn acknowledged_only_when_its_record_has_been_read_back() {
    let mut bench = Bench::owner();
    let created = bench.ask(ALICE, create(ROOM));
    let (token, _) = bench.wire.back().cloned().unwrap();
    bench.land_all();
    bench.confirm(token);
    assert_eq!(bench.outcome(created), None, "in the log, but does it count?");
    bench.read();
    let offset = bench.log.last().unwrap().offset;
    assert!(matches!(bench.outcome(created), Some(Outcome::Accepted { offset: at, .. }) if *at == offset));
}

#[test]
fn a_rejection_waits_for_the_records_that_it_was_decided_on() {
    let mut bench = Bench::with_room();
    let joined = bench.ask(BOB, join(BOB));
    let left = bench.ask(ALICE, leave(ALICE));
    bench.answer_end();
    assert_eq!(bench.outcome(left), None, "the join has not been read back");
    bench.land_all();
    bench.read();
    assert!(bench.accepted(joined));
    assert_eq!(bench.outcome(left), Some(&Outcome::Rejected(Rejection::LastOwner)));
}

#[test]
fn a_rejection_waits_for_an_end_of_the_log_asked_for_after_its_request() {
    let mut bench = Bench::with_room();
    let first = bench.ask(ALICE, leave(ALICE));
    let second = bench.ask(ALICE, leave(ALICE));
    bench.answer_end();
    assert!(bench.outcome(first).is_some());
    assert_eq!(bench.outcome(second), None, "the query was under way when it came");
    bench.append(Bytes::from_static(b"foreign"));
    bench.answer_end();
    assert_eq!(bench.outcome(second), None, "the log has not been read that far");
    bench.read();
    assert_eq!(bench.outcome(second), Some(&Outcome::Rejected(Rejection::LastOwner)));
}

#[test]
fn an_own_record_sent_after_the_decision_and_read_back_releases_a_rejection() {
    let mut bench = Bench::with_room();
    let left = bench.ask(ALICE, leave(ALICE));
    bench.ask(BOB, join(BOB));
    bench.land_all();
    bench.read();
    assert_eq!(bench.outcome(left), Some(&Outcome::Rejected(Rejection::LastOwner)));
}

#[test]
fn a_rejection_under_a_claim_that_was_lost_is_decided_again() {
    let mut bench = Bench::with_room();
    let left = bench.ask(BOB, leave(BOB));
    bench.claim_by_another();
    bench.answer_end();
    bench.read();
    assert!(!bench.core.is_owner());
    assert_eq!(bench.outcome(left), None, "the new owner may have let Bob in meanwhile");
    bench.settle_for(4_000);
    assert!(matches!(bench.outcome(left), Some(Outcome::Unchanged { .. })));
}

#[test]
fn that_nothing_had_to_change_is_released_like_a_rejection() {
    let mut bench = Bench::with_room();
    let joined = bench.ask(ALICE, join(ALICE));
    assert_eq!(bench.outcome(joined), None);
    bench.answer_end();
    assert_eq!(answer_of(bench.outcome(joined)).map(|answer| answer.seq), Some(2));
}

#[test]
fn what_no_record_has_room_for_is_not_written_and_released_like_a_rejection() {
    let mut bench = Bench::with_room();
    let sent = bench.ask(ALICE, send(vec![0; MAX_RECORD_LEN].into()));
    assert!(bench.wire.is_empty(), "no announcement either");
    assert_eq!(bench.outcome(sent), None);
    bench.answer_end();
    assert_eq!(bench.outcome(sent), Some(&Outcome::TooLarge));
}

#[test]
fn as_many_wait_as_may() {
    let mut bench = Bench::owner_with(Options { max_waiting: 1, ..Options::default() });
    let first = bench.ask(ALICE, create(ROOM));
    let second = bench.ask(ALICE, create(ROOM));
    assert_eq!(bench.outcome(second), Some(&Outcome::Overloaded));
    bench.settle();
    assert!(bench.accepted(first));
    let third = bench.ask(BOB, join(BOB));
    bench.settle();
    assert!(bench.accepted(third));
}

#[test]
fn no_more_are_in_flight_than_may_be() {
    let mut bench = Bench::owner_with(Options { max_in_flight: 1, ..Options::default() });
    let first = bench.ask(ALICE, create(ROOM));
    let second = bench.ask(BOB, join(BOB));
    bench.land_all();
    assert_eq!(bench.wire.len(), 0);
    bench.settle();
    assert_eq!(bench.order(), [first, second]);
}

#[test]
fn at_its_deadline_what_was_written_is_unknown_and_what_was_not_is_unavailable() {
    let mut bench = Bench::with_room();
    let written = bench.ask(BOB, join(BOB));
    let token = bench.lose();
    let rejected = bench.ask(ALICE, leave(ALICE));
    bench.fail(token);
    let queued = bench.ask(ALICE, leave(ALICE));
    bench.pass(PATIENCE);
    assert_eq!(bench.outcome(written), Some(&Outcome::Unknown));
    assert_eq!(bench.outcome(rejected), Some(&Outcome::Unavailable));
    assert_eq!(bench.outcome(queued), Some(&Outcome::Unavailable));
}

#[test]
fn nothing_is_decided_after_its_deadline() {
    let mut bench = Bench::new(Options::default());
    let created = bench.ask(ALICE, create(ROOM));
    bench.answer_end();
    bench.land_all();
    // Paused until after the deadline; the first that it hears is its claim.
    bench.now += PATIENCE;
    bench.read();
    bench.pass(0);
    assert_eq!(bench.outcome(created), Some(&Outcome::Unavailable));
    assert!(!bench.kinds_sent().contains(&Kind::Command));
}

/// An import's positions come from outside. One that no `long` holds once stopped the partition.
#[test]
fn a_command_that_does_not_encode_is_refused_and_the_partition_goes_on() {
    let mut bench = Bench::with_room();
    let item = |position| ImportItem {
        position,
        source_id: "id".to_owned(),
        time_ms: 0,
        account_id: BOB,
        kind: ImportKind::Join,
    };
    let batch = |position| {
        Box::new(ImportBatch { room_id: ROOM, source: "irc".to_owned(), items: vec![item(position)] })
    };
    let bad = bench.ask(BOB, Command::Import(batch(u64::MAX)));
    assert_eq!(bench.outcome(bad), Some(&Outcome::Unavailable));
    assert!(bench.alarms.is_empty());
    let good = bench.ask(BOB, Command::Import(batch(1)));
    bench.settle();
    assert!(bench.accepted(good));
    assert_eq!(bench.core.imported(ROOM, "irc"), Some(1));
}

#[test]
fn a_schema_is_announced_once_before_its_first_use() {
    let mut bench = Bench::owner();
    bench.ask(ALICE, create(ROOM));
    let commands_schemas = [Kind::Schema, Kind::Schema, Kind::Schema, Kind::Command];
    assert_eq!(bench.kinds_sent(), commands_schemas, "room created, member joined, the record itself");
    bench.ask(BOB, join(BOB));
    assert_eq!(bench.kinds_sent().len(), 5, "all announced, though not read back");
    bench.settle();
    bench.ask(BOB, leave(BOB));
    assert_eq!(bench.kinds_sent(), [Kind::Schema, Kind::Command], "member left is new");
}

#[test]
fn a_schema_whose_announcement_was_lost_is_announced_again() {
    let mut bench = Bench::owner();
    let created = bench.ask(ALICE, create(ROOM));
    let token = bench.lose();
    bench.land_all();
    bench.fail(token);
    bench.settle_for(1_000);
    assert!(bench.accepted(created));
    assert_eq!(bench.reader().cursor().unwrap().announced.len(), 3);
}
