//! Roles of a root, what rooms say of them, and what an account may do.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Fixture, fields, items};
use roomlog_domain::Permission;
use roomlog_schemas::{AccountId, History, OverrideSet, RoleId, RoleRemoved, RoomId};
use serde_json::{Value, json};

struct Scene {
    fixture: Fixture,
    alice: AccountId,
    bob: AccountId,
    root: RoomId,
    sub: RoomId,
    helper: RoleId,
}

/// Bob has a custom role in the root, whose sub-room denies it to kick.
async fn scene() -> Scene {
    let mut fixture = Fixture::new().await;
    let world = &mut fixture.world;
    let alice = world.register(Some("alice")).await;
    let bob = world.register(Some("bob")).await;
    let root = world.create_room(alice, None, History::FromBeginning, "Root").await;
    let sub = world.create_room(alice, Some(root), History::FromBeginning, "Sub").await;
    world.join(sub, bob).await;
    let helper = world.define_role(root, "Helper", 30, &["message.send", "member.kick"], alice).await;
    world.set_role(root, bob, &helper.to_string(), alice).await;
    let (role, allow, deny) = (helper.to_string(), vec![], vec!["member.kick".to_owned()]);
    world
        .tell(sub, "set_override", |seq| {
            OverrideSet { room_id: sub, seq, role, allow, deny, by: alice }.into()
        })
        .await;
    fixture.project().await;
    Scene { fixture, alice, bob, root, sub, helper }
}

#[tokio::test]
async fn every_room_of_a_tree_has_the_roles_of_its_root() {
    let Scene { fixture, bob, root, sub, helper, .. } = scene().await;
    for room in [root, sub] {
        let list = fixture.get(bob, &format!("/v1/rooms/{room}/roles")).await.ok();
        assert_eq!(list["root_id"], json!(root));
        let names: Vec<&str> = fields(&list, "role").into_iter().map(|role| role.as_str().unwrap()).collect();
        assert_eq!(names, ["owner", "admin", "moderator", &helper.to_string(), "member", "guest"]);
        let made = &items(&list)[3];
        assert_eq!((&made["name"], &made["rank"]), (&json!("Helper"), &json!(30)));
        assert_eq!(made["permissions"], json!(["message.send", "member.kick"]));
        assert_eq!(items(&list)[4]["name"], Value::Null);
    }
}

#[tokio::test]
async fn a_room_says_what_it_says_itself() {
    let Scene { fixture, bob, root, sub, helper, .. } = scene().await;
    let list = fixture.get(bob, &format!("/v1/rooms/{sub}/overrides")).await.ok();
    assert_eq!(list, json!({"items": [{"role": helper, "allow": [], "deny": ["member.kick"]}]}));
    let list = fixture.get(bob, &format!("/v1/rooms/{root}/overrides")).await.ok();
    assert_eq!(list, json!({"items": []}));
}

#[tokio::test]
async fn members_have_their_roles_until_these_are_removed() {
    let Scene { mut fixture, alice, bob, root, helper, .. } = scene().await;
    let role_of = async |fixture: &Fixture, account: AccountId| {
        let page = fixture.get(bob, &format!("/v1/rooms/{root}/members")).await.ok();
        let member = items(&page).iter().find(|member| member["account_id"] == json!(account)).cloned();
        member.unwrap()["role"].clone()
    };
    assert_eq!(role_of(&fixture, alice).await, "owner");
    assert_eq!(role_of(&fixture, bob).await, json!(helper));
    let removed = |seq| RoleRemoved { room_id: root, seq, role_id: helper, by: alice }.into();
    fixture.world.tell(root, "remove_role", removed).await;
    fixture.project().await;
    assert_eq!(role_of(&fixture, bob).await, "member");
}

#[tokio::test]
async fn what_an_account_may_do_is_explained() {
    let Scene { fixture, alice, bob, root, sub, helper } = scene().await;
    let explain = async |room: RoomId, account: AccountId, permission: &str| {
        let path = format!("/v1/rooms/{room}/members/{account}/permissions?permission={permission}");
        let list = fixture.get(bob, &path).await.ok();
        assert_eq!(items(&list).len(), 1);
        items(&list)[0].clone()
    };
    assert_eq!(
        explain(root, bob, "member.kick").await,
        json!({"permission": "member.kick", "allowed": true,
               "rule": {"kind": "role", "role": helper, "held_in": root}})
    );
    assert_eq!(
        explain(sub, bob, "member.kick").await,
        json!({"permission": "member.kick", "allowed": false,
               "rule": {"kind": "override", "role": helper, "held_in": root, "set_in": sub}})
    );
    assert_eq!(
        explain(sub, alice, "room.delete").await,
        json!({"permission": "room.delete", "allowed": true, "rule": {"kind": "owner", "held_in": root}})
    );
    let nobody = AccountId::from_u128(1);
    assert_eq!(explain(root, nobody, "message.send").await["rule"], json!({"kind": "not_a_member"}));

    let all = fixture.get(bob, &format!("/v1/rooms/{sub}/members/{bob}/permissions")).await.ok();
    let names: Vec<&str> =
        fields(&all, "permission").into_iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(names, Permission::ALL.iter().map(|permission| permission.name()).collect::<Vec<_>>());
    let path = format!("/v1/rooms/{sub}/members/{bob}/permissions?permission=everything");
    fixture.get(bob, &path).await.problem(400, "invalid_query");
    fixture
        .get(bob, &format!("/v1/rooms/{sub}/members/nobody/permissions"))
        .await
        .problem(400, "invalid_path");
}

#[tokio::test]
async fn the_timeline_tells_of_roles() {
    let Scene { fixture, alice, bob, root, sub, helper } = scene().await;
    let page = fixture.get(bob, &format!("/v1/rooms/{root}/events?from_seq=4")).await.ok();
    let events = fields(&page, "event");
    assert_eq!(
        (&events[0]["type"], &events[0]["name"], &events[0]["role_id"], &events[0]["by"]),
        (&json!("role_defined"), &json!("Helper"), &json!(helper), &json!(alice))
    );
    assert_eq!(
        (&events[1]["type"], &events[1]["role"], &events[1]["account_id"]),
        (&json!("role_set"), &json!(helper), &json!(bob))
    );
    let page = fixture.get(bob, &format!("/v1/rooms/{sub}/events?from_seq=4")).await.ok();
    let said = fields(&page, "event")[0].clone();
    assert_eq!((&said["type"], &said["deny"]), (&json!("override_set"), &json!(["member.kick"])));
}
