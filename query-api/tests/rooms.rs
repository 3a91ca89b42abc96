//! `/v1/rooms`, `/v1/rooms/{room_id}` and its members.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Fixture, fields, items};
use roomlog_schemas::{AccountId, History, RoomId};
use serde_json::{Value, json};

/// Follows `next_cursor` to the end; the value of one field of every item.
async fn walk(fixture: &Fixture, account: AccountId, path: &str, limit: usize, field: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = fixture.get(account, &format!("{path}?limit={limit}{cursor}")).await.ok();
        assert!(items(&page).len() <= limit);
        all.extend(fields(&page, field).into_iter().map(|value| value.as_str().unwrap().to_owned()));
        match &page["next_cursor"] {
            Value::String(next) => cursor = format!("&cursor={next}"),
            next => {
                assert!(next.is_null());
                return all;
            }
        }
    }
}

#[tokio::test]
async fn a_caller_lists_its_rooms_in_pages() {
    let mut fixture = Fixture::new().await;
    let alice = fixture.world.register(Some("alice")).await;
    let bob = fixture.world.register(Some("bob")).await;
    let mut rooms = Vec::new();
    for n in 0..7 {
        rooms
            .push(fixture.world.create_room(alice, None, History::FromBeginning, &format!("Room {n}")).await);
    }
    fixture.world.join(rooms[2], bob).await;
    fixture.world.leave(rooms[6], alice).await;
    fixture.project().await;

    rooms.pop();
    rooms.sort();
    let expected: Vec<String> = rooms.iter().map(RoomId::to_string).collect();
    for limit in [1, 2, 3, 6, 7, 200] {
        assert_eq!(walk(&fixture, alice, "/v1/rooms", limit, "room_id").await, expected, "limit {limit}");
    }
    assert_eq!(walk(&fixture, bob, "/v1/rooms", 50, "name").await, ["Room 2"]);
    let nobody = AccountId::from_u128(1);
    assert_eq!(
        fixture.get(nobody, "/v1/rooms").await.ok(),
        json!({"items": [], "next_cursor": null, "incomplete": false})
    );
}

#[tokio::test]
async fn a_member_sees_the_room() {
    let mut fixture = Fixture::new().await;
    let alice = fixture.world.register(Some("alice")).await;
    let root = fixture.world.create_room(alice, None, History::FromBeginning, "Root").await;
    let room = fixture.world.create_room(alice, Some(root), History::FromJoin, "Sub").await;
    fixture.project().await;
    let body = fixture.get(alice, &format!("/v1/rooms/{room}")).await.ok();
    assert_eq!(
        body,
        json!({
            "room_id": room,
            "root_id": root,
            "parent_id": root,
            "kind": "group",
            "access": "public",
            "history": "from_join",
            "name": "Sub",
            "creator_id": alice,
            "created_at": "2026-05-28T20:26:43Z",
            "last_seq": 2,
            "member_count": 1,
            "quarantined": false,
        })
    );
    let body = fixture.get(alice, &format!("/v1/rooms/{root}")).await.ok();
    assert_eq!((&body["parent_id"], &body["root_id"]), (&Value::Null, &json!(root)));
}

#[tokio::test]
async fn members_are_listed_in_pages_with_their_names() {
    let mut fixture = Fixture::new().await;
    let alice = fixture.world.register(Some("alice")).await;
    let room = fixture.world.create_room(alice, None, History::FromBeginning, "Room").await;
    let unclaimed = fixture.world.register(None).await;
    fixture.world.join(room, unclaimed).await;
    let mut members = vec![alice, unclaimed];
    for n in 0..5 {
        let account = fixture.world.register(Some(&format!("user{n}"))).await;
        fixture.world.join(room, account).await;
        members.push(account);
    }
    fixture.project().await;

    members.sort();
    let expected: Vec<String> = members.iter().map(AccountId::to_string).collect();
    let path = format!("/v1/rooms/{room}/members");
    for limit in [1, 3, 7, 8] {
        assert_eq!(walk(&fixture, alice, &path, limit, "account_id").await, expected);
    }
    let page = fixture.get(alice, &path).await.ok();
    let of =
        |account: AccountId| items(&page).iter().find(|item| item["account_id"] == json!(account)).unwrap();
    assert_eq!((&of(alice)["username"], &of(alice)["role"]), (&json!("alice"), &json!("owner")));
    assert_eq!((&of(unclaimed)["username"], &of(unclaimed)["joined_seq"]), (&Value::Null, &json!(3)));
    assert_eq!(of(unclaimed)["joined_at"], "2026-05-28T20:26:44Z");
}

#[tokio::test]
async fn cursors_and_limits_are_checked() {
    let mut fixture = Fixture::new().await;
    let alice = fixture.world.register(Some("alice")).await;
    let room = fixture.world.create_room(alice, None, History::FromBeginning, "Room").await;
    fixture.project().await;
    for path in ["/v1/rooms".to_owned(), format!("/v1/rooms/{room}/members")] {
        for limit in ["0", "201", "10000", "-1", "many", "", "1.5", "99999999999999999999999"] {
            let problem =
                fixture.get(alice, &format!("{path}?limit={limit}")).await.problem(400, "invalid_query");
            assert_eq!(problem["fields"], json!(["limit"]), "{limit}");
        }
        for cursor in ["", "x", "0190163d-8694", "%00"] {
            let problem =
                fixture.get(alice, &format!("{path}?cursor={cursor}")).await.problem(400, "invalid_query");
            assert_eq!(problem["fields"], json!(["cursor"]), "{cursor}");
        }
    }
}
