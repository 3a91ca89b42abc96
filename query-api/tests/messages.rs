//! `/v1/rooms/{room_id}/messages`.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Fixture, fields, items};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use roomlog_domain::visibility::{HistoryRule, Interval, Visibility};
use roomlog_projectors::testing::TestRoom;
use roomlog_query_api::Limits;
use roomlog_schemas::event::Seq;
use roomlog_schemas::{AccountId, Event, History, MessageId, RoomId};
use serde_json::{Value, json};

/// Seqs of the messages that the log says this account may see.
fn visible(room: &TestRoom, account: AccountId) -> Vec<Seq> {
    let mut intervals: Vec<Interval> = Vec::new();
    for event in &room.timeline {
        match event {
            Event::MemberJoined(e) if e.account_id == account => {
                intervals.push(Interval { joined: e.seq, left: None })
            }
            Event::MemberLeft(e) if e.account_id == account => {
                intervals.last_mut().unwrap().left = Some(e.seq)
            }
            _ => {}
        }
    }
    let visibility = Visibility { intervals, rules: vec![HistoryRule { from: 1, rule: room.history }] };
    let messages = room.timeline.iter().filter_map(|event| match event {
        Event::MessageSent(e) => Some(e.seq),
        _ => None,
    });
    messages.filter(|&seq| visibility.sees(seq)).collect()
}

fn seqs(page: &Value) -> Vec<Seq> {
    fields(page, "seq").into_iter().map(|seq| seq.as_u64().unwrap()).collect()
}

/// Everything from the newest message back, with pages of random sizes.
async fn backwards(fixture: &Fixture, account: AccountId, room: RoomId, random: &mut StdRng) -> Vec<Seq> {
    let mut all = Vec::new();
    let mut before = String::new();
    loop {
        let limit = random.random_range(1..=7);
        let page =
            fixture.get(account, &format!("/v1/rooms/{room}/messages?limit={limit}{before}")).await.ok();
        assert!(items(&page).len() <= limit);
        all.splice(0..0, seqs(&page));
        assert_eq!(page["has_more"], json!(page["next_before_seq"].is_u64()));
        match page["next_before_seq"].as_u64() {
            Some(seq) => before = format!("&before_seq={seq}"),
            None => return all,
        }
    }
}

async fn forwards(fixture: &Fixture, account: AccountId, room: RoomId, random: &mut StdRng) -> Vec<Seq> {
    let mut all = Vec::new();
    let mut after = 0;
    loop {
        let limit = random.random_range(1..=7);
        let path = format!("/v1/rooms/{room}/messages?limit={limit}&after_seq={after}");
        let page = fixture.get(account, &path).await.ok();
        assert!(items(&page).len() <= limit);
        all.extend(seqs(&page));
        after = page["next_after_seq"].as_u64().unwrap();
        if page["has_more"] == json!(false) {
            return all;
        }
    }
}

#[tokio::test]
async fn pages_in_both_directions_give_what_the_log_says_in_its_order() {
    for (seed, max_reads) in [(1, 8), (2, 1), (3, 2), (4, 8)] {
        let mut random = StdRng::seed_from_u64(seed);
        let mut fixture = Fixture::with_limits(Limits { max_reads, ..Limits::default() }).await;
        let world = &mut fixture.world;
        let mut accounts = Vec::new();
        for name in ["alice", "bob", "carol"] {
            accounts.push(world.register(Some(name)).await);
        }
        let mut rooms = Vec::new();
        for history in [History::FromBeginning, History::FromJoin] {
            rooms.push(world.create_room(accounts[0], None, history, "Room").await);
        }
        for n in 0..150 {
            let room = rooms[random.random_range(0..rooms.len())];
            let account = accounts[random.random_range(0..accounts.len())];
            let is_member = world.rooms[&room].members.contains(&account);
            match (random.random_range(0..10), is_member) {
                (0, true) if account != accounts[0] => world.leave(room, account).await,
                (0..3, false) => world.join(room, account).await,
                _ => drop(world.send(room, accounts[0], &format!("text {n}")).await),
            }
        }
        fixture.project().await;
        for (&id, room) in &fixture.world.rooms {
            for &account in room.members.iter() {
                let expected = visible(room, account);
                let name = format!("seed {seed}, {account} in {id}");
                assert_eq!(
                    backwards(&fixture, account, id, &mut random).await,
                    expected,
                    "backwards, {name}"
                );
                assert_eq!(forwards(&fixture, account, id, &mut random).await, expected, "forwards, {name}");
            }
        }
    }
}

async fn room_with_history(
    history: History,
) -> (Fixture, AccountId, AccountId, RoomId, MessageId, MessageId) {
    let mut fixture = Fixture::new().await;
    let alice = fixture.world.register(Some("alice")).await;
    let bob = fixture.world.register(Some("bob")).await;
    let room = fixture.world.create_room(alice, None, history, "Room").await;
    let early = fixture.world.send(room, alice, "before bob").await;
    fixture.world.join(room, bob).await;
    let late = fixture.world.send(room, alice, "Grüße, bob").await;
    fixture.project().await;
    (fixture, alice, bob, room, early, late)
}

