//! Clients that come and go at random, on two instances that come and go at random, follow everything
//! or only what they need, and hear of joinings or don't: every seq once
//! and in order, whatever happens, and nothing that an account may not see.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use common::client::Client;
use common::signals::Fate;
use common::{Fixture, Server};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, IteratorRandom};
use rand::{Rng, SeedableRng};
use roomlog_schemas::{AccountId, Event, History, RoomId};
use roomlog_ws_fanout::Options;
use serde_json::Value;

/// What one client has been sent of each room.
struct Auditor {
    account: AccountId,
    client: Option<Client>,
    /// The next seq of each room that a stream has covered.
    next: BTreeMap<RoomId, u64>,
    /// The rooms of the current socket.
    rooms: BTreeSet<RoomId>,
    /// Those of which the removal came last.
    ended: BTreeSet<RoomId>,
    events: u64,
    hidden: u64,
}

impl Auditor {
    fn new(account: AccountId) -> Self {
        let (rooms, ended) = (BTreeSet::new(), BTreeSet::new());
        Self { account, client: None, next: BTreeMap::new(), rooms, ended, events: 0, hidden: 0 }
    }

    async fn connect(&mut self, f: &Fixture, server: &Server) {
        let since: Vec<(RoomId, u64)> = self.next.iter().map(|(&room, &next)| (room, next - 1)).collect();
        let (client, started) = f.start(server, self.account, &since).await;
        self.client = Some(client);
        self.ended.clear();
        self.rooms.clear();
        for (room, next) in started["rooms"].as_object().unwrap() {
            let (room, next) = (room.parse().unwrap(), next.as_u64().unwrap());
            self.rooms.insert(room);
            assert_eq!(*self.next.entry(room).or_insert(next), next, "where {room} goes on");
        }
        for room in started["not_member"].as_array().unwrap() {
            self.ended.insert(room.as_str().unwrap().parse().unwrap());
        }
    }

    fn check(&mut self, f: &Fixture, frame: &Value) {
        let room: RoomId = frame["room_id"].as_str().unwrap_or_else(|| panic!("{frame}")).parse().unwrap();
        let timeline = &f.world.rooms[&room].timeline;
        self.rooms.insert(room);
        match frame["type"].as_str().unwrap() {
            "event" => {
                let seq = frame["seq"].as_u64().unwrap();
                let event = &timeline[seq as usize - 1];
                // A room that was joined with this event.
                let next = self.next.entry(room).or_insert(seq);
                assert_eq!(seq, *next, "{frame}");
                *next += 1;
                assert_eq!(frame["event"]["type"], event.name());
                if let Event::MessageSent(e) = event {
                    assert_eq!(frame["event"]["text"], f.world.texts[&e.message_id].as_str());
                }
                assert!(self.was_member(timeline, seq) || self.is_open(f, room), "{frame} is not for it");
                if self.ended.contains(&room) {
                    self.ended.remove(&room);
                    assert!(self.joins_after(timeline, seq), "{frame} after the removal");
                }
                if matches!(event, Event::MemberLeft(e) if e.account_id == self.account) {
                    self.ended.insert(room);
                }
                self.events += 1;
            }
            "hidden" => {
                let (from, to) = (frame["from"].as_u64().unwrap(), frame["to"].as_u64().unwrap());
                assert!(from <= to, "{frame}");
                assert_eq!(self.next.insert(room, to + 1), Some(from), "{frame}");
                assert!(
                    (from..=to).all(|seq| !self.was_member(timeline, seq)),
                    "{frame} hides what it may see"
                );
                assert!(self.joins_after(timeline, to), "{frame} of no member");
                self.ended.remove(&room);
                self.hidden += 1;
            }
            _ => panic!("{frame}"),
        }
    }

    fn was_member(&self, timeline: &[Event], seq: u64) -> bool {
        let mut is_member = false;
        for event in &timeline[..seq as usize] {
            match event {
                Event::MemberJoined(e) if e.account_id == self.account => is_member = true,
                Event::MemberLeft(e) if e.account_id == self.account => is_member = e.seq == seq,
                _ => {}
            }
        }
        is_member
    }

    fn is_open(&self, f: &Fixture, room: RoomId) -> bool {
        f.world.rooms[&room].history == History::FromBeginning
    }

    /// Whether it joins with this event or a later one.
    fn joins_after(&self, timeline: &[Event], seq: u64) -> bool {
        timeline[seq as usize - 1..]
            .iter()
            .any(|event| matches!(event, Event::MemberJoined(e) if e.account_id == self.account))
    }

    async fn read(&mut self, f: &Fixture, frames: usize, patience: Duration) {
        for _ in 0..frames {
            let Some(client) = &mut self.client else { return };
            let Some(frame) = client.poll(patience).await else { return };
            self.check(f, &frame);
        }
    }

    /// Reads until every room has been covered as far as it goes.
    async fn read_all(&mut self, f: &Fixture) {
        let is_covered = |this: &Self| {
            f.world.rooms.iter().all(|(room, known)| {
                if known.members.contains(&this.account) {
                    this.next.get(room) == Some(&(known.timeline.len() as u64 + 1))
                } else {
                    !this.rooms.contains(room) || this.ended.contains(room)
                }
            })
        };
        while !is_covered(self) {
            let frame = self.client.as_mut().unwrap().next().await;
            self.check(f, &frame);
        }
        // Rooms that were joined and left again meanwhile may follow.
        for frame in self.client.as_mut().unwrap().probe().await {
            self.check(f, &frame);
        }
    }
}

