//! Creating rooms: roots, sub-rooms, who may, how deep and how many.

mod support;
use support::*;

/// Levels below a root.
const MAX_DEPTH: u32 = 8;
/// Rooms below a root, all levels together.
const MAX_SUB_ROOMS: u32 = 1000;

fn room(n: u32) -> RoomId {
    RoomId::from_u128(0x1000 + u128::from(n))
}

/// A root, `room(0)`, with rooms each below the one before down to this depth.
fn chain(depth: u32) -> Vec<Vec<Event>> {
    let below = (1..=depth).map(|n| sub_created(room(n), room(n - 1), ANNA));
    std::iter::once(root_created(room(0), ANNA)).chain(below).collect()
}

#[test]
fn whoever_creates_a_root_owns_it() {
    given_nothing().when(create_root(ROOT, ANNA)).then([root_created(ROOT, ANNA)]);
}

#[test]
fn a_room_is_created_as_the_command_says() {
    let command = CreateRoom {
        access: Access::Restricted,
        history: History::FromJoin,
        name: sealed("another name"),
        ..creation(ROOT, None, ANNA)
    };
    let given = given_nothing().when(Command::CreateRoom(command)).then_accepted();
    let room = &given.state.rooms[&ROOT];
    assert_eq!((room.kind, room.access), (RoomKind::Group, Access::Restricted));
    assert_eq!(room.history, History::FromJoin);
    assert_eq!((room.root_id, room.parent_id, room.depth, room.seq), (ROOT, None, 0, 2));
}

#[test]
fn creating_again_is_a_repeat_with_the_first_answer() {
    given([root_created(ROOT, ANNA)])
        .when(create_root(ROOT, ANNA))
        .then_unchanged(answer(ROOT, 2))
        .and([joined(ROOT, 3, BEN), sent(ROOT, 4, BEN, HELLO)])
        .when(create_root(ROOT, ANNA))
        .then_unchanged(answer(ROOT, 2));
}

#[test]
fn only_groups_can_be_created() {
    for kind in [RoomKind::Direct, RoomKind::Broadcast] {
        let command = CreateRoom { kind, ..creation(ROOT, None, ANNA) };
        given_nothing().when(Command::CreateRoom(command)).then_rejected(Rejection::KindNotAvailable);
    }
}

#[test]
fn an_owner_creates_below_its_room() {
    let given = given([root_created(ROOT, ANNA)])
        .when(create_sub(SUB, ROOT, ANNA))
        .then([sub_created(SUB, ROOT, ANNA)])
        .when(create_sub(LEAF, SUB, ANNA))
        .then([sub_created(LEAF, SUB, ANNA)]);
    let leaf = &given.state.rooms[&LEAF];
    assert_eq!((leaf.root_id, leaf.parent_id, leaf.depth), (ROOT, Some(SUB), 2));
    assert_eq!(given.state.ancestors(leaf), [SUB, ROOT]);
    assert_eq!(given.state.subtree(ROOT), [ROOT, SUB, LEAF]);
}

#[test]
fn a_subtree_lists_parents_before_children_and_siblings_by_id() {
    let given = given([
        root_created(ROOT, ANNA),
        sub_created(SIDE, ROOT, ANNA),
        sub_created(SUB, ROOT, ANNA),
        sub_created(LEAF, SIDE, ANNA),
    ]);
    assert_eq!(given.state.subtree(ROOT), [ROOT, SUB, SIDE, LEAF]);
    assert_eq!(given.state.subtree(SIDE), [SIDE, LEAF]);
}

#[test]
fn creating_a_sub_room_again_is_a_repeat_even_for_who_is_no_longer_an_owner() {
    given([root_created(ROOT, ANNA), owner_joined(ROOT, 3, BEN), sub_created(SUB, ROOT, ANNA)])
        .when(leave(ROOT, ANNA))
        .then([left(ROOT, 4, ANNA), left(SUB, 3, ANNA)])
        .when(create_sub(SUB, ROOT, ANNA))
        .then_unchanged(answer(SUB, 2));
}

#[test]
fn nothing_is_created_below_an_unknown_room() {
    given([root_created(ROOT, ANNA)])
        .when(create_sub(SUB, UNKNOWN, ANNA))
        .then_rejected(Rejection::ParentNotFound)
        .when(import_sub(SUB, UNKNOWN, ANNA))
        .then_rejected(Rejection::ParentNotFound);
}

#[test]
fn no_room_is_its_own_parent() {
    given_nothing()
        .when(create_sub(SUB, SUB, ANNA))
        .then_rejected(Rejection::ParentNotFound)
        .when(import_sub(SUB, SUB, ANNA))
        .then_rejected(Rejection::ParentNotFound);
}

#[test]
fn a_member_that_is_no_owner_creates_nothing_below() {
    given([root_created(ROOT, ANNA), joined(ROOT, 3, BEN)])
        .when(create_sub(SUB, ROOT, BEN))
        .then_rejected(Rejection::NotAllowed);
}

