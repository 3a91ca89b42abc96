//! Joining and leaving: who may enter what, and what leaving ends.

mod support;
use support::*;

const OTHERWISE_CLOSED: [(Access, Rejection); 2] =
    [(Access::Restricted, Rejection::NotListed), (Access::Vip, Rejection::InvitationRequired)];

#[test]
fn any_account_joins_a_public_root() {
    given([root_created(ROOT, ANNA)]).when(join(ROOT, BEN)).then([joined(ROOT, 3, BEN)]);
}

#[test]
fn nobody_joins_an_unknown_room() {
    given([root_created(ROOT, ANNA)]).when(join(UNKNOWN, ANNA)).then_rejected(Rejection::RoomNotFound);
}

#[test]
fn nobody_just_joins_a_closed_root() {
    for (access, rejection) in OTHERWISE_CLOSED {
        given([with_access(access, root_created(ROOT, ANNA))]).when(join(ROOT, BEN)).then_rejected(rejection);
    }
}

#[test]
fn a_member_of_the_parent_joins_a_public_sub_room() {
    given([root_created(ROOT, ANNA), sub_created(SUB, ROOT, ANNA), joined(ROOT, 3, BEN)])
        .when(join(SUB, BEN))
        .then([joined(SUB, 3, BEN)]);
}

#[test]
fn a_member_of_the_parent_does_not_just_join_a_closed_sub_room() {
    for (access, rejection) in OTHERWISE_CLOSED {
        given([
            root_created(ROOT, ANNA),
            with_access(access, sub_created(SUB, ROOT, ANNA)),
            joined(ROOT, 3, BEN),
        ])
        .when(join(SUB, BEN))
        .then_rejected(rejection);
    }
}

#[test]
fn the_parent_comes_first_whatever_the_access() {
    for access in [Access::Public, Access::Restricted, Access::Vip] {
        given([root_created(ROOT, ANNA), with_access(access, sub_created(SUB, ROOT, ANNA))])
            .when(join(SUB, BEN))
            .then_rejected(Rejection::ParentMembershipRequired);
    }
}

#[test]
fn membership_of_the_root_is_not_membership_of_the_parent() {
    given([
        root_created(ROOT, ANNA),
        sub_created(SUB, ROOT, ANNA),
        sub_created(LEAF, SUB, ANNA),
        joined(ROOT, 3, BEN),
    ])
    .when(join(LEAF, BEN))
    .then_rejected(Rejection::ParentMembershipRequired);
}

#[test]
fn joining_again_is_a_repeat_with_the_first_answer() {
    given([root_created(ROOT, ANNA), joined(ROOT, 3, BEN), sent(ROOT, 4, BEN, HELLO)])
        .when(join(ROOT, BEN))
        .then_unchanged(answer(ROOT, 3));
}

#[test]
fn a_member_of_a_closed_room_joins_it_again_without_effect() {
    for (access, _) in OTHERWISE_CLOSED {
        given([with_access(access, root_created(ROOT, ANNA))])
            .when(join(ROOT, ANNA))
            .then_unchanged(answer(ROOT, 2));
    }
}

#[test]
fn who_left_may_come_back() {
    given([root_created(ROOT, ANNA), joined(ROOT, 3, BEN), left(ROOT, 4, BEN)])
        .when(join(ROOT, BEN))
        .then([joined(ROOT, 5, BEN)])
        .when(join(ROOT, BEN))
        .then_unchanged(answer(ROOT, 5));
}

#[test]
fn a_member_leaves() {
    given([root_created(ROOT, ANNA), joined(ROOT, 3, BEN)])
        .when(leave(ROOT, BEN))
        .then([left(ROOT, 4, BEN)])
        .when(leave(ROOT, BEN))
        .then_unchanged(answer(ROOT, 4));
}

#[test]
fn nobody_leaves_an_unknown_room() {
    given([root_created(ROOT, ANNA)]).when(leave(UNKNOWN, ANNA)).then_rejected(Rejection::RoomNotFound);
}

