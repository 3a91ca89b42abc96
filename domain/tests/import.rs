//! Taking in a conversation: its messages and replies, in order, each once.

mod support;
use roomlog_domain::state::RECENT_MESSAGES;
use support::*;

#[test]
fn a_message_becomes_an_event_with_its_original_time() {
    given([root_created(ROOT, ANNA)])
        .when(import(ROOT, [wrote(1, ANNA, HELLO)]))
        .then([taken_in(1, sent(ROOT, 3, ANNA, HELLO))]);
}

#[test]
fn records_keep_their_order() {
    given([root_created(ROOT, ANNA)])
        .when(import(ROOT, [wrote(4, ANNA, THIRD), wrote(7, ANNA, HELLO), wrote(8, ANNA, REPLY)]))
        .then([
            taken_in(4, sent(ROOT, 3, ANNA, THIRD)),
            taken_in(7, sent(ROOT, 4, ANNA, HELLO)),
            taken_in(8, sent(ROOT, 5, ANNA, REPLY)),
        ]);
}

#[test]
fn nothing_is_imported_into_an_unknown_room() {
    given([root_created(ROOT, ANNA)])
        .when(import(UNKNOWN, [wrote(1, ANNA, HELLO)]))
        .then_rejected(Rejection::RoomNotFound);
}

#[test]
fn positions_have_to_rise() {
    let out_of_order = [wrote(2, ANNA, HELLO), wrote(1, ANNA, REPLY)];
    let doubled = [wrote(2, ANNA, HELLO), wrote(2, ANNA, REPLY)];
    for items in [out_of_order, doubled] {
        given([root_created(ROOT, ANNA)])
            .when(import(ROOT, items))
            .then_rejected(Rejection::ImportOutOfOrder);
    }
}

#[test]
fn order_is_looked_at_before_what_is_there_already() {
    given([root_created(ROOT, ANNA)])
        .when(import(ROOT, [wrote(1, ANNA, HELLO), wrote(2, ANNA, REPLY)]))
        .then_accepted()
        .when(import(ROOT, [wrote(2, ANNA, REPLY), wrote(1, ANNA, HELLO)]))
        .then_rejected(Rejection::ImportOutOfOrder);
}

#[test]
fn an_empty_batch_changes_nothing() {
    given([root_created(ROOT, ANNA)]).when(import(ROOT, [])).then_unchanged(answer(ROOT, 2));
}

#[test]
fn a_second_import_changes_nothing() {
    let batch = import(ROOT, [came(1, BEN), wrote(2, BEN, HELLO), went(3, BEN), renamed(4, BEN, CARA)]);
    given([root_created(ROOT, ANNA)])
        .when(batch.clone())
        .then_accepted()
        .when(batch)
        .then_unchanged(answer(ROOT, 6));
}

#[test]
fn what_the_room_has_already_is_skipped() {
    given([root_created(ROOT, ANNA)])
        .when(import(ROOT, [wrote(1, ANNA, HELLO), wrote(2, ANNA, REPLY)]))
        .then_accepted()
        .when(import(ROOT, [wrote(1, ANNA, HELLO), wrote(2, ANNA, REPLY), wrote(3, ANNA, THIRD)]))
        .then([taken_in(3, sent(ROOT, 5, ANNA, THIRD))]);
}

#[test]
fn what_is_skipped_makes_nobody_a_member_again() {
    let batch = import(ROOT, [came(1, BEN), wrote(2, BEN, HELLO)]);
    given([root_created(ROOT, ANNA)])
        .when(batch.clone())
        .then_accepted()
        .when(leave(ROOT, BEN))
        .then([left(ROOT, 5, BEN)])
        .when(batch)
        .then_unchanged(answer(ROOT, 5));
}

#[test]
fn position_zero_is_a_position() {
    given([root_created(ROOT, ANNA)])
        .when(import(ROOT, [wrote(0, ANNA, HELLO)]))
        .then([taken_in(0, sent(ROOT, 3, ANNA, HELLO))])
        .when(import(ROOT, [wrote(0, ANNA, HELLO)]))
        .then_unchanged(answer(ROOT, 3));
}

#[test]
fn every_room_remembers_for_itself_how_far_it_got() {
    given([root_created(ROOT, ANNA), sub_created(SUB, ROOT, ANNA)])
        .when(import(ROOT, [wrote(5, ANNA, HELLO)]))
        .then_accepted()
        .when(import(SUB, [wrote(5, ANNA, REPLY)]))
        .then([taken_in(5, sent(SUB, 3, ANNA, REPLY))]);
}