async fn random_step(f: &mut Fixture, random: &mut StdRng, accounts: &[AccountId], rooms: &mut Vec<RoomId>) {
    let room = *rooms.choose(random).unwrap();
    let account = *accounts.choose(random).unwrap();
    let members = &f.world.rooms[&room].members;
    let is_member = members.contains(&account);
    match random.random_range(0..100) {
        0..2 => {
            let history = if random.random() { History::FromJoin } else { History::FromBeginning };
            rooms.push(f.world.create_room(account, None, history, "Room").await);
        }
        2..4 if is_member => {
            rooms.push(f.world.create_room(account, Some(room), History::FromJoin, "Sub").await);
        }
        4..16 if is_member => f.world.leave(room, account).await,
        4..16 => f.world.join(room, account).await,
        _ => {
            if let Some(author) = members.iter().copied().choose(random) {
                f.send(room, author, 1).await;
            }
        }
    }
}

async fn simulate(seed: u64, steps: usize) -> (u64, u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut f = Fixture::running().await;
    let alice = f.world.register(Some("alice")).await;
    let bob = f.world.register(Some("bob")).await;
    let mut rooms = Vec::new();
    for history in [History::FromBeginning, History::FromJoin] {
        rooms.push(f.world.create_room(alice, None, history, "Room").await);
    }
    let options = |random: &mut StdRng| Options {
        ring_events: *[1, 5, 50].choose(random).unwrap(),
        rings_bytes: *[0, 20_000, 1 << 20].choose(random).unwrap(),
        queue_bytes: *[500, 5_000, 100_000].choose(random).unwrap(),
        tail_all: random.random(),
        tail_linger: Duration::from_millis(*[0, 3, 1_000].choose(random).unwrap()),
        poll_interval: Duration::from_millis(*[8, 200].choose(random).unwrap()),
        shortest_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(5),
        ..Options::default()
    };
    let mut servers = Vec::new();
    for _ in 0..2 {
        servers.push(f.serve_with(options(&mut random)).await);
    }
    let mut auditors: Vec<Auditor> = [alice, bob, bob].into_iter().map(Auditor::new).collect();
    let mut has_projectors = true;
    for _ in 0..steps {
        match random.random_range(0..100) {
            0..60 => {
                for _ in 0..random.random_range(1..10) {
                    random_step(&mut f, &mut random, &[alice, bob], &mut rooms).await;
                }
            }
            60..80 => {
                let count = random.random_range(1..30);
                let auditor = auditors.iter_mut().choose(&mut random).unwrap();
                auditor.read(&f, count, Duration::from_millis(5)).await;
            }
            80..94 if has_projectors => {
                let auditor = auditors.iter_mut().choose(&mut random).unwrap();
                auditor.client = None;
                let server = servers.choose(&mut random).unwrap();
                auditor.connect(&f, server).await;
            }
            94..98 if has_projectors => {
                let index = random.random_range(0..2);
                std::mem::replace(&mut servers[index], f.serve_with(options(&mut random)).await).kill();
                // Clients of the dead one find out when they read.
                for auditor in &mut auditors {
                    auditor.client = None;
                }
            }
            98 => {
                let fates = [Fate::Arrives, Fate::Doubled, Fate::Lost, Fate::Held];
                f.signals.set(*fates.choose(&mut random).unwrap());
                f.signals.release();
            }
            99 if has_projectors => {
                f.stop_projectors().await;
                has_projectors = false;
            }
            _ => {
                if !has_projectors {
                    f.start_projectors();
                    has_projectors = true;
                }
            }
        }
    }
    if !has_projectors {
        f.start_projectors();
    }
    for auditor in &mut auditors {
        if auditor.client.is_none() {
            auditor.connect(&f, &servers[0]).await;
        }
    }
    for server in &servers {
        server.has_processed(&f.log()).await;
    }
    for auditor in &mut auditors {
        auditor.read_all(&f).await;
    }
    (auditors.iter().map(|a| a.events).sum(), auditors.iter().map(|a| a.hidden).sum())
}

#[tokio::test]
async fn every_seq_is_covered_once_whatever_happens() {
    // Others with `ROOMLOG_TEST_SEEDS=100..200`.
    let seeds = std::env::var("ROOMLOG_TEST_SEEDS").unwrap_or_else(|_| "0..12".to_owned());
    let (first, end) = seeds.split_once("..").unwrap();
    let (mut events, mut hidden) = (0, 0);
    for seed in first.parse().unwrap()..end.parse().unwrap() {
        println!("seed {seed}");
        let counts = Box::pin(simulate(seed, 150)).await;
        events += counts.0;
        hidden += counts.1;
    }
    assert!(events > 0 && hidden > 0, "{events} events, {hidden} hidden");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_seq_is_covered_once_on_several_threads() {
    for seed in 100..106 {
        println!("seed {seed}");
        Box::pin(simulate(seed, 150)).await;
    }
}
