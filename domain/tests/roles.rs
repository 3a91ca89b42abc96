//! Who gives which role to whom, what roles a root makes, and what rooms say of them.

mod support;
use support::*;

use Permission::{MemberKick, MessageSend, OverrideManage, RoleGrant, RoleManage, RoomCreateSub};

/// Anna owns the root, Ben and Cara are members of it.
fn root() -> Given {
    given([root_created(ROOT, ANNA), joined(ROOT, 3, BEN), joined(ROOT, 4, CARA)])
}

/// And Ben is an admin.
fn with_admin() -> Given {
    root().and([role_set(ROOT, 5, BEN, Role::Admin, ANNA)])
}

/// And there is a sub-room of Anna's, with both.
fn with_sub() -> Given {
    with_admin().and([sub_created(SUB, ROOT, ANNA), joined(SUB, 3, BEN), joined(SUB, 4, CARA)])
}

fn may(given: &Given, room: RoomId, account: AccountId, permission: Permission) -> bool {
    given.state.permits(room, account, permission)
}

#[test]
fn an_owner_makes_an_admin_who_makes_a_moderator() {
    root()
        .when(set_role(ROOT, ANNA, BEN, Role::Admin))
        .then([role_set(ROOT, 5, BEN, Role::Admin, ANNA)])
        .when(set_role(ROOT, BEN, CARA, Role::Moderator))
        .then([role_set(ROOT, 6, CARA, Role::Moderator, BEN)])
        .when(set_role(ROOT, BEN, CARA, Role::Member))
        .then([role_set(ROOT, 7, CARA, Role::Member, BEN)]);
}

#[test]
fn a_role_that_is_held_already_changes_nothing_whoever_asks() {
    with_admin()
        .when(set_role(ROOT, ANNA, BEN, Role::Admin))
        .then_unchanged(answer(ROOT, 5))
        .when(set_role(ROOT, CARA, BEN, Role::Admin))
        .then_unchanged(answer(ROOT, 5));
}

#[test]
fn without_the_permission_nobody_gives_roles() {
    let given = with_admin()
        .when(set_role(ROOT, CARA, CARA, Role::Moderator))
        .then_rejected(Rejection::NotAllowed)
        .and([role_set(ROOT, 6, CARA, Role::Moderator, ANNA)]);
    given.when(set_role(ROOT, CARA, BEN, Role::Member)).then_rejected(Rejection::NotAllowed);
}

#[test]
fn strangers_are_told_what_they_may_know() {
    root()
        .when(set_role(ROOT, DORA, BEN, Role::Admin))
        .then_rejected(Rejection::NotAMember)
        .when(set_role(UNKNOWN, ANNA, BEN, Role::Admin))
        .then_rejected(Rejection::RoomNotFound)
        .when(set_role(ROOT, ANNA, DORA, Role::Admin))
        .then_rejected(Rejection::MemberNotFound);
    given([with_access(Access::Vip, root_created(ROOT, ANNA))])
        .when(set_role(ROOT, DORA, ANNA, Role::Admin))
        .then_rejected(Rejection::RoomNotFound);
}

#[test]
fn nobody_acts_on_an_equal_or_higher_one_or_gives_their_own_rank() {
    let two_admins = with_admin().and([role_set(ROOT, 6, CARA, Role::Admin, ANNA)]);
    two_admins
        .when(set_role(ROOT, BEN, CARA, Role::Member))
        .then_rejected(Rejection::RankTooLow)
        .when(set_role(ROOT, BEN, ANNA, Role::Member))
        .then_rejected(Rejection::RankTooLow);
    with_admin().when(set_role(ROOT, BEN, CARA, Role::Admin)).then_rejected(Rejection::RankTooLow);
    with_admin().when(set_role(ROOT, BEN, CARA, Role::Owner)).then_rejected(Rejection::RankTooLow);
    with_admin().when(set_role(ROOT, BEN, BEN, Role::Owner)).then_rejected(Rejection::RankTooLow);
}