#[test]
fn leaving_where_one_is_no_member_changes_nothing() {
    given([root_created(ROOT, ANNA), sub_created(SUB, ROOT, ANNA), joined(ROOT, 3, BEN)])
        .when(leave(SUB, BEN))
        .then_unchanged(answer(SUB, 2));
}

#[test]
fn leaving_ends_the_memberships_below_with_one_event_per_room() {
    given([
        root_created(ROOT, ANNA),
        sub_created(SUB, ROOT, ANNA),
        sub_created(LEAF, SUB, ANNA),
        sub_created(SIDE, ROOT, ANNA),
        joined(ROOT, 3, BEN),
        joined(SUB, 3, BEN),
        joined(LEAF, 3, BEN),
    ])
    .when(leave(ROOT, BEN))
    .then([left(ROOT, 4, BEN), left(SUB, 4, BEN), left(LEAF, 4, BEN)]);
}

#[test]
fn leaving_a_sub_room_keeps_the_memberships_above_and_beside() {
    let given = given([
        root_created(ROOT, ANNA),
        sub_created(SUB, ROOT, ANNA),
        sub_created(LEAF, SUB, ANNA),
        sub_created(SIDE, ROOT, ANNA),
    ])
    .when(leave(SUB, ANNA))
    .then([left(SUB, 3, ANNA), left(LEAF, 3, ANNA)]);
    let is_member = |room_id| given.state.rooms[&room_id].members.contains_key(&ANNA);
    assert_eq!([ROOT, SUB, LEAF, SIDE].map(is_member), [true, false, false, true]);
}

#[test]
fn leaving_does_not_reach_another_root() {
    given([root_created(ROOT, ANNA), root_created(OTHER_ROOT, ANNA), owner_joined(ROOT, 3, BEN)])
        .when(leave(ROOT, ANNA))
        .then([left(ROOT, 4, ANNA)]);
}

#[test]
fn coming_back_restores_no_membership_below() {
    given([
        root_created(ROOT, ANNA),
        sub_created(SUB, ROOT, ANNA),
        joined(ROOT, 3, BEN),
        joined(SUB, 3, BEN),
    ])
    .when(leave(ROOT, BEN))
    .then([left(ROOT, 4, BEN), left(SUB, 4, BEN)])
    .when(join(ROOT, BEN))
    .then([joined(ROOT, 5, BEN)])
    .when(send(SUB, BEN, HELLO))
    .then_rejected(Rejection::NotAMember);
}

#[test]
fn the_last_owner_does_not_leave_a_root() {
    given([root_created(ROOT, ANNA)]).when(leave(ROOT, ANNA)).then_rejected(Rejection::LastOwner);
    given([root_created(ROOT, ANNA), joined(ROOT, 3, BEN), sub_created(SUB, ROOT, ANNA)])
        .when(leave(ROOT, ANNA))
        .then_rejected(Rejection::LastOwner);
}

#[test]
fn an_owner_leaves_while_another_stays() {
    given([root_created(ROOT, ANNA), owner_joined(ROOT, 3, BEN)])
        .when(leave(ROOT, ANNA))
        .then([left(ROOT, 4, ANNA)])
        .when(leave(ROOT, BEN))
        .then_rejected(Rejection::LastOwner);
}

#[test]
fn a_sub_room_can_lose_its_last_owner() {
    given([root_created(ROOT, ANNA), sub_created(SUB, ROOT, ANNA)])
        .when(leave(SUB, ANNA))
        .then([left(SUB, 3, ANNA)]);
}

#[test]
fn who_comes_back_is_a_plain_member() {
    given([root_created(ROOT, ANNA), owner_joined(ROOT, 3, BEN), left(ROOT, 4, ANNA)])
        .when(join(ROOT, ANNA))
        .then([joined(ROOT, 5, ANNA)])
        .when(create_sub(SUB, ROOT, ANNA))
        .then_rejected(Rejection::NotAllowed);
}
