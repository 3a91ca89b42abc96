//! Sending messages and replying to them.

mod support;
use roomlog_domain::state::RECENT_MESSAGES;
use support::*;

fn message(n: usize) -> MessageId {
    MessageId::from_u128(0x10_0000 + n as u128)
}

/// A root in which Anna wrote the messages `message(0)` and on.
fn root_with_messages(count: usize) -> Given {
    let messages = (0..count).map(|n| sent(ROOT, 3 + n as u64, ANNA, message(n)));
    given([root_created(ROOT, ANNA)]).and(messages)
}

#[test]
fn members_send() {
    given([root_created(ROOT, ANNA), joined(ROOT, 3, BEN)])
        .when(send(ROOT, BEN, HELLO))
        .then([sent(ROOT, 4, BEN, HELLO)])
        .when(send(ROOT, ANNA, REPLY))
        .then([sent(ROOT, 5, ANNA, REPLY)]);
}

#[test]
fn each_room_counts_its_own_timeline() {
    given([root_created(ROOT, ANNA), sub_created(SUB, ROOT, ANNA), sent(ROOT, 3, ANNA, HELLO)])
        .when(send(SUB, ANNA, REPLY))
        .then([sent(SUB, 3, ANNA, REPLY)])
        .when(send(ROOT, ANNA, THIRD))
        .then([sent(ROOT, 4, ANNA, THIRD)]);
}

#[test]
fn nobody_sends_to_an_unknown_room() {
    given([root_created(ROOT, ANNA)]).when(send(UNKNOWN, ANNA, HELLO)).then_rejected(Rejection::RoomNotFound);
}

#[test]
fn who_is_no_member_hears_so_of_a_public_room_only() {
    given([root_created(ROOT, ANNA)]).when(send(ROOT, BEN, HELLO)).then_rejected(Rejection::NotAMember);
    for access in [Access::Restricted, Access::Vip] {
        given([with_access(access, root_created(ROOT, ANNA))])
            .when(send(ROOT, BEN, HELLO))
            .then_rejected(Rejection::RoomNotFound);
    }
}

#[test]
fn membership_of_the_parent_is_not_enough_to_send() {
    given([root_created(ROOT, ANNA), sub_created(SUB, ROOT, ANNA), joined(ROOT, 3, BEN)])
        .when(send(SUB, BEN, HELLO))
        .then_rejected(Rejection::NotAMember);
}

#[test]
fn who_left_does_not_send() {
    given([root_created(ROOT, ANNA), joined(ROOT, 3, BEN), left(ROOT, 4, BEN)])
        .when(send(ROOT, BEN, HELLO))
        .then_rejected(Rejection::NotAMember);
}

#[test]
fn a_reply_names_its_message() {
    given([root_created(ROOT, ANNA), sent(ROOT, 3, ANNA, HELLO)])
        .when(reply(ROOT, ANNA, REPLY, HELLO))
        .then([replying_to(HELLO, sent(ROOT, 4, ANNA, REPLY))])
        .when(reply(ROOT, ANNA, THIRD, REPLY))
        .then([replying_to(REPLY, sent(ROOT, 5, ANNA, THIRD))]);
}

#[test]
fn a_reply_to_a_message_whose_author_left_is_fine() {
    given([root_created(ROOT, ANNA), joined(ROOT, 3, BEN), sent(ROOT, 4, BEN, HELLO), left(ROOT, 5, BEN)])
        .when(reply(ROOT, ANNA, REPLY, HELLO))
        .then([replying_to(HELLO, sent(ROOT, 6, ANNA, REPLY))]);
}

#[test]
fn a_reply_to_nothing_is_refused() {
    given([root_created(ROOT, ANNA)])
        .when(reply(ROOT, ANNA, REPLY, HELLO))
        .then_rejected(Rejection::ReplyNotFound);
}

#[test]
fn no_message_replies_to_itself() {
    given([root_created(ROOT, ANNA)])
        .when(reply(ROOT, ANNA, REPLY, REPLY))
        .then_rejected(Rejection::ReplyNotFound);
}

#[test]
fn a_reply_stays_in_its_room() {
    given([root_created(ROOT, ANNA), sub_created(SUB, ROOT, ANNA), sent(ROOT, 3, ANNA, HELLO)])
        .when(reply(SUB, ANNA, REPLY, HELLO))
        .then_rejected(Rejection::ReplyNotFound);
}

#[test]
fn membership_is_looked_at_before_the_message_replied_to() {
    given([root_created(ROOT, ANNA)])
        .when(reply(ROOT, BEN, REPLY, HELLO))
        .then_rejected(Rejection::NotAMember);
}

#[test]
fn a_reply_to_a_message_that_only_a_store_knows_is_fine() {
    given([root_created(ROOT, ANNA)])
        .knowing([HELLO])
        .when(reply(ROOT, ANNA, REPLY, HELLO))
        .then([replying_to(HELLO, sent(ROOT, 3, ANNA, REPLY))]);
}

#[test]
fn the_last_messages_need_no_store() {
    let next = 3 + RECENT_MESSAGES as u64;
    root_with_messages(RECENT_MESSAGES)
        .when(reply(ROOT, ANNA, REPLY, message(0)))
        .then([replying_to(message(0), sent(ROOT, next, ANNA, REPLY))])
        .when(reply(ROOT, ANNA, THIRD, message(0)))
        .then_rejected(Rejection::ReplyNotFound)
        .when(reply(ROOT, ANNA, THIRD, message(1)))
        .then([replying_to(message(1), sent(ROOT, next + 1, ANNA, THIRD))]);
}

#[test]
fn a_message_that_comes_twice_is_remembered_as_long_as_the_others() {
    let mut given = given([root_created(ROOT, ANNA), sent(ROOT, 3, ANNA, HELLO), sent(ROOT, 4, ANNA, HELLO)]);
    given = given.and((0..RECENT_MESSAGES - 1).map(|n| sent(ROOT, 5 + n as u64, ANNA, message(n))));
    assert!(given.state.recent.contains(HELLO, ROOT));
    given = given.and([sent(ROOT, 4 + RECENT_MESSAGES as u64, ANNA, REPLY)]);
    assert!(!given.state.recent.contains(HELLO, ROOT));
    assert!(given.state.recent.contains(message(0), ROOT));
}