#[test]
fn an_owner_makes_another_and_neither_unmakes_the_other() {
    root()
        .when(set_role(ROOT, ANNA, BEN, Role::Owner))
        .then([role_set(ROOT, 5, BEN, Role::Owner, ANNA)])
        .when(set_role(ROOT, ANNA, BEN, Role::Member))
        .then_rejected(Rejection::RankTooLow)
        .when(set_role(ROOT, BEN, ANNA, Role::Guest))
        .then_rejected(Rejection::RankTooLow)
        .when(leave(ROOT, ANNA))
        .then([left(ROOT, 6, ANNA)]);
}

#[test]
fn the_last_owner_of_a_root_stays_one() {
    root()
        .when(set_role(ROOT, ANNA, ANNA, Role::Member))
        .then_rejected(Rejection::LastOwner)
        .when(set_role(ROOT, ANNA, ANNA, Role::Admin))
        .then_rejected(Rejection::LastOwner)
        .when(set_role(ROOT, ANNA, BEN, Role::Owner))
        .then_accepted()
        .when(set_role(ROOT, ANNA, ANNA, Role::Moderator))
        .then([role_set(ROOT, 6, ANNA, Role::Moderator, ANNA)])
        .when(set_role(ROOT, BEN, BEN, Role::Member))
        .then_rejected(Rejection::LastOwner);
}

#[test]
fn anyone_steps_down_to_a_plain_member_and_nobody_up() {
    let moderator = root().and([role_set(ROOT, 5, BEN, Role::Moderator, ANNA)]);
    moderator
        .when(set_role(ROOT, BEN, BEN, Role::Member))
        .then([role_set(ROOT, 6, BEN, Role::Member, BEN)])
        .when(set_role(ROOT, BEN, BEN, Role::Guest))
        .then_rejected(Rejection::NotAllowed);
    let guest = root().and([role_set(ROOT, 5, BEN, Role::Guest, ANNA)]);
    guest.when(set_role(ROOT, BEN, BEN, Role::Member)).then_rejected(Rejection::RankTooLow);
}

#[test]
fn an_owner_hands_a_root_over_and_becomes_an_admin() {
    with_admin()
        .when(transfer(ROOT, BEN, CARA))
        .then_rejected(Rejection::NotAllowed)
        .when(transfer(ROOT, ANNA, DORA))
        .then_rejected(Rejection::MemberNotFound)
        .when(transfer(ROOT, ANNA, ANNA))
        .then_unchanged(answer(ROOT, 5))
        .when(transfer(ROOT, ANNA, BEN))
        .then([role_set(ROOT, 6, BEN, Role::Owner, ANNA), role_set(ROOT, 7, ANNA, Role::Admin, ANNA)])
        .when(transfer(ROOT, ANNA, CARA))
        .then_rejected(Rejection::NotAllowed)
        .when(leave(ROOT, ANNA))
        .then_accepted();
}

#[test]
fn a_guest_reads_and_does_not_write_anywhere_in_the_tree() {
    with_sub()
        .when(set_role(ROOT, BEN, CARA, Role::Guest))
        .then([role_set(ROOT, 6, CARA, Role::Guest, BEN)])
        .when(send(ROOT, CARA, HELLO))
        .then_rejected(Rejection::NotAllowed)
        .when(send(SUB, CARA, HELLO))
        .then_rejected(Rejection::NotAllowed)
        .when(set_role(SUB, ANNA, CARA, Role::Guest))
        .then_rejected(Rejection::GuestOfRootOnly)
        .when(set_role(SUB, ANNA, CARA, Role::Moderator))
        .then_accepted()
        .when(send(SUB, CARA, HELLO))
        .then_accepted()
        .when(send(ROOT, CARA, REPLY))
        .then_rejected(Rejection::NotAllowed);
}

#[test]
fn a_role_counts_in_its_room_and_below() {
    let given = with_sub();
    assert!(may(&given, SUB, BEN, RoomCreateSub), "an admin of the root is one in the sub-room");
    let given = given.when(set_role(SUB, BEN, CARA, Role::Admin)).then_accepted();
    assert!(may(&given, SUB, CARA, RoleGrant));
    assert!(!may(&given, ROOT, CARA, RoleGrant), "nothing of it above");
    given
        .when(create_sub(LEAF, SUB, CARA))
        .then([sub_created(LEAF, SUB, CARA)])
        .when(create_sub(SIDE, ROOT, CARA))
        .then_rejected(Rejection::NotAllowed);
}

