//! What the projectors' tests share.

#![allow(dead_code, reason = "each test file uses some of it")]
#![allow(clippy::unwrap_used, reason = "tests")]

pub mod faults;

use roomlog_domain::visibility::{HistoryRule, Interval, Visibility};
use roomlog_eventlog::{PartitionCounts, TopicPartition};
use roomlog_projectors::Stores;
use roomlog_projectors::testing::{TestRoom, World};
use roomlog_schemas::{AccountId, Announced, Event, RoomId, decode_event};
use roomlog_stores::rooms::Page;

pub const PARTITIONS: PartitionCounts = PartitionCounts { accounts: 2, rooms: 3 };
/// More than any test's rooms hold.
const ALL: usize = 100_000;

pub async fn random_world(seed: u64, steps: usize, stores: &Stores) -> World {
    let mut world = World::new(seed, PARTITIONS, stores.sealer.clone()).await;
    for _ in 0..steps {
        world.step().await;
    }
    world
}

/// Everything that the stores tell about this world, as text that can be compared.
pub async fn dump(world: &World, stores: &Stores) -> Vec<String> {
    let mut rows = Vec::new();
    for &room in world.rooms.keys() {
        rows.push(format!("{:?}", stores.directory.room(room).await.unwrap()));
        rows.push(format!("{:?}", stores.directory.members(room, None, ALL).await.unwrap()));
        rows.push(format!("{:?}", stores.rooms.seq_range(room).await.unwrap()));
        rows.push(format!("{:?}", stores.rooms.events(room, 1, ALL).await.unwrap()));
        rows.push(format!("{:?}", stores.rooms.messages(room, Page::After(0), ALL).await.unwrap()));
        rows.push(format!("{:?}", stores.rooms.member_ids(room).await.unwrap()));
        for &account in world.accounts.keys() {
            rows.push(format!("{:?}", stores.rooms.visibility(room, account).await.unwrap()));
        }
    }
    for &account in world.accounts.keys() {
        rows.push(format!("{:?}", stores.directory.account(account).await.unwrap()));
        rows.push(format!("{:?}", stores.directory.rooms_of(account, None, ALL).await.unwrap()));
        rows.push(format!("{:?}", stores.rooms.rooms_of(account).await.unwrap()));
    }
    for partition in PARTITIONS.all() {
        rows.push(format!("{partition}: {:?}", stores.directory.cursor(partition).await.unwrap()));
        rows.push(format!("{partition}: {:?}", stores.rooms.cursor(partition).await.unwrap()));
    }
    rows
}

/// The stores say about every room and account what the world knows.
pub async fn assert_stores_hold(world: &World, stores: &Stores) {
    for (&id, room) in &world.rooms {
        assert_timeline(id, room, stores).await;
        assert_directory(world, id, room, stores).await;
        for &account in world.accounts.keys() {
            let stored = stores.rooms.visibility(id, account).await.unwrap();
            assert_eq!(stored, visibility(room, account), "{account} in {id}");
        }
    }
    for (&id, username) in &world.accounts {
        let row = stores.directory.account(id).await.unwrap().expect("a row of each account");
        assert_eq!(&row.username, username);
        let rooms: Vec<RoomId> =
            world.rooms.iter().filter(|(_, room)| room.members.contains(&id)).map(|(id, _)| *id).collect();
        let listed = stores.directory.rooms_of(id, None, ALL).await.unwrap();
        assert_eq!(listed.iter().map(|row| row.room_id).collect::<Vec<_>>(), rooms);
        let listed = stores.rooms.rooms_of(id).await.unwrap();
        assert_eq!(listed.iter().map(|(room, _)| *room).collect::<Vec<_>>(), rooms);
    }
}

pub async fn assert_timeline(id: RoomId, room: &TestRoom, stores: &Stores) {
    let stored = stores.rooms.events(id, 1, ALL).await.unwrap();
    let events: Vec<Event> =
        stored.iter().map(|row| decode_event(&row.event, &Announced::default()).unwrap()).collect();
    assert_eq!(events, room.timeline);
    let messages = stores.rooms.messages(id, Page::After(0), ALL).await.unwrap();
    let expected = room.timeline.iter().filter_map(|event| match event {
        Event::MessageSent(e) => Some((e.seq, e.message_id, e.text.clone())),
        _ => None,
    });
    let stored: Vec<_> = messages.into_iter().map(|row| (row.seq, row.message_id, row.text)).collect();
    assert_eq!(stored, expected.collect::<Vec<_>>());
    assert_eq!(stores.rooms.member_ids(id).await.unwrap(), Vec::from_iter(room.members.iter().copied()));
}

pub async fn assert_directory(world: &World, id: RoomId, room: &TestRoom, stores: &Stores) {
    let row = stores.directory.room(id).await.unwrap().expect("a row of each room");
    let mut root_id = id;
    while let Some(parent) = world.rooms[&root_id].parent {
        root_id = parent;
    }
    assert_eq!((row.root_id, row.parent_id, &row.name), (root_id, room.parent, &room.name));
    assert_eq!((row.last_seq, row.member_count), (room.timeline.len() as u64, room.members.len() as u64));
    let members = stores.directory.members(id, None, ALL).await.unwrap();
    assert_eq!(
        members.iter().map(|row| row.account_id).collect::<Vec<_>>(),
        Vec::from_iter(room.members.iter().copied())
    );
    for member in members {
        assert_eq!(member.username, world.accounts[&member.account_id]);
    }
}

/// What the timeline says that an account may see.
fn visibility(room: &TestRoom, account: AccountId) -> Option<Visibility> {
    let mut intervals: Vec<Interval> = Vec::new();
    for event in &room.timeline {
        match event {
            Event::MemberJoined(e) if e.account_id == account => {
                intervals.push(Interval { joined: e.seq, left: None });
            }
            Event::MemberLeft(e) if e.account_id == account => {
                intervals.last_mut().expect("it joined before").left = Some(e.seq);
            }
            _ => {}
        }
    }
    let rules = vec![HistoryRule { from: 1, rule: room.history }];
    (!intervals.is_empty()).then_some(Visibility { intervals, rules })
}

pub fn room_partitions() -> impl Iterator<Item = TopicPartition> {
    PARTITIONS.all().filter(|partition| partition.topic == roomlog_eventlog::Topic::Rooms)
}

pub fn root_of(world: &World, mut room: RoomId) -> RoomId {
    while let Some(parent) = world.rooms[&room].parent {
        room = parent;
    }
    room
}
