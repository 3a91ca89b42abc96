//! Repeated, reused and expired keys.

use super::bench::*;
use crate::writer::request::Outcome;
use crate::writer::window::{MAX_AHEAD_MS, WINDOW_MS};

#[test]
fn a_repeat_waits_for_the_first_attempt_and_gets_its_answer() {
    let mut bench = Bench::owner();
    let first = bench.ask_keyed(ALICE, key(0), 0, create(ROOM));
    let repeat = bench.ask_keyed(ALICE, key(0), 0, create(ROOM));
    bench.land_all();
    assert_eq!((bench.outcome(first), bench.outcome(repeat)), (None, None));
    bench.read();
    assert!(bench.accepted(first));
    assert_eq!(bench.outcome(first), bench.outcome(repeat));
    let later = bench.ask_keyed(ALICE, key(0), 0, create(ROOM));
    assert_eq!(bench.outcome(first), bench.outcome(later), "at once: it has been read back");
}

#[test]
fn a_repeat_of_what_never_counted_is_decided_for_itself() {
    let mut bench = Bench::owner();
    let first = bench.ask_keyed(ALICE, key(0), 0, create(ROOM));
    let repeat = bench.ask_keyed(ALICE, key(0), 0, create(ROOM));
    while !bench.wire.is_empty() {
        bench.lose();
    }
    bench.claim_by_another();
    bench.read();
    bench.settle_for(4_000);
    assert!(bench.accepted(first));
    assert_eq!(bench.outcome(first), bench.outcome(repeat));
}

#[test]
fn a_key_is_of_its_account_alone() {
    let mut bench = Bench::with_room();
    let alice = bench.ask_keyed(ALICE, key(0), 0, join(ALICE));
    let bob = bench.ask_keyed(BOB, key(0), 0, join(BOB));
    bench.settle();
    assert!(matches!(bench.outcome(alice), Some(Outcome::Unchanged { .. })));
    assert!(bench.accepted(bob));
}

#[test]
fn a_key_with_another_body_is_refused_in_flight_and_afterwards() {
    let mut bench = Bench::with_room();
    let first = bench.ask_keyed(BOB, key(0), 0, join(BOB));
    let in_flight = bench.ask_keyed(BOB, key(0), 1, leave(BOB));
    bench.settle();
    assert!(bench.accepted(first));
    assert_eq!(bench.outcome(in_flight), Some(&Outcome::KeyReused));
    let afterwards = bench.ask_keyed(BOB, key(0), 1, leave(BOB));
    assert_eq!(bench.outcome(afterwards), Some(&Outcome::KeyReused));
}

#[test]
fn a_rejected_key_is_not_remembered() {
    let mut bench = Bench::owner();
    let early = bench.ask_keyed(BOB, key(0), 0, join(BOB));
    bench.settle();
    assert!(matches!(bench.outcome(early), Some(Outcome::Rejected(_))));
    bench.ask(ALICE, create(ROOM));
    let again = bench.ask_keyed(BOB, key(0), 0, join(BOB));
    bench.settle();
    assert!(bench.accepted(again));
}

#[test]
fn keys_too_old_or_from_too_far_ahead_are_refused() {
    let mut bench = Bench::with_room();
    for (later, refused) in
        [(-WINDOW_MS - 1, true), (-WINDOW_MS, false), (MAX_AHEAD_MS, false), (MAX_AHEAD_MS + 1, true)]
    {
        let asked = bench.ask_keyed(ALICE, key(later), 0, join(ALICE));
        bench.settle();
        assert_eq!(bench.outcome(asked) == Some(&Outcome::KeyExpired), refused, "{later}");
    }
}

/// It once queued the repeat, and claimed the partition only to answer it.
#[test]
fn a_repeat_of_what_was_read_back_needs_no_owner() {
    let mut bench = Bench::with_room();
    let first = bench.ask_keyed(BOB, key(0), 0, join(BOB));
    bench.settle();
    bench.claim_by_another();
    bench.settle();
    let repeat = bench.ask_keyed(BOB, key(0), 0, join(BOB));
    assert!(!bench.core.is_owner());
    assert_eq!(bench.outcome(first), bench.outcome(repeat));
    let reused = bench.ask_keyed(BOB, key(0), 1, leave(BOB));
    assert_eq!(bench.outcome(reused), Some(&Outcome::KeyReused));
    bench.settle_for(5_000);
    assert!(!bench.core.is_owner());
}

/// It once said "nothing was written", which is true of this attempt only.
#[test]
fn at_its_deadline_a_repeat_of_what_is_in_flight_is_unknown() {
    let mut bench = Bench::with_room();
    let first = bench.ask_keyed(BOB, key(0), 0, join(BOB));
    let token = bench.lose();
    bench.fail(token);
    let repeat = bench.ask_keyed(BOB, key(0), 0, join(BOB));
    bench.pass(PATIENCE);
    assert_eq!(bench.outcome(first), Some(&Outcome::Unknown));
    assert_eq!(bench.outcome(repeat), Some(&Outcome::Unknown));
}

#[test]
fn the_window_outlives_a_restart_and_a_start_from_a_snapshot() {
    let mut bench = Bench::with_room();
    let first = bench.ask_keyed(BOB, key(0), 0, join(BOB));
    bench.settle();
    let snapshot = bench.core.snapshot();
    for snapshot in [None, Some(snapshot.clone())] {
        bench.restart(snapshot);
        bench.settle();
        let repeat = bench.ask_keyed(BOB, key(0), 0, join(BOB));
        bench.settle();
        assert_eq!(bench.outcome(first), bench.outcome(repeat));
    }
    assert_eq!(bench.core.snapshot(), snapshot);
}