#[test]
fn of_the_same_rank_the_one_nearer_to_the_root_is_higher() {
    let given = with_sub().and([role_set(SUB, 5, CARA, Role::Admin, BEN)]);
    given
        .when(set_role(SUB, CARA, BEN, Role::Moderator))
        .then_rejected(Rejection::RankTooLow)
        .when(set_role(SUB, BEN, CARA, Role::Moderator))
        .then([role_set(SUB, 6, CARA, Role::Moderator, BEN)]);
    // Also among owners: a sub-room's can be unmade by the root's.
    given_sub_of_ben().when(set_role(SUB, ANNA, BEN, Role::Member)).then([role_set(
        SUB,
        4,
        BEN,
        Role::Member,
        ANNA,
    )]);
    given_sub_of_ben().when(set_role(SUB, BEN, ANNA, Role::Moderator)).then_rejected(Rejection::RankTooLow);
}

fn given_sub_of_ben() -> Given {
    with_admin().and([sub_created(SUB, ROOT, BEN), joined(SUB, 3, ANNA)])
}

#[test]
fn who_leaves_loses_the_role() {
    with_admin()
        .when(leave(ROOT, BEN))
        .then_accepted()
        .when(join(ROOT, BEN))
        .then_accepted()
        .when(set_role(ROOT, BEN, CARA, Role::Moderator))
        .then_rejected(Rejection::NotAllowed);
}

#[test]
fn a_root_makes_roles_of_its_own() {
    let given = with_admin()
        .when(create_role(ROOT, BEN, HELPER, 30, &[MessageSend, MemberKick]))
        .then([role_defined(ROOT, 6, HELPER, 30, &[MessageSend, MemberKick], BEN)])
        .when(create_role(ROOT, BEN, HELPER, 30, &[MessageSend, MemberKick]))
        .then_unchanged(role_answer(ROOT, HELPER, 6))
        .when(set_role(ROOT, BEN, CARA, Role::Custom(HELPER)))
        .then([role_set(ROOT, 7, CARA, Role::Custom(HELPER), BEN)]);
    assert!(may(&given, ROOT, CARA, MemberKick));
    let given = given.when(change_role(ROOT, BEN, HELPER, 31, &[])).then([role_defined(
        ROOT,
        8,
        HELPER,
        31,
        &[],
        BEN,
    )]);
    assert!(!may(&given, ROOT, CARA, MessageSend), "its holders have what it is now");
    let given = given.when(remove_role(ROOT, BEN, HELPER)).then([role_removed(ROOT, 9, HELPER, BEN)]);
    assert!(may(&given, ROOT, CARA, MessageSend), "a plain member again");
    given
        .when(set_role(ROOT, BEN, CARA, Role::Member))
        .then_unchanged(answer(ROOT, 9))
        .when(set_role(ROOT, BEN, CARA, Role::Custom(HELPER)))
        .then_rejected(Rejection::RoleNotFound)
        .when(remove_role(ROOT, BEN, HELPER))
        .then_rejected(Rejection::RoleNotFound)
        .when(change_role(ROOT, BEN, HELPER, 31, &[]))
        .then_rejected(Rejection::RoleNotFound);
}

