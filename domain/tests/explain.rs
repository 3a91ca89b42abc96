//! Why an account may do something, or may not; and what each role may do where nobody has said anything.

mod support;
use roomlog_domain::way::{Explanation, Rule};
use support::*;

use Permission::{MemberKick, MessageSend, RoleGrant};

fn explain(given: &Given, account: AccountId, room: RoomId, permission: Permission) -> (bool, Rule) {
    let Explanation { is_allowed, rule } = given.state.explain(account, room, permission).expect("a room");
    (is_allowed, rule)
}

fn tree() -> Given {
    given([
        root_created(ROOT, ANNA),
        joined(ROOT, 3, BEN),
        joined(ROOT, 4, CARA),
        sub_created(SUB, ROOT, ANNA),
        joined(SUB, 3, BEN),
        sub_created(LEAF, SUB, ANNA),
        joined(LEAF, 3, BEN),
    ])
}

#[test]
fn there_is_nothing_to_say_of_an_unknown_room() {
    assert_eq!(tree().state.explain(ANNA, UNKNOWN, MessageSend), None);
}

#[test]
fn who_is_no_member_may_nothing() {
    let given = tree().and([role_set(ROOT, 5, CARA, Role::Admin, ANNA)]);
    assert_eq!(explain(&given, DORA, ROOT, MessageSend), (false, Rule::NotAMember));
    assert_eq!(explain(&given, CARA, SUB, MessageSend), (false, Rule::NotAMember), "an admin neither");
}

#[test]
fn an_owner_may_everything_from_its_room_down() {
    let given = tree();
    assert_eq!(explain(&given, ANNA, ROOT, RoleGrant), (true, Rule::Owner { held_in: ROOT }));
    assert_eq!(explain(&given, ANNA, LEAF, RoleGrant), (true, Rule::Owner { held_in: ROOT }));
}

#[test]
fn a_role_has_a_permission_or_has_it_not() {
    let given = tree();
    let member = Rule::Role { role: Role::Member, held_in: ROOT };
    assert_eq!(explain(&given, BEN, LEAF, MessageSend), (true, member));
    assert_eq!(explain(&given, BEN, LEAF, MemberKick), (false, member));
    let given = given.and([role_set(SUB, 4, BEN, Role::Moderator, ANNA)]);
    let moderator = Rule::Role { role: Role::Moderator, held_in: SUB };
    assert_eq!(explain(&given, BEN, LEAF, MemberKick), (true, moderator));
    assert_eq!(explain(&given, BEN, ROOT, MemberKick), (false, member));
}

#[test]
fn the_nearest_room_that_says_something_is_named() {
    let given = tree().and([
        override_set(ROOT, 5, Role::Member, &[MemberKick], &[MessageSend], ANNA),
        override_set(SUB, 4, Role::Member, &[MessageSend], &[], ANNA),
    ]);
    let set_in = |set_in| Rule::Override { role: Role::Member, held_in: ROOT, set_in };
    assert_eq!(explain(&given, BEN, ROOT, MessageSend), (false, set_in(ROOT)));
    assert_eq!(explain(&given, BEN, LEAF, MessageSend), (true, set_in(SUB)));
    assert_eq!(explain(&given, BEN, LEAF, MemberKick), (true, set_in(ROOT)));
}

#[test]
fn one_role_that_may_is_enough() {
    let given = tree().and([
        role_set(SUB, 4, BEN, Role::Moderator, ANNA),
        override_set(SUB, 5, Role::Moderator, &[], &[MessageSend], ANNA),
    ]);
    let member = Rule::Role { role: Role::Member, held_in: ROOT };
    assert_eq!(explain(&given, BEN, SUB, MessageSend), (true, member));
    let given = given.and([override_set(SUB, 6, Role::Member, &[], &[MessageSend], ANNA)]);
    let denied = Rule::Override { role: Role::Moderator, held_in: SUB, set_in: SUB };
    assert_eq!(explain(&given, BEN, SUB, MessageSend), (false, denied), "the highest one is named");
}

#[test]
fn a_role_that_is_no_more_counts_as_a_plain_member() {
    let given = tree().and([
        role_defined(ROOT, 5, HELPER, 30, &[MemberKick], ANNA),
        role_set(ROOT, 6, BEN, Role::Custom(HELPER), ANNA),
    ]);
    let helper = Rule::Role { role: Role::Custom(HELPER), held_in: ROOT };
    assert_eq!(explain(&given, BEN, ROOT, MemberKick), (true, helper));
    let given = given.and([role_removed(ROOT, 7, HELPER, ANNA)]);
    let member = Rule::Role { role: Role::Member, held_in: ROOT };
    assert_eq!(explain(&given, BEN, ROOT, MemberKick), (false, member));
}

/// A change of policy is seen here.
#[test]
fn what_the_built_in_roles_may_do() {
    let mut table = String::new();
    for role in Role::BUILT_IN {
        let definition = role.built_in().expect("built in");
        let may = definition.permissions.names().join(" ");
        table += &format!("{role} {}: {may}\n", definition.rank);
    }
    let all = "message.send room.create_sub room.edit room.move room.archive room.delete \
               member.kick member.ban member.mute role.grant role.manage override.manage";
    let expected = format!(
        "owner 100: {all}\nadmin 80: {all}\n\
         moderator 60: message.send member.kick member.ban member.mute\n\
         member 20: message.send\nguest 10: \n"
    );
    assert_eq!(table, expected);
}

#[test]
fn names_of_roles_and_permissions_are_read_as_they_are_written() {
    for &permission in Permission::ALL {
        assert_eq!(Permission::from_name(permission.name()), Some(permission));
    }
    assert_eq!(Permission::from_name("message.Send"), None);
    for role in Role::BUILT_IN.into_iter().chain([Role::Custom(HELPER)]) {
        assert_eq!(role.to_string().parse(), Ok(role));
    }
    assert!("Owner".parse::<Role>().is_err());
    assert_eq!(Role::of_event("of a later build"), Role::Member);
    assert_eq!(Permissions::from_names(&["message.send", "of.later"]), Permissions::of(&[MessageSend]));
}
