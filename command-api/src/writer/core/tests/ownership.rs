//! Who claims when, and who decides.

use roomlog_eventlog::Kind;

use super::bench::*;
use crate::writer::core::{
    CLAIM_TIMEOUT_MS, LEFT_ALONE_MS, MAX_CLOCK_DIFFERENCE_MS, Options, Permit, RETRY_MS, STALLED_MS,
    UNABLE_MS,
};
use crate::writer::request::Outcome;

#[test]
fn claims_only_after_reading_to_the_end() {
    let mut bench = Bench::new(Options::default());
    bench.append(b"foreign".to_vec().into());
    bench.pass(0);
    bench.answer_end();
    assert!(bench.wire.is_empty());
    bench.read();
    assert_eq!(bench.kinds_sent(), [Kind::Claim]);
    bench.land_all();
    assert!(!bench.core.is_owner(), "not before the claim has been read back");
    bench.read();
    assert!(bench.core.is_owner());
}

#[test]
fn another_s_new_claim_is_left_alone() {
    let mut bench = Bench::owner();
    bench.claim_by_another();
    bench.read();
    let created = bench.ask(ALICE, create(ROOM));
    bench.settle_for(LEFT_ALONE_MS - 50);
    assert!(!bench.core.is_owner());
    bench.settle_for(100);
    assert!(bench.core.is_owner() && bench.accepted(created));
}

/// It once waited for as long as after any other claim, and the room with it.
#[test]
fn a_named_successor_claims_at_once() {
    let mut bench = Bench::owner();
    bench.claim_by_another();
    bench.read();
    let now = bench.now;
    bench.core.set_permit(now, Permit::Succeed);
    bench.settle_for(50);
    assert!(bench.core.is_owner());
}

/// With a tick for each partition every few milliseconds, idle processes once took a good part of a core.
#[test]
fn whoever_waits_for_nothing_needs_no_ticks() {
    let mut bench = Bench::with_room();
    bench.settle();
    assert!(bench.core.is_owner() && bench.core.is_idle());
    let joined = bench.ask(BOB, join(BOB));
    assert!(!bench.core.is_idle(), "a record is in flight");
    bench.settle();
    assert!(bench.accepted(joined) && bench.core.is_idle());
    bench.claim_by_another();
    bench.read();
    assert!(bench.core.is_idle(), "another's claim stays");
    bench.ask(ALICE, leave(ALICE));
    assert!(!bench.core.is_idle(), "a request waits for the claim to be due");
}

#[test]
fn with_nothing_to_decide_another_s_claim_stays() {
    let mut bench = Bench::owner();
    bench.claim_by_another();
    bench.settle_for(2 * LEFT_ALONE_MS);
    assert!(!bench.core.is_owner());
}

/// Requests past their deadline once stayed in the queue: for them it claimed, again and again.
#[test]
fn nobody_is_claimed_for_who_waits_no_more() {
    let mut bench = Bench::owner();
    bench.claim_by_another();
    bench.read();
    bench.pass(LEFT_ALONE_MS - PATIENCE / 2);
    let created = bench.ask(ALICE, create(ROOM));
    bench.now += PATIENCE;
    bench.claim_by_another();
    bench.read();
    assert_eq!(bench.core.waiting(), 1);
    bench.pass(0);
    assert_eq!(bench.outcome(created), Some(&Outcome::Unavailable));
    let records = bench.log.len();
    bench.settle_for(2 * LEFT_ALONE_MS);
    assert_eq!(bench.log.len(), records, "no claim");
}

/// Every claim of the past once held up a start by three seconds.
#[test]
fn a_start_does_not_wait_for_claims_of_the_past() {
    let mut bench = Bench::with_room();
    bench.now += LEFT_ALONE_MS;
    bench.restart(None);
    bench.settle();
    let joined = bench.ask(BOB, join(BOB));
    bench.settle();
    assert!(bench.accepted(joined));
}

#[test]
fn a_start_leaves_a_new_claim_alone() {
    let mut bench = Bench::with_room();
    bench.claim_by_another();
    bench.restart(None);
    let joined = bench.ask(BOB, join(BOB));
    bench.settle_for(LEFT_ALONE_MS - 50);
    assert_eq!(bench.outcome(joined), None);
    bench.settle_for(100);
    assert!(bench.accepted(joined));
}

