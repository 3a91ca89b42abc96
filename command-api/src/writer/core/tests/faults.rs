//! Lost, late and doubled records, and records that somebody else wrote.

use roomlog_eventlog::Kind;

use super::bench::*;
use crate::writer::core::{CLAIM_TIMEOUT_MS, LEFT_ALONE_MS, READ_BACK_TIMEOUT_MS};
use crate::writer::request::Outcome;

#[test]
fn after_a_delivery_error_the_next_own_claim_settles_what_was_lost() {
    let mut bench = Bench::with_room();
    let joined = bench.ask(BOB, join(BOB));
    let token = bench.lose();
    bench.fail(token);
    assert_eq!((bench.core.is_owner(), bench.core.in_flight()), (false, 1), "it may still come");
    bench.settle_for(200);
    assert!(bench.core.is_owner() && bench.accepted(joined), "decided again");
    assert_eq!(bench.reader().chain().epoch(), 2);
}

#[test]
fn what_was_reported_lost_and_lands_before_the_next_claim_counts() {
    let mut bench = Bench::with_room();
    let joined = bench.ask(BOB, join(BOB));
    let (token, _) = bench.wire.front().cloned().unwrap();
    bench.fail(token);
    bench.land_all();
    bench.read();
    assert!(bench.accepted(joined), "read back, whoever owns");
    bench.settle_for(200);
    let again = bench.ask(BOB, join(BOB));
    bench.settle();
    assert!(matches!(bench.outcome(again), Some(Outcome::Unchanged { .. })));
}

#[test]
fn another_s_claim_settles_as_well() {
    let mut bench = Bench::with_room();
    let joined = bench.ask(BOB, join(BOB));
    bench.claim_by_another();
    bench.read();
    assert_eq!((bench.core.in_flight(), bench.outcome(joined)), (0, None));
    bench.settle_for(LEFT_ALONE_MS + 100);
    assert!(bench.accepted(joined), "the first record came too late, the second counts");
}

#[test]
fn a_failure_of_what_is_settled_means_nothing() {
    let mut bench = Bench::with_room();
    bench.ask(BOB, join(BOB));
    let (token, _) = bench.wire.front().cloned().unwrap();
    bench.settle();
    bench.fail(token);
    assert!(bench.core.is_owner());
}

#[test]
fn a_doubled_record_means_nothing() {
    let mut bench = Bench::with_room();
    bench.ask(BOB, join(BOB));
    let (_, value) = bench.wire.front().cloned().unwrap();
    bench.settle();
    bench.append(value);
    bench.read();
    assert!(bench.core.is_owner() && bench.alarms.is_empty());
}

#[test]
fn an_own_record_skipped_shows_that_one_before_it_was_lost() {
    let mut bench = Bench::with_room();
    let joined = bench.ask(BOB, join(BOB));
    let left = bench.ask(BOB, leave(BOB));
    bench.lose();
    bench.land_all();
    bench.read();
    assert!(!bench.core.is_owner());
    bench.settle();
    assert_eq!(bench.order()[1..], [joined, left], "decided again, in the order of their arrival");
    assert!(bench.accepted(joined) && bench.accepted(left));
}

/// A record lost without an error once kept its request, and all after it, until their deadlines.
#[test]
fn a_record_that_does_not_come_back_is_taken_for_lost() {
    let mut bench = Bench::with_room();
    let joined = bench.ask(BOB, join(BOB));
    bench.lose();
    bench.settle_for(READ_BACK_TIMEOUT_MS - 50);
    assert!(bench.core.is_owner());
    bench.settle_for(200);
    assert!(bench.accepted(joined));
}

/// Each record skipped once ended the claim that had been sent since, and that claim, when it came
/// back, was taken for another's.
#[test]
fn own_records_skipped_while_claiming_do_not_end_the_claim() {
    let mut bench = Bench::with_room();
    let requests = [bench.ask(BOB, join(BOB)), bench.ask(BOB, leave(BOB)), bench.ask(BOB, join(BOB))];
    let token = bench.lose();
    bench.fail(token);
    bench.pass(200);
    bench.answer_end();
    assert_eq!(bench.kinds_sent().last(), Some(&Kind::Claim));
    bench.land();
    bench.read();
    bench.fail(token + 2);
    bench.settle();
    assert!(bench.core.is_owner());
    assert!(requests.into_iter().all(|request| bench.accepted(request)), "at once");
}

/// Decided again, a rejection once came before what it had been decided on.
#[test]
fn what_is_decided_again_keeps_its_order() {
    let mut bench = Bench::with_room();
    let joined = bench.ask(BOB, join(BOB));
    let again = bench.ask(BOB, join(BOB));
    bench.claim_by_another();
    bench.read();
    bench.settle_for(LEFT_ALONE_MS + 100);
    assert!(bench.accepted(joined));
    assert!(matches!(bench.outcome(again), Some(Outcome::Unchanged { .. })), "Bob was a member by then");
}

#[test]
fn a_record_under_its_claim_that_it_did_not_send_raises_the_alarm() {
    let mut bench = Bench::with_room();
    let joined = bench.ask(BOB, join(BOB));
    let queued = bench.ask(ALICE, leave(ALICE));
    bench.forge();
    bench.read();
    assert_eq!((bench.alarms.len(), bench.core.is_stopped()), (1, true));
    assert_eq!(bench.outcome(joined), Some(&Outcome::Unknown));
    assert_eq!(bench.outcome(queued), Some(&Outcome::Unavailable));
    let late = bench.ask(BOB, join(BOB));
    assert_eq!(bench.outcome(late), Some(&Outcome::Unavailable));
}

/// It once looked only while it owned.
#[test]
fn the_alarm_is_raised_under_an_own_claim_that_it_does_not_use_any_more() {
    let mut bench = Bench::with_room();
    bench.ask(BOB, join(BOB));
    let token = bench.lose();
    bench.fail(token);
    assert!(!bench.core.is_owner());
    bench.forge();
    bench.read();
    assert!(bench.core.is_stopped());
}

#[test]
fn records_of_an_earlier_life_are_another_s() {
    let mut bench = Bench::with_room();
    bench.ask(BOB, join(BOB));
    let (_, value) = bench.wire.front().cloned().unwrap();
    bench.restart(None);
    bench.append(value);
    bench.settle();
    assert!(bench.alarms.is_empty());
    bench.settle_for(LEFT_ALONE_MS + CLAIM_TIMEOUT_MS);
    let again = bench.ask(BOB, join(BOB));
    bench.settle();
    assert!(matches!(bench.outcome(again), Some(Outcome::Unchanged { .. })), "it was accepted");
}
