//! Roles of members, custom roles, and what rooms say of them.

use roomlog_domain::role::{Definition, Override};
use roomlog_domain::way::{Level, Way};
use roomlog_domain::{Permission, Permissions, Role};
use roomlog_schemas::{AccountId, RoleId, RoomId};

use super::{A, ANN, B, BOB, Directories, apply, joined, left, room};
use crate::directory::{DirectoryChange, OverrideRow, RoleRow, RoomRow};

const HELPER: RoleId = RoleId::from_u128(0x4e << 100);
const SINGER: RoleId = RoleId::from_u128(0x51 << 100);

fn set_role(room_id: RoomId, account_id: AccountId, role: &str) -> DirectoryChange {
    DirectoryChange::RoleSet { room_id, account_id, role: role.to_owned() }
}

fn role(root_id: RoomId, role_id: RoleId, rank: u8, may: &[Permission]) -> RoleRow {
    let definition = Definition { rank, permissions: Permissions::of(may) };
    RoleRow { root_id, role_id, name: format!("role {rank}"), definition }
}

fn says(room_id: RoomId, role: Role, allow: &[Permission], deny: &[Permission]) -> OverrideRow {
    let set = Override { allow: Permissions::of(allow), deny: Permissions::of(deny) };
    OverrideRow { room_id, root_id: A, role, set }
}

pub async fn members_have_the_role_that_was_set_last(backend: &Directories) {
    let store = backend.open().await;
    let roles = async || {
        let members = store.members(A, None, 9).await.unwrap();
        members.into_iter().map(|member| (member.account_id, member.role)).collect::<Vec<_>>()
    };
    // Who is no member has none.
    let changes = vec![
        DirectoryChange::Room(room(A)),
        joined(A, ANN, 2),
        set_role(A, ANN, "owner"),
        set_role(A, BOB, "admin"),
    ];
    apply(&*store, 0, changes).await;
    assert_eq!(roles().await, [(ANN, "owner".to_owned())]);
    apply(&*store, 1, vec![joined(A, BOB, 3)]).await;
    apply(&*store, 2, vec![set_role(A, BOB, "admin"), set_role(A, BOB, "guest"), set_role(B, BOB, "x")])
        .await;
    assert_eq!(roles().await, [(ANN, "owner".to_owned()), (BOB, "guest".to_owned())]);
    apply(&*store, 3, vec![set_role(A, BOB, "admin"), left(A, BOB), joined(A, BOB, 9)]).await;
    assert_eq!(roles().await, [(ANN, "owner".to_owned()), (BOB, "member".to_owned())]);
}

pub async fn roles_and_what_rooms_say_of_them_come_and_go(backend: &Directories) {
    use Permission::{MemberKick, MessageSend};
    let store = backend.open().await;
    let helper = Role::Custom(HELPER);
    let sub = RoomRow { root_id: A, parent_id: Some(A), ..room(B) };
    let first = vec![
        DirectoryChange::Room(room(A)),
        DirectoryChange::Room(sub),
        DirectoryChange::Role(role(A, HELPER, 30, &[MessageSend, MemberKick])),
        DirectoryChange::Role(role(A, SINGER, 1, &[])),
        DirectoryChange::Override(says(A, Role::Member, &[], &[MessageSend])),
        DirectoryChange::Override(says(B, helper, &[MemberKick], &[])),
    ];
    apply(&*store, 0, first).await;
    let of_a = [role(A, HELPER, 30, &[MessageSend, MemberKick]), role(A, SINGER, 1, &[])];
    assert_eq!(store.roles(A).await.unwrap(), of_a);
    assert_eq!(store.roles(B).await.unwrap(), []);
    assert_eq!(store.overrides(A).await.unwrap(), [says(A, Role::Member, &[], &[MessageSend])]);
    assert_eq!(store.overrides(B).await.unwrap(), [says(B, helper, &[MemberKick], &[])]);

    let second = vec![
        DirectoryChange::Role(role(A, SINGER, 99, &[MessageSend])),
        DirectoryChange::Override(says(A, Role::Member, &[MessageSend], &[])),
        DirectoryChange::Override(says(B, helper, &[], &[MessageSend])),
        DirectoryChange::Override(says(B, Role::Guest, &[], &[MessageSend])),
    ];
    apply(&*store, 1, second).await;
    assert_eq!(store.roles(A).await.unwrap()[1], role(A, SINGER, 99, &[MessageSend]));
    assert_eq!(store.overrides(A).await.unwrap(), [says(A, Role::Member, &[MessageSend], &[])]);
    assert_eq!(store.overrides(B).await.unwrap().len(), 2);

    // What rooms said of a role goes with it; an empty override is none.
    let third = vec![
        DirectoryChange::RoleRemoved { root_id: A, role_id: HELPER },
        DirectoryChange::Override(says(A, Role::Member, &[], &[])),
        DirectoryChange::Override(says(A, Role::Moderator, &[], &[])),
    ];
    apply(&*store, 2, third).await;
    assert_eq!(store.roles(A).await.unwrap(), [role(A, SINGER, 99, &[MessageSend])]);
    assert_eq!(store.overrides(A).await.unwrap(), []);
    assert_eq!(store.overrides(B).await.unwrap(), [says(B, Role::Guest, &[], &[MessageSend])]);

    // Made and removed in one batch, and removed twice.
    let gone = || DirectoryChange::RoleRemoved { root_id: A, role_id: SINGER };
    let fourth =
        vec![DirectoryChange::Override(says(B, Role::Custom(SINGER), &[MessageSend], &[])), gone(), gone()];
    apply(&*store, 3, fourth).await;
    assert_eq!(store.roles(A).await.unwrap(), []);
    assert_eq!(store.overrides(B).await.unwrap().len(), 1);
}

