//! Every rejection: one example each, and what it tells programs and people.

mod support;
use std::collections::HashSet;

use support::*;

/// Something that is refused so. A new rejection does not compile before it has one.
fn example(rejection: Rejection) -> (Given, Command) {
    let root = || given([root_created(ROOT, ANNA), joined(ROOT, 3, BEN)]);
    let closed = |access| given([with_access(access, root_created(ROOT, ANNA))]);
    match rejection {
        Rejection::RoomNotFound => (root(), join(UNKNOWN, ANNA)),
        Rejection::ParentNotFound => (root(), create_sub(SUB, UNKNOWN, ANNA)),
        Rejection::NotAMember => (root(), send(ROOT, CARA, HELLO)),
        Rejection::ParentMembershipRequired => (root().and([sub_created(SUB, ROOT, ANNA)]), join(SUB, CARA)),
        Rejection::NotListed => (closed(Access::Restricted), join(ROOT, BEN)),
        Rejection::InvitationRequired => (closed(Access::Vip), join(ROOT, BEN)),
        Rejection::LastOwner => (root(), leave(ROOT, ANNA)),
        Rejection::NotAllowed => (root(), create_sub(SUB, ROOT, BEN)),
        Rejection::MemberNotFound => (root(), set_role(ROOT, ANNA, CARA, Role::Admin)),
        Rejection::RoleNotFound => (root(), set_role(ROOT, ANNA, BEN, Role::Custom(HELPER))),
        Rejection::RankTooLow => {
            (root().and([role_set(ROOT, 4, BEN, Role::Admin, ANNA)]), set_role(ROOT, BEN, ANNA, Role::Member))
        }
        Rejection::PermissionNotHeld => {
            let denied = [Permission::MessageSend];
            let history = [
                role_set(ROOT, 4, BEN, Role::Admin, ANNA),
                override_set(ROOT, 5, Role::Admin, &[], &denied, ANNA),
            ];
            (root().and(history), create_role(ROOT, BEN, HELPER, 30, &denied))
        }
        Rejection::RolesAreOfRoots => {
            (root().and([sub_created(SUB, ROOT, ANNA)]), create_role(SUB, ANNA, HELPER, 30, &[]))
        }
        Rejection::GuestOfRootOnly => {
            let sub = [sub_created(SUB, ROOT, ANNA), joined(SUB, 3, BEN)];
            (root().and(sub), set_role(SUB, ANNA, BEN, Role::Guest))
        }
        Rejection::InvalidRank => (root(), create_role(ROOT, ANNA, HELPER, 100, &[])),
        Rejection::TooManyRoles => {
            let roles = (0..64).map(|n: u64| {
                let role_id = RoleId::from_u128(0x1000 + u128::from(n));
                role_defined(ROOT, 4 + n, role_id, 30, &[], ANNA)
            });
            (root().and(roles), create_role(ROOT, ANNA, HELPER, 30, &[]))
        }
        Rejection::OverrideContradicts => {
            let both = [Permission::MessageSend];
            (root(), set_override(ROOT, ANNA, Role::Member, &both, &both))
        }
        Rejection::TooDeep => {
            let room = |n: u128| RoomId::from_u128(0x1000 + n);
            let below = (1..=8).map(|n| sub_created(room(n), room(n - 1), ANNA));
            (given([root_created(room(0), ANNA)]).and(below), create_sub(SUB, room(8), ANNA))
        }
        Rejection::TooManySubRooms => {
            let below = (0..1000).map(|n| sub_created(RoomId::from_u128(0x1000 + n), ROOT, ANNA));
            (root().and(below), create_sub(SUB, ROOT, ANNA))
        }
        Rejection::KindNotAvailable => {
            let direct = CreateRoom { kind: RoomKind::Direct, ..creation(SUB, None, ANNA) };
            (root(), Command::CreateRoom(direct))
        }
        Rejection::ReplyNotFound => (root(), reply(ROOT, ANNA, REPLY, HELLO)),
        Rejection::AccountNotFound => (given([registered(ANNA)]), claim(BEN)),
        Rejection::AlreadyClaimed => (given([registered(ANNA)]), claim(ANNA)),
        Rejection::ImportOutOfOrder => (root(), import(ROOT, [wrote(2, ANNA, HELLO), wrote(1, ANNA, REPLY)])),
    }
}

#[test]
fn every_rejection_occurs() {
    for &rejection in Rejection::ALL {
        let (given, command) = example(rejection);
        given.when(command).then_rejected(rejection);
    }
}

#[test]
fn codes_are_the_variants_names_and_each_is_used_once() {
    let codes: HashSet<_> = Rejection::ALL.iter().map(|rejection| rejection.code()).collect();
    assert_eq!(codes.len(), Rejection::ALL.len());
    for rejection in Rejection::ALL {
        assert_eq!(rejection.code(), snake_case(&format!("{rejection:?}")));
    }
}

#[test]
fn every_rejection_has_a_sentence_and_says_what_it_is_about() {
    for rejection in Rejection::ALL {
        let sentence = rejection.sentence();
        assert!(sentence.starts_with(char::is_uppercase) && sentence.ends_with('.'), "{sentence}");
        assert!(!rejection.fields().is_empty(), "{rejection:?} names no field");
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for (at, letter) in name.char_indices() {
        if letter.is_uppercase() && at > 0 {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}