#[test]
fn a_claim_that_does_not_come_back_is_tried_again() {
    let mut bench = Bench::new(Options::default());
    bench.pass(0);
    bench.answer_end();
    bench.lose();
    bench.pass(CLAIM_TIMEOUT_MS - 1);
    assert!(bench.wire.is_empty());
    bench.pass(1);
    bench.settle();
    assert!(bench.core.is_owner());
}

#[test]
fn a_claim_that_failed_is_tried_again_after_a_rest() {
    let mut bench = Bench::new(Options::default());
    bench.pass(0);
    bench.answer_end();
    let token = bench.lose();
    bench.fail(token);
    bench.pass(RETRY_MS - 1);
    assert!(bench.queries.is_empty() && bench.wire.is_empty());
    bench.pass(1);
    bench.settle();
    assert!(bench.core.is_owner());
}

/// It once took its own claim for another's, and left it alone.
#[test]
fn an_own_claim_that_is_late_is_as_good() {
    let mut bench = Bench::new(Options::default());
    let created = bench.ask(ALICE, create(ROOM));
    bench.answer_end();
    bench.pass(CLAIM_TIMEOUT_MS);
    bench.answer_end();
    assert_eq!(bench.kinds_sent(), [Kind::Claim, Kind::Claim]);
    bench.land();
    bench.read();
    assert!(bench.core.is_owner());
    bench.settle();
    assert!(bench.accepted(created), "the second claim is too late, and harmless");
    assert_eq!(bench.reader().chain().epoch(), 1);
}

#[test]
fn with_a_clock_that_differs_it_does_not_decide() {
    for skew in [-MAX_CLOCK_DIFFERENCE_MS - 1, MAX_CLOCK_DIFFERENCE_MS + 1] {
        let mut bench = Bench::new(Options::default());
        bench.skew = skew;
        let created = bench.ask(ALICE, create(ROOM));
        bench.settle_for(PATIENCE);
        assert_eq!(bench.outcome(created), Some(&Outcome::Unavailable));
        bench.skew = 0;
        bench.settle_for(UNABLE_MS);
        let created = bench.ask(ALICE, create(ROOM));
        bench.settle();
        assert!(bench.accepted(created), "set right, and tried again");
    }
}

/// A claim that took long to come back was once mistaken for a clock that differs.
#[test]
fn a_claim_too_long_on_its_way_says_nothing_of_the_clock() {
    let mut bench = Bench::new(Options::default());
    bench.pass(0);
    bench.answer_end();
    bench.now += MAX_CLOCK_DIFFERENCE_MS / 2;
    bench.land_all();
    bench.now += MAX_CLOCK_DIFFERENCE_MS + 1;
    bench.read();
    assert!(!bench.core.is_owner());
    bench.settle_for(200);
    assert!(bench.core.is_owner(), "the next claim is quick");
}

/// With its clock set back it once waited for as long as the clock had been wrong.
#[test]
fn a_clock_set_back_stretches_no_wait() {
    let mut bench = Bench::owner();
    bench.skew = 3_600_000;
    bench.claim_by_another();
    bench.read();
    let created = bench.ask(ALICE, create(ROOM));
    bench.skew = 0;
    bench.settle_for(LEFT_ALONE_MS + 100);
    assert!(bench.accepted(created));
    bench.claim_by_another();
    bench.read();
    bench.skew = -3_600_000;
    let joined = bench.ask(BOB, join(BOB));
    bench.pass(PATIENCE);
    assert_eq!(bench.outcome(joined), Some(&Outcome::Unavailable));
}

/// Offsets without a record at the log's end once kept it from ever claiming.
#[test]
fn a_gap_at_the_end_of_the_log_holds_up_neither_a_claim_nor_a_rejection() {
    let mut bench = Bench::new(Options::default());
    bench.next_offset += 2;
    bench.settle_for(STALLED_MS + 100);
    assert!(bench.core.is_owner());
    bench.next_offset += 2;
    let joined = bench.ask(BOB, join(BOB));
    bench.settle_for(STALLED_MS + 100);
    assert!(matches!(bench.outcome(joined), Some(Outcome::Rejected(_))));
}