#[test]
fn owning_the_root_is_not_owning_the_sub_room() {
    given([root_created(ROOT, ANNA), sub_created(SUB, ROOT, ANNA)])
        .when(leave(SUB, ANNA))
        .then([left(SUB, 3, ANNA)])
        .when(create_sub(LEAF, SUB, ANNA))
        .then_rejected(Rejection::NotAMember);
}

#[test]
fn who_is_no_member_hears_so_of_a_public_parent_only() {
    given([root_created(ROOT, ANNA)]).when(create_sub(SUB, ROOT, BEN)).then_rejected(Rejection::NotAMember);
    for access in [Access::Restricted, Access::Vip] {
        given([with_access(access, root_created(ROOT, ANNA))])
            .when(create_sub(SUB, ROOT, BEN))
            .then_rejected(Rejection::ParentNotFound);
    }
}

#[test]
fn rooms_nest_to_the_depth_limit() {
    given(chain(MAX_DEPTH - 1))
        .when(create_sub(room(MAX_DEPTH), room(MAX_DEPTH - 1), ANNA))
        .then([sub_created(room(MAX_DEPTH), room(MAX_DEPTH - 1), ANNA)])
        .when(create_sub(SUB, room(MAX_DEPTH), ANNA))
        .then_rejected(Rejection::TooDeep)
        .when(import_sub(SUB, room(MAX_DEPTH), ANNA))
        .then_rejected(Rejection::TooDeep)
        .when(create_sub(SUB, room(0), ANNA))
        .then([sub_created(SUB, room(0), ANNA)]);
}

#[test]
fn a_root_has_sub_rooms_up_to_the_limit_on_all_levels_together() {
    let below = (1..MAX_SUB_ROOMS).map(|n| sub_created(room(n), room(n / 10), ANNA));
    given(std::iter::once(root_created(room(0), ANNA)).chain(below))
        .when(create_sub(SUB, room(2), ANNA))
        .then([sub_created(SUB, room(2), ANNA)])
        .when(create_sub(SIDE, room(0), ANNA))
        .then_rejected(Rejection::TooManySubRooms)
        .when(import_sub(SIDE, SUB, ANNA))
        .then_rejected(Rejection::TooManySubRooms)
        .when(create_root(OTHER_ROOT, ANNA))
        .then([root_created(OTHER_ROOT, ANNA)])
        .when(create_sub(SIDE, OTHER_ROOT, ANNA))
        .then([sub_created(SIDE, OTHER_ROOT, ANNA)]);
}

#[test]
fn an_import_creates_below_a_room_without_owning_it() {
    given([root_created(ROOT, ANNA), joined(ROOT, 3, BEN)])
        .when(import_sub(SUB, ROOT, BEN))
        .then([made_by_import(sub_created(SUB, ROOT, BEN))]);
}

#[test]
fn an_import_adds_its_account_to_the_rooms_above() {
    given([
        with_access(Access::Vip, root_created(ROOT, ANNA)),
        with_access(Access::Restricted, sub_created(SUB, ROOT, ANNA)),
        sub_created(SIDE, SUB, ANNA),
    ])
    .when(import_sub(LEAF, SIDE, BEN))
    .then([
        made_by_import(sub_created(LEAF, SIDE, BEN)),
        joined(SUB, 3, BEN),
        joined(ROOT, 3, BEN),
        joined(SIDE, 3, BEN),
    ]);
}

#[test]
fn an_import_adds_only_the_memberships_that_are_missing() {
    given([root_created(ROOT, ANNA), sub_created(SUB, ROOT, ANNA), joined(ROOT, 3, BEN)])
        .when(import_sub(LEAF, SUB, BEN))
        .then([made_by_import(sub_created(LEAF, SUB, BEN)), joined(SUB, 3, BEN)]);
}

#[test]
fn importing_a_room_again_is_a_repeat() {
    given([root_created(ROOT, ANNA)])
        .when(import_sub(SUB, ROOT, BEN))
        .then_accepted()
        .when(import_sub(SUB, ROOT, BEN))
        .then_unchanged(answer(SUB, 2));
}

/// No decision makes such events; the state stays a forest all the same.
#[test]
fn a_room_comes_once_and_never_below_itself() {
    let events = [
        sub_created(SIDE, SIDE, ANNA),
        sub_created(SUB, LEAF, ANNA),
        sub_created(LEAF, SUB, ANNA),
        sub_created(SUB, LEAF, ANNA),
    ];
    let mut state = State::default();
    for event in events.iter().flatten() {
        state.apply(event);
    }
    assert_eq!(state.subtree(SIDE), [SIDE]);
    assert_eq!(state.subtree(SUB), [SUB, LEAF]);
    assert_eq!(state.ancestors(&state.rooms[&LEAF]), [SUB]);
    assert_eq!(state.rooms[&SUB].sub_rooms, 1);
}
