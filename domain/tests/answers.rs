//! What a client gets for an accepted command.

mod support;
use support::*;

#[test]
fn registering_answers_with_the_account() {
    given_nothing().when(register(ANNA)).then_answered(account_answer(ANNA));
}

#[test]
fn claiming_answers_with_the_account() {
    given([account_imported(ANNA)]).when(claim(ANNA)).then_answered(account_answer(ANNA));
}

#[test]
fn ending_a_session_answers_with_the_account() {
    given([registered(ANNA)]).when(end_session(ANNA, PHONE)).then_answered(account_answer(ANNA));
}

#[test]
fn creating_answers_with_the_room_and_its_owners_joining() {
    given_nothing()
        .when(create_root(ROOT, ANNA))
        .then_answered(answer(ROOT, 2))
        .when(create_sub(SUB, ROOT, ANNA))
        .then_answered(answer(SUB, 2));
}

#[test]
fn creating_for_an_import_answers_with_the_room_and_not_with_those_above() {
    given([root_created(ROOT, ANNA), joined(ROOT, 3, CARA), sub_created(SUB, ROOT, ANNA)])
        .when(import_sub(LEAF, SUB, BEN))
        .then_answered(answer(LEAF, 2));
}

#[test]
fn joining_answers_with_its_place_in_the_timeline() {
    given([root_created(ROOT, ANNA)]).when(join(ROOT, BEN)).then_answered(answer(ROOT, 3));
}

#[test]
fn leaving_answers_with_the_room_left_and_not_with_those_below() {
    given([
        root_created(ROOT, ANNA),
        sub_created(SUB, ROOT, ANNA),
        joined(ROOT, 3, BEN),
        joined(SUB, 3, BEN),
        sent(SUB, 4, BEN, HELLO),
        sent(SUB, 5, BEN, REPLY),
    ])
    .when(leave(ROOT, BEN))
    .then_answered(answer(ROOT, 4));
}

#[test]
fn sending_answers_with_the_message() {
    given([root_created(ROOT, ANNA)])
        .when(send(ROOT, ANNA, HELLO))
        .then_answered(Answer { message_id: Some(HELLO), ..answer(ROOT, 3) })
        .when(reply(ROOT, ANNA, REPLY, HELLO))
        .then_answered(Answer { message_id: Some(REPLY), ..answer(ROOT, 4) });
}

#[test]
fn importing_answers_with_the_last_place_and_how_many_records_came_in() {
    given([root_created(ROOT, ANNA)])
        .when(import(ROOT, [wrote(1, BEN, HELLO), renamed(2, BEN, CARA)]))
        .then_answered(Answer { imported: 2, ..answer(ROOT, 5) });
}

#[test]
fn importing_counts_records_and_not_the_memberships_they_need() {
    given([root_created(ROOT, ANNA), sub_created(SUB, ROOT, ANNA), sub_created(LEAF, SUB, ANNA)])
        .when(import(LEAF, [wrote(1, BEN, HELLO)]))
        .then_answered(Answer { imported: 1, ..answer(LEAF, 4) });
}

#[test]
fn importing_counts_only_what_was_not_there() {
    given([root_created(ROOT, ANNA)])
        .when(import(ROOT, [wrote(1, ANNA, HELLO)]))
        .then_answered(Answer { imported: 1, ..answer(ROOT, 3) })
        .when(import(ROOT, [wrote(1, ANNA, HELLO), wrote(2, ANNA, REPLY), wrote(3, ANNA, THIRD)]))
        .then_answered(Answer { imported: 2, ..answer(ROOT, 5) });
}

#[test]
fn importing_a_cascade_answers_with_its_own_room() {
    given([root_created(ROOT, ANNA), sub_created(SUB, ROOT, ANNA), sub_created(LEAF, SUB, ANNA)])
        .when(import(SUB, [went(1, ANNA)]))
        .then_answered(Answer { imported: 1, ..answer(SUB, 3) });
}

#[test]
fn no_events_make_an_empty_answer() {
    assert_eq!(Answer::from_events(&[]), Answer::default());
}