pub async fn a_way_leads_from_the_root_to_the_room(backend: &Directories) {
    use Permission::{MemberKick, MessageSend};
    const C: RoomId = RoomId::from_u128(0xc << 96);
    const OTHER: RoomId = RoomId::from_u128(0xd << 96);
    let store = backend.open().await;
    assert_eq!(store.way(A, ANN).await.unwrap(), None);
    let below = |room_id, parent| RoomRow { root_id: A, parent_id: Some(parent), ..room(room_id) };
    let changes = vec![
        DirectoryChange::Room(room(A)),
        DirectoryChange::Room(below(B, A)),
        DirectoryChange::Room(below(C, B)),
        DirectoryChange::Room(room(OTHER)),
        joined(A, ANN, 2),
        joined(B, ANN, 2),
        joined(OTHER, ANN, 2),
        joined(A, BOB, 3),
        set_role(A, ANN, "moderator"),
        set_role(B, ANN, &HELPER.to_string()),
        DirectoryChange::Role(role(A, HELPER, 30, &[MessageSend, MemberKick])),
        DirectoryChange::Role(role(A, SINGER, 1, &[])),
        DirectoryChange::Role(role(OTHER, RoleId::from_u128(7), 1, &[])),
        DirectoryChange::Override(says(A, Role::Member, &[], &[MessageSend])),
        DirectoryChange::Override(says(A, Role::Custom(SINGER), &[MessageSend], &[])),
        DirectoryChange::Override(says(C, Role::Member, &[MessageSend], &[])),
    ];
    apply(&*store, 0, changes).await;
    let roles = [role(A, HELPER, 30, &[MessageSend, MemberKick]), role(A, SINGER, 1, &[])];
    let level = |room_id, role, says: &[OverrideRow]| Level {
        room_id,
        role,
        overrides: says.iter().map(|row| (row.role, row.set)).collect(),
    };
    let of_a =
        [says(A, Role::Member, &[], &[MessageSend]), says(A, Role::Custom(SINGER), &[MessageSend], &[])];
    let of_c = [says(C, Role::Member, &[MessageSend], &[])];
    let expected = Way {
        roles: roles.iter().map(|row| (row.role_id, row.definition)).collect(),
        levels: vec![
            level(A, Some(Role::Moderator), &of_a),
            level(B, Some(Role::Custom(HELPER)), &[]),
            level(C, None, &of_c),
        ],
    };
    assert_eq!(store.way(C, ANN).await.unwrap(), Some(expected.clone()));
    let to_b = Way { levels: expected.levels[..2].to_vec(), ..expected.clone() };
    assert_eq!(store.way(B, ANN).await.unwrap(), Some(to_b));
    let of_bob = Way { levels: vec![level(A, Some(Role::Member), &of_a)], ..expected };
    assert_eq!(store.way(A, BOB).await.unwrap(), Some(of_bob));
    let nobody = store.way(OTHER, AccountId::from_u128(77)).await.unwrap().unwrap();
    assert_eq!((nobody.roles.len(), nobody.levels.len(), nobody.levels[0].role), (1, 1, None));
}