#[test]
fn every_source_counts_for_itself() {
    let given = given([root_created(ROOT, ANNA)])
        .when(import(ROOT, [wrote(5, ANNA, HELLO)]))
        .then_accepted()
        .when(import_from("a third place", ROOT, [wrote(1, ANNA, REPLY)]))
        .then_accepted()
        .when(import(ROOT, [wrote(5, ANNA, HELLO)]))
        .then_unchanged(answer(ROOT, 4));
    let imports = given.state.rooms[&ROOT].imports.iter();
    let imports: Vec<_> = imports.map(|(source, position)| (source.as_str(), *position)).collect();
    assert_eq!(imports, [("a third place", 1), (SOURCE, 5)]);
}

#[test]
fn a_conversation_goes_on_between_imports() {
    given([root_created(ROOT, ANNA)])
        .when(import(ROOT, [wrote(1, ANNA, HELLO)]))
        .then_accepted()
        .when(reply(ROOT, ANNA, REPLY, HELLO))
        .then([replying_to(HELLO, sent(ROOT, 4, ANNA, REPLY))])
        .when(import(ROOT, [replied(2, ANNA, THIRD, REPLY)]))
        .then([taken_in(2, replying_to(REPLY, sent(ROOT, 5, ANNA, THIRD)))]);
}

#[test]
fn a_reply_within_a_batch_is_kept() {
    given([root_created(ROOT, ANNA)])
        .when(import(ROOT, [wrote(1, ANNA, HELLO), replied(2, ANNA, REPLY, HELLO)]))
        .then([
            taken_in(1, sent(ROOT, 3, ANNA, HELLO)),
            taken_in(2, replying_to(HELLO, sent(ROOT, 4, ANNA, REPLY))),
        ]);
}

#[test]
fn a_reply_to_an_earlier_batch_is_kept() {
    given([root_created(ROOT, ANNA)])
        .when(import(ROOT, [wrote(1, ANNA, HELLO)]))
        .then_accepted()
        .when(import(ROOT, [wrote(1, ANNA, HELLO), replied(2, ANNA, REPLY, HELLO)]))
        .then([taken_in(2, replying_to(HELLO, sent(ROOT, 4, ANNA, REPLY)))]);
}

#[test]
fn a_reply_to_what_only_a_store_knows_is_kept() {
    given([root_created(ROOT, ANNA)])
        .knowing([HELLO])
        .when(import(ROOT, [replied(1, ANNA, REPLY, HELLO)]))
        .then([taken_in(1, replying_to(HELLO, sent(ROOT, 3, ANNA, REPLY)))]);
}

#[test]
fn a_reply_to_the_first_message_of_a_very_long_batch_is_kept() {
    let message = |n: u64| MessageId::from_u128(0x10_0000 + u128::from(n));
    let last = 2 * RECENT_MESSAGES as u64;
    let items = (0..last).map(|n| wrote(n, ANNA, message(n))).chain([replied(last, ANNA, REPLY, message(0))]);
    given([root_created(ROOT, ANNA)])
        .when(import(ROOT, items))
        .then_answered(Answer { imported: last as u32 + 1, ..answer(ROOT, 3 + last) });
}

#[test]
fn a_reply_to_an_unknown_message_refuses_the_whole_batch() {
    given([root_created(ROOT, ANNA)])
        .when(import(ROOT, [wrote(1, ANNA, HELLO), replied(2, ANNA, REPLY, THIRD)]))
        .then_rejected(Rejection::ReplyNotFound)
        .when(import(ROOT, [wrote(1, ANNA, HELLO)]))
        .then([taken_in(1, sent(ROOT, 3, ANNA, HELLO))]);
}

#[test]
fn a_reply_to_a_later_message_or_to_itself_is_unknown() {
    let later = [replied(1, ANNA, REPLY, HELLO), wrote(2, ANNA, HELLO)];
    let itself = [replied(1, ANNA, REPLY, REPLY), wrote(2, ANNA, HELLO)];
    for items in [later, itself] {
        given([root_created(ROOT, ANNA)]).when(import(ROOT, items)).then_rejected(Rejection::ReplyNotFound);
    }
}

#[test]
fn a_reply_to_another_room_is_unknown() {
    given([root_created(ROOT, ANNA), root_created(OTHER_ROOT, ANNA), sent(OTHER_ROOT, 3, ANNA, HELLO)])
        .when(import(ROOT, [replied(1, ANNA, REPLY, HELLO)]))
        .then_rejected(Rejection::ReplyNotFound);
}

#[test]
fn a_reply_that_is_there_already_is_not_looked_at_again() {
    given([root_created(ROOT, ANNA)])
        .knowing([HELLO])
        .when(import(ROOT, [replied(1, ANNA, REPLY, HELLO)]))
        .then_accepted()
        .knowing([])
        .when(import(ROOT, [replied(1, ANNA, REPLY, HELLO), wrote(2, ANNA, THIRD)]))
        .then([taken_in(2, sent(ROOT, 4, ANNA, THIRD))]);
}