#[test]
fn a_role_is_made_below_ones_own_rank_with_what_one_holds() {
    let given = with_admin().and([override_set(ROOT, 6, Role::Admin, &[], &[MemberKick], ANNA)]);
    given
        .when(create_role(ROOT, BEN, HELPER, 80, &[]))
        .then_rejected(Rejection::RankTooLow)
        .when(create_role(ROOT, BEN, HELPER, 0, &[]))
        .then_rejected(Rejection::InvalidRank)
        .when(create_role(ROOT, ANNA, HELPER, 100, &[]))
        .then_rejected(Rejection::InvalidRank)
        .when(create_role(ROOT, BEN, HELPER, 79, &[MemberKick]))
        .then_rejected(Rejection::PermissionNotHeld)
        .when(create_role(ROOT, CARA, HELPER, 1, &[]))
        .then_rejected(Rejection::NotAllowed)
        .when(create_role(ROOT, ANNA, HELPER, 99, &[MemberKick]))
        .then_accepted()
        .when(change_role(ROOT, BEN, HELPER, 50, &[]))
        .then_rejected(Rejection::RankTooLow)
        .when(remove_role(ROOT, BEN, HELPER))
        .then_rejected(Rejection::RankTooLow)
        .when(set_role(ROOT, BEN, CARA, Role::Custom(HELPER)))
        .then_rejected(Rejection::RankTooLow);
}

#[test]
fn a_role_is_not_given_where_it_holds_more_than_its_giver_in_a_room_below() {
    // Admins may not kick in the sub-room, moderators may.
    let given = with_sub().and([override_set(SUB, 5, Role::Admin, &[], &[MemberKick], ANNA)]);
    given
        .when(set_role(ROOT, BEN, CARA, Role::Moderator))
        .then_rejected(Rejection::PermissionNotHeld)
        .when(create_role(ROOT, BEN, HELPER, 30, &[MemberKick]))
        .then_rejected(Rejection::PermissionNotHeld)
        .when(set_override(ROOT, BEN, Role::Member, &[MemberKick], &[]))
        .then_rejected(Rejection::PermissionNotHeld)
        .when(create_role(ROOT, BEN, HELPER, 30, &[MessageSend]))
        .then_accepted()
        .when(set_role(ROOT, BEN, CARA, Role::Custom(HELPER)))
        .then_accepted()
        .when(change_role(ROOT, BEN, HELPER, 30, &[MessageSend, MemberKick]))
        .then_rejected(Rejection::PermissionNotHeld);
}

#[test]
fn removing_a_role_gives_its_holders_no_more_than_the_remover_holds() {
    let given = with_admin().and([
        override_set(ROOT, 6, Role::Admin, &[], &[MessageSend], ANNA),
        role_defined(ROOT, 7, HELPER, 30, &[], ANNA),
        role_set(ROOT, 8, CARA, Role::Custom(HELPER), ANNA),
    ]);
    given.when(remove_role(ROOT, BEN, HELPER)).then_rejected(Rejection::PermissionNotHeld);
}

#[test]
fn custom_roles_are_made_in_roots_and_used_in_the_whole_tree() {
    let given = with_sub().and([role_defined(ROOT, 6, HELPER, 30, &[MemberKick], ANNA)]);
    given
        .when(create_role(SUB, ANNA, SINGER, 30, &[]))
        .then_rejected(Rejection::RolesAreOfRoots)
        .when(change_role(SUB, ANNA, HELPER, 30, &[]))
        .then_rejected(Rejection::RolesAreOfRoots)
        .when(remove_role(SUB, ANNA, HELPER))
        .then_rejected(Rejection::RolesAreOfRoots)
        .when(set_role(SUB, BEN, CARA, Role::Custom(HELPER)))
        .then_accepted()
        .and([root_created(OTHER_ROOT, ANNA), joined(OTHER_ROOT, 3, BEN)])
        .when(set_role(OTHER_ROOT, ANNA, BEN, Role::Custom(HELPER)))
        .then_rejected(Rejection::RoleNotFound);
}

#[test]
fn a_root_has_custom_roles_up_to_the_limit() {
    let role = |n: u64| RoleId::from_u128(0x1000 + u128::from(n));
    root()
        .and((0..63).map(|n| role_defined(ROOT, 5 + n, role(n), 30, &[], ANNA)))
        .when(create_role(ROOT, ANNA, HELPER, 30, &[]))
        .then_accepted()
        .when(create_role(ROOT, ANNA, SINGER, 30, &[]))
        .then_rejected(Rejection::TooManyRoles)
        .when(remove_role(ROOT, ANNA, HELPER))
        .then_accepted()
        .when(create_role(ROOT, ANNA, SINGER, 30, &[]))
        .then_accepted();
}