#[tokio::test]
async fn a_message_has_its_text_and_times() {
    let (fixture, alice, _, room, early, _) = room_with_history(History::FromBeginning).await;
    let page = fixture.get(alice, &format!("/v1/rooms/{room}/messages")).await.ok();
    let expected = json!({
        "message_id": early,
        "room_id": room,
        "seq": 3,
        "author_id": alice,
        "text": "before bob",
        "sent_at": "2026-05-28T20:26:44Z",
    });
    assert_eq!(items(&page)[0], expected);
    assert_eq!(fields(&page, "text"), ["before bob", "Grüße, bob"]);
    assert_eq!(
        (&page["has_more"], &page["next_before_seq"], &page["next_after_seq"]),
        (&json!(false), &Value::Null, &json!(5))
    );
    assert_eq!(fixture.get(alice, &format!("/v1/rooms/{room}/messages/{early}")).await.ok(), expected);
}

#[tokio::test]
async fn what_is_hidden_is_absent_from_pages_and_not_found() {
    let (fixture, alice, bob, room, early, late) = room_with_history(History::FromJoin).await;
    let path = format!("/v1/rooms/{room}/messages");
    for query in ["", "?after_seq=0", "?before_seq=100"] {
        let page = fixture.get(bob, &format!("{path}{query}")).await.ok();
        assert_eq!(fields(&page, "message_id"), [&json!(late)]);
        assert_eq!(fields(&fixture.get(alice, &format!("{path}{query}")).await.ok(), "seq").len(), 2);
    }
    let page = fixture.get(bob, &format!("{path}?before_seq=4")).await.ok();
    assert_eq!((items(&page).len(), &page["has_more"]), (0, &json!(false)));
    fixture.get(bob, &format!("{path}/{early}")).await.problem(404, "message_not_found");
    fixture.get(bob, &format!("{path}/{late}")).await.ok();
}

#[tokio::test]
async fn after_leaving_nothing_is_seen() {
    let (mut fixture, _, bob, room, _, late) = room_with_history(History::FromBeginning).await;
    fixture.world.leave(room, bob).await;
    fixture.project().await;
    for rest in ["messages".to_owned(), format!("messages/{late}"), "events".to_owned(), "members".to_owned()]
    {
        fixture.get(bob, &format!("/v1/rooms/{room}/{rest}")).await.problem(404, "room_not_found");
    }
}

#[tokio::test]
async fn a_message_is_found_only_in_its_own_room() {
    let (mut fixture, alice, _, room, early, _) = room_with_history(History::FromBeginning).await;
    let other = fixture.world.create_room(alice, None, History::FromBeginning, "Other").await;
    fixture.project().await;
    fixture
        .get(alice, &format!("/v1/rooms/{other}/messages/{early}"))
        .await
        .problem(404, "message_not_found");
    let unknown = MessageId::from_u128(1);
    fixture
        .get(alice, &format!("/v1/rooms/{room}/messages/{unknown}"))
        .await
        .problem(404, "message_not_found");
    fixture.get(alice, &format!("/v1/rooms/{room}/messages/nonsense")).await.problem(400, "invalid_path");
}

#[tokio::test]
async fn parameters_are_checked() {
    let (fixture, alice, _, room, _, _) = room_with_history(History::FromBeginning).await;
    let path = format!("/v1/rooms/{room}/messages");
    for (query, fields) in [
        ("before_seq=1&after_seq=1", json!(["before_seq", "after_seq"])),
        ("before_seq=x", json!(["before_seq"])),
        ("before_seq=9223372036854775808", json!(["before_seq"])),
        ("after_seq=-1", json!(["after_seq"])),
        ("limit=0", json!(["limit"])),
        ("limit=10000", json!(["limit"])),
    ] {
        let problem = fixture.get(alice, &format!("{path}?{query}")).await.problem(400, "invalid_query");
        assert_eq!(problem["fields"], fields, "{query}");
    }
    let largest = i64::MAX;
    let page = fixture.get(alice, &format!("{path}?before_seq={largest}")).await.ok();
    assert_eq!(items(&page).len(), 2);
    let page = fixture.get(alice, &format!("{path}?after_seq={largest}")).await.ok();
    assert_eq!((items(&page).len(), &page["has_more"]), (0, &json!(false)));
    let page = fixture.get(alice, &format!("{path}?before_seq=0")).await.ok();
    assert_eq!((items(&page).len(), &page["has_more"]), (0, &json!(false)));
}

#[tokio::test]
async fn a_page_takes_no_more_reads_than_allowed_and_says_how_to_go_on() {
    let mut fixture = Fixture::with_limits(Limits { max_reads: 2, ..Limits::default() }).await;
    let world = &mut fixture.world;
    let alice = world.register(Some("alice")).await;
    let bob = world.register(Some("bob")).await;
    let room = world.create_room(alice, None, History::FromJoin, "Room").await;
    // Bob is a member from 3 to 5, 7 to 9, 11 to 13 and since 15, and each time sees one message.
    for n in 0..4 {
        world.join(room, bob).await;
        world.send(room, bob, "seen").await;
        if n < 3 {
            world.leave(room, bob).await;
            world.send(room, alice, "not seen").await;
        }
    }
    fixture.project().await;
    let path = format!("/v1/rooms/{room}/messages");
    let page = fixture.get(bob, &path).await.ok();
    assert_eq!((seqs(&page), &page["next_before_seq"]), (vec![12, 16], &json!(10)));
    let page = fixture.get(bob, &format!("{path}?before_seq=10")).await.ok();
    assert_eq!((seqs(&page), &page["next_before_seq"]), (vec![4, 8], &Value::Null));
    let page = fixture.get(bob, &format!("{path}?after_seq=0")).await.ok();
    assert_eq!(
        (seqs(&page), &page["has_more"], &page["next_after_seq"]),
        (vec![4, 8], &json!(true), &json!(10))
    );
}
