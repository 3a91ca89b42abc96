//! `/v1/rooms/{room_id}/events`.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Fixture, items};
use roomlog_query_api::Limits;
use roomlog_schemas::{AccountId, History, RoomId};
use serde_json::{Value, json};

/// A room that bob was in from seq 4 to 6 and is in since seq 9; the last seq is 10.
async fn room(history: History, limits: Limits) -> (Fixture, AccountId, AccountId, RoomId) {
    let mut fixture = Fixture::with_limits(limits).await;
    let world = &mut fixture.world;
    let alice = world.register(Some("alice")).await;
    let bob = world.register(Some("bob")).await;
    let room = world.create_room(alice, None, history, "Room").await;
    world.send(room, alice, "three").await;
    world.join(room, bob).await;
    world.send(room, bob, "five").await;
    world.leave(room, bob).await;
    world.send(room, alice, "seven").await;
    world.send(room, alice, "eight").await;
    world.join(room, bob).await;
    world.send(room, alice, "ten").await;
    fixture.project().await;
    (fixture, alice, bob, room)
}

/// Each item in short: a seq, or a hidden range.
fn short(page: &Value) -> Vec<Value> {
    let of = |item: &Value| match item.get("hidden") {
        Some(hidden) => json!([hidden["from"], hidden["to"]]),
        None => item["seq"].clone(),
    };
    items(page).iter().map(of).collect()
}

#[tokio::test]
async fn the_timeline_is_given_in_the_form_of_the_stream() {
    let (fixture, alice, bob, room) = room(History::FromBeginning, Limits::default()).await;
    let page = fixture.get(alice, &format!("/v1/rooms/{room}/events")).await.ok();
    assert_eq!(short(&page), (1..=10).map(Value::from).collect::<Vec<_>>());
    assert_eq!((&page["has_more"], &page["next_from_seq"]), (&json!(false), &json!(11)));
    let events: Vec<_> = items(&page).iter().map(|item| &item["event"]).collect();
    assert_eq!(
        (&events[0]["type"], &events[0]["name"], &events[0]["history"]),
        (&json!("room_created"), &json!("Room"), &json!("from_beginning"))
    );
    assert_eq!((&events[3]["type"], &events[3]["account_id"]), (&json!("member_joined"), &json!(bob)));
    assert_eq!((&events[4]["type"], &events[4]["text"]), (&json!("message_sent"), &json!("five")));
    assert_eq!(events[5]["type"], "member_left");
}

#[tokio::test]
async fn what_is_hidden_is_said_in_ranges() {
    let (fixture, _, bob, room) = room(History::FromJoin, Limits::default()).await;
    let path = format!("/v1/rooms/{room}/events");
    let page = fixture.get(bob, &path).await.ok();
    assert_eq!(
        short(&page),
        [json!([1, 3]), json!(4), json!(5), json!(6), json!([7, 8]), json!(9), json!(10)]
    );
    let page = fixture.get(bob, &format!("{path}?from_seq=8")).await.ok();
    assert_eq!(short(&page), [json!([8, 8]), json!(9), json!(10)]);
    let page = fixture.get(bob, &format!("{path}?from_seq=11")).await.ok();
    assert_eq!(
        (items(&page).len(), &page["next_from_seq"], &page["has_more"]),
        (0, &json!(11), &json!(false))
    );
}

#[tokio::test]
async fn pages_of_any_size_cover_every_seq_once() {
    for limits in [Limits::default(), Limits { max_reads: 1, ..Limits::default() }] {
        let (fixture, _, bob, room) = room(History::FromJoin, limits).await;
        for limit in 1..=8 {
            let (mut all, mut from) = (Vec::new(), 1);
            loop {
                let path = format!("/v1/rooms/{room}/events?from_seq={from}&limit={limit}");
                let page = fixture.get(bob, &path).await.ok();
                assert!(items(&page).len() <= limit);
                all.extend(short(&page));
                from = page["next_from_seq"].as_u64().unwrap();
                if page["has_more"] == json!(false) {
                    break;
                }
            }
            let expected = [json!([1, 3]), json!(4), json!(5), json!(6), json!([7, 8]), json!(9), json!(10)];
            assert_eq!(all, expected, "limit {limit}");
        }
    }
}

#[tokio::test]
async fn parameters_are_checked() {
    let (fixture, alice, _, room) = room(History::FromJoin, Limits::default()).await;
    for (query, field) in [
        ("from_seq=x", "from_seq"),
        ("from_seq=9223372036854775808", "from_seq"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
    ] {
        let path = format!("/v1/rooms/{room}/events?{query}");
        let problem = fixture.get(alice, &path).await.problem(400, "invalid_query");
        assert_eq!(problem["fields"], json!([field]));
    }
    let last = fixture.get(alice, &format!("/v1/rooms/{room}/events?from_seq={}", i64::MAX)).await.ok();
    assert_eq!(items(&last).len(), 0);
}
