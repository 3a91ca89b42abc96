//! Taking in a conversation: who was there, who came, who went, who got another name.

mod support;
use support::*;

/// Anna owns all three: a root, a room below it, and one below that.
fn three_levels() -> Given {
    given([root_created(ROOT, ANNA), sub_created(SUB, ROOT, ANNA), sub_created(LEAF, SUB, ANNA)])
}

#[test]
fn an_author_becomes_a_member_before_the_message() {
    given([root_created(ROOT, ANNA)]).when(import(ROOT, [wrote(1, BEN, HELLO), wrote(2, BEN, REPLY)])).then(
        [
            joined(ROOT, 3, BEN),
            taken_in(1, sent(ROOT, 4, BEN, HELLO)),
            taken_in(2, sent(ROOT, 5, BEN, REPLY)),
        ],
    );
}

#[test]
fn an_author_becomes_a_member_of_every_ancestor_from_the_root_down() {
    three_levels().when(import(LEAF, [wrote(1, BEN, HELLO)])).then([
        joined(ROOT, 3, BEN),
        joined(SUB, 3, BEN),
        joined(LEAF, 3, BEN),
        taken_in(1, sent(LEAF, 4, BEN, HELLO)),
    ]);
}

#[test]
fn only_missing_memberships_are_added() {
    three_levels()
        .and([joined(ROOT, 3, BEN)])
        .when(import(LEAF, [wrote(1, BEN, HELLO), wrote(2, ANNA, REPLY)]))
        .then([
            joined(SUB, 3, BEN),
            joined(LEAF, 3, BEN),
            taken_in(1, sent(LEAF, 4, BEN, HELLO)),
            taken_in(2, sent(LEAF, 5, ANNA, REPLY)),
        ]);
}

#[test]
fn an_import_enters_closed_rooms() {
    for access in [Access::Restricted, Access::Vip] {
        given([with_access(access, root_created(ROOT, ANNA))])
            .when(import(ROOT, [came(1, BEN), wrote(2, CARA, HELLO)]))
            .then([
                taken_in(1, joined(ROOT, 3, BEN)),
                joined(ROOT, 4, CARA),
                taken_in(2, sent(ROOT, 5, CARA, HELLO)),
            ]);
    }
}

#[test]
fn who_comes_becomes_a_member_here_and_above() {
    three_levels().when(import(LEAF, [came(1, BEN)])).then([
        joined(ROOT, 3, BEN),
        joined(SUB, 3, BEN),
        taken_in(1, joined(LEAF, 3, BEN)),
    ]);
}

#[test]
fn a_member_that_comes_is_noted() {
    given([root_created(ROOT, ANNA)]).when(import(ROOT, [came(1, ANNA)])).then([noted(
        ROOT,
        3,
        ANNA,
        Noted::Join,
        1,
    )]);
}

#[test]
fn coming_does_not_make_an_owner_a_plain_member() {
    given([root_created(ROOT, ANNA)])
        .when(import(ROOT, [came(1, ANNA), wrote(2, ANNA, HELLO)]))
        .then_accepted()
        .when(create_sub(SUB, ROOT, ANNA))
        .then([sub_created(SUB, ROOT, ANNA)]);
}

#[test]
fn a_member_that_goes_leaves() {
    given([root_created(ROOT, ANNA), joined(ROOT, 3, BEN)])
        .when(import(ROOT, [went(1, BEN)]))
        .then([taken_in(1, left(ROOT, 4, BEN))])
        .when(send(ROOT, BEN, HELLO))
        .then_rejected(Rejection::NotAMember);
}

#[test]
fn going_ends_the_memberships_below_first() {
    three_levels()
        .and([joined(ROOT, 3, BEN), joined(SUB, 3, BEN), joined(LEAF, 3, BEN)])
        .when(import(ROOT, [went(1, BEN)]))
        .then([left(SUB, 4, BEN), left(LEAF, 4, BEN), taken_in(1, left(ROOT, 4, BEN))]);
}

#[test]
fn going_from_a_sub_room_keeps_the_memberships_above() {
    three_levels()
        .when(import(SUB, [went(1, ANNA)]))
        .then([left(LEAF, 3, ANNA), taken_in(1, left(SUB, 3, ANNA))])
        .when(send(ROOT, ANNA, HELLO))
        .then([sent(ROOT, 3, ANNA, HELLO)]);
}

#[test]
fn who_is_no_member_and_goes_is_noted_and_joins_nothing() {
    three_levels()
        .when(import(LEAF, [went(1, BEN)]))
        .then([noted(LEAF, 3, BEN, Noted::Leave, 1)])
        .when(join(SUB, BEN))
        .then_rejected(Rejection::ParentMembershipRequired);
}

#[test]
fn the_last_owner_of_a_root_that_goes_is_noted_and_stays() {
    given([root_created(ROOT, ANNA), sub_created(SUB, ROOT, ANNA), joined(ROOT, 3, BEN)])
        .when(import(ROOT, [went(1, ANNA), wrote(2, ANNA, HELLO)]))
        .then([noted(ROOT, 4, ANNA, Noted::Leave, 1), taken_in(2, sent(ROOT, 5, ANNA, HELLO))])
        .when(create_sub(SIDE, ROOT, ANNA))
        .then([sub_created(SIDE, ROOT, ANNA)])
        .when(send(SUB, ANNA, REPLY))
        .then([sent(SUB, 3, ANNA, REPLY)]);
}

#[test]
fn of_two_owners_the_first_that_goes_leaves_and_the_second_stays() {
    given([root_created(ROOT, ANNA), owner_joined(ROOT, 3, BEN)])
        .when(import(ROOT, [went(1, ANNA), went(2, BEN)]))
        .then([taken_in(1, left(ROOT, 4, ANNA)), noted(ROOT, 5, BEN, Noted::Leave, 2)]);
}

#[test]
fn who_went_and_writes_is_a_member_again() {
    given([root_created(ROOT, ANNA)])
        .when(import(ROOT, [came(1, BEN), went(2, BEN), wrote(3, BEN, HELLO)]))
        .then([
            taken_in(1, joined(ROOT, 3, BEN)),
            taken_in(2, left(ROOT, 4, BEN)),
            joined(ROOT, 5, BEN),
            taken_in(3, sent(ROOT, 6, BEN, HELLO)),
        ]);
}

#[test]
fn a_member_that_gets_another_name_is_noted() {
    given([root_created(ROOT, ANNA), joined(ROOT, 3, BEN)])
        .when(import(ROOT, [renamed(1, BEN, CARA)]))
        .then([noted_rename(ROOT, 4, BEN, CARA, 1)]);
}

#[test]
fn who_is_no_member_and_gets_another_name_is_noted_and_joins_nothing() {
    let given = three_levels()
        .when(import(LEAF, [renamed(1, BEN, CARA)]))
        .then([noted_rename(LEAF, 3, BEN, CARA, 1)]);
    for (_, room) in given.state.rooms.iter() {
        assert!(!room.members.contains_key(&BEN) && !room.members.contains_key(&CARA));
    }
}