#[test]
fn a_room_denies_and_allows_and_the_nearest_wins() {
    let given = with_sub()
        .and([sub_created(LEAF, SUB, ANNA), joined(LEAF, 3, CARA)])
        .when(set_override(ROOT, BEN, Role::Member, &[], &[MessageSend]))
        .then([override_set(ROOT, 6, Role::Member, &[], &[MessageSend], BEN)])
        .when(set_override(LEAF, ANNA, Role::Member, &[MessageSend], &[]))
        .then([override_set(LEAF, 4, Role::Member, &[MessageSend], &[], ANNA)]);
    assert!(!may(&given, ROOT, CARA, MessageSend));
    assert!(!may(&given, SUB, CARA, MessageSend), "inherited");
    assert!(may(&given, LEAF, CARA, MessageSend), "the nearest wins");
    assert!(may(&given, ROOT, BEN, MessageSend), "it is about members, not admins");
    given
        .when(send(SUB, CARA, HELLO))
        .then_rejected(Rejection::NotAllowed)
        .when(set_override(ROOT, BEN, Role::Member, &[], &[MessageSend]))
        .then_unchanged(answer(ROOT, 6))
        .when(set_override(ROOT, BEN, Role::Member, &[], &[]))
        .then([override_set(ROOT, 7, Role::Member, &[], &[], BEN)])
        .when(send(SUB, CARA, HELLO))
        .then_accepted();
}

#[test]
fn an_override_is_of_a_lower_role_and_of_what_one_holds() {
    let given = with_admin();
    given
        .when(set_override(ROOT, CARA, Role::Guest, &[], &[]))
        .then_unchanged(answer(ROOT, 5))
        .when(set_override(ROOT, CARA, Role::Guest, &[MessageSend], &[]))
        .then_rejected(Rejection::NotAllowed)
        .when(set_override(ROOT, BEN, Role::Admin, &[], &[MessageSend]))
        .then_rejected(Rejection::RankTooLow)
        .when(set_override(ROOT, ANNA, Role::Owner, &[], &[MessageSend]))
        .then_rejected(Rejection::RankTooLow)
        .when(set_override(ROOT, ANNA, Role::Custom(HELPER), &[], &[MessageSend]))
        .then_rejected(Rejection::RoleNotFound)
        .when(set_override(ROOT, ANNA, Role::Admin, &[RoleManage], &[RoleManage]))
        .then_rejected(Rejection::OverrideContradicts)
        .when(set_override(ROOT, ANNA, Role::Admin, &[], &[RoleManage]))
        .then_accepted()
        .when(set_override(ROOT, BEN, Role::Member, &[RoleManage], &[]))
        .then_rejected(Rejection::PermissionNotHeld);
}

#[test]
fn what_a_denial_took_comes_back_only_by_who_holds_it() {
    let given = with_admin().and([
        override_set(ROOT, 6, Role::Admin, &[], &[MemberKick], ANNA),
        override_set(ROOT, 7, Role::Moderator, &[], &[MemberKick], ANNA),
    ]);
    given
        .when(set_override(ROOT, BEN, Role::Moderator, &[], &[]))
        .then_rejected(Rejection::PermissionNotHeld)
        .when(set_override(ROOT, ANNA, Role::Moderator, &[], &[]))
        .then_accepted();
}

#[test]
fn with_a_role_goes_what_rooms_said_of_it() {
    let given = with_sub().and([
        role_defined(ROOT, 6, HELPER, 30, &[], ANNA),
        override_set(SUB, 5, Role::Custom(HELPER), &[MessageSend], &[], ANNA),
    ]);
    let given = given.when(remove_role(ROOT, ANNA, HELPER)).then_accepted();
    assert!(given.state.rooms[&SUB].overrides.is_empty());
}

/// An owner is not shut out by anything that a log can hold.
#[test]
fn nothing_that_a_room_says_counts_for_owners() {
    let given = root().and([override_set(ROOT, 5, Role::Owner, &[], &[OverrideManage], ANNA)]);
    assert!(may(&given, ROOT, ANNA, OverrideManage));
}
