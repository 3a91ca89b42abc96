//! A small history in which everything is right, for the checkers' tests to break.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{Invariant, Model, Violation};
use crate::chaos::history::*;

pub const ROOM: Uuid = Uuid::from_u128(100);
pub const ADA: Uuid = Uuid::from_u128(1);
pub const BOB: Uuid = Uuid::from_u128(2);

/// Ada makes a room. Bob comes, leaves and comes again, while Ada says something each time. Who is away sees
/// nothing of it.
pub struct Story {
    pub history: History,
}

pub fn broken(violations: &[Violation], invariant: Invariant) -> bool {
    violations.iter().any(|violation| violation.invariant == invariant)
}

impl Story {
    pub fn new() -> Self {
        let mut story = Self { history: History::default() };
        story.command(ADA, Wanted::Create, vec![created(1), joined(2, ADA)]);
        story.command(BOB, Wanted::Join { room: ROOM }, vec![joined(3, BOB)]);
        story.send(4);
        story.command(BOB, Wanted::Leave { room: ROOM }, vec![left(5, BOB)]);
        story.send(6);
        story.command(BOB, Wanted::Join { room: ROOM }, vec![joined(7, BOB)]);
        story.send(8);
        let event = |seq: Seq| story.event_frame(seq);
        let ada = [
            connection(ADA, &[], &[(ROOM, 3)], vec![event(3), event(4), event(5)]),
            connection(ADA, &[(ROOM, 5)], &[(ROOM, 6)], vec![event(6), event(7), event(8)]),
        ];
        let bob = [
            connection(BOB, &[], &[], vec![event(3), event(4), event(5), hidden(6, 6), event(7)]),
            connection(BOB, &[(ROOM, 7)], &[(ROOM, 8)], vec![event(8)]),
        ];
        story.history.connections = ada.into_iter().chain(bob).collect();
        story.history.views = vec![story.view("after settling"), story.view("after a rebuild")];
        story
    }

    pub fn model(&self) -> Model {
        Model::of(&self.history)
    }

    fn command(&mut self, account: Uuid, wanted: Wanted, events: Vec<Event>) {
        let number = self.history.commands.len() as u64;
        let key = Uuid::from_u128(1_000 + u128::from(number));
        let answer = Answer {
            seq: events.last().map_or(0, |event| event.seq),
            room: None,
            message: events.iter().find_map(|event| match event.what {
                What::Sent { message, .. } => Some(message),
                _ => None,
            }),
            position: format!("r0-{number}"),
        };
        let attempt = Attempt {
            began: number * 100,
            ended: number * 100 + 10,
            instance: "all-1".to_owned(),
            outcome: Outcome::Accepted(answer),
        };
        self.history.commands.push(Command { account, key, wanted, attempts: vec![attempt] });
        self.history.log.records.push(Record {
            partition: "rooms/0".to_owned(),
            offset: number,
            actor: Some(account),
            key: Some(key),
            events,
        });
    }

    fn send(&mut self, seq: Seq) {
        let wanted = Wanted::Send { room: ROOM, text: text(seq) };
        let what = What::Sent { message: Uuid::from_u128(u128::from(seq) + 5_000), author: ADA };
        self.command(ADA, wanted, vec![Event { room: ROOM, seq, what }]);
    }

    pub fn event_frame(&self, seq: Seq) -> Frame {
        let events = self.history.log.records.iter().flat_map(|record| &record.events);
        let event = events.into_iter().find(|event| event.seq == seq).unwrap();
        let text = matches!(event.what, What::Sent { .. }).then(|| text(seq));
        let body = Body::Event { what: event.what.clone(), text };
        Frame { at: 5_000, room: ROOM, from: seq, to: seq, body }
    }

    fn view(&self, name: &str) -> View {
        let shown = |seq| (seq, if seq == 1 { Body::Hidden } else { self.event_frame(seq).body });
        let events: Vec<(Seq, Body)> = (1..=8).map(shown).collect();
        let messages = [4, 6, 8].map(|seq| Message {
            seq,
            id: Uuid::from_u128(u128::from(seq) + 5_000),
            author: ADA,
            text: text(seq),
        });
        let room = RoomView {
            last_seq: 8,
            member_count: 2,
            members: BTreeMap::from([(ADA, 2), (BOB, 7)]),
            events,
            messages: messages.to_vec(),
        };
        View {
            name: name.to_owned(),
            rooms: BTreeMap::from([(ROOM, room)]),
            rooms_of: BTreeMap::from([(ADA, vec![ROOM]), (BOB, vec![ROOM])]),
        }
    }
}

fn text(seq: Seq) -> String {
    format!("message {seq}")
}

fn created(seq: Seq) -> Event {
    Event { room: ROOM, seq, what: What::Created { by: ADA, from_beginning: false } }
}

fn joined(seq: Seq, account: Uuid) -> Event {
    Event { room: ROOM, seq, what: What::Joined { account } }
}

fn left(seq: Seq, account: Uuid) -> Event {
    Event { room: ROOM, seq, what: What::Left { account } }
}

pub fn hidden(from: Seq, to: Seq) -> Frame {
    Frame { at: 5_000, room: ROOM, from, to, body: Body::Hidden }
}

pub fn connection(
    account: Uuid,
    since: &[(Uuid, Seq)],
    rooms: &[(Uuid, Seq)],
    frames: Vec<Frame>,
) -> Connection {
    Connection {
        account,
        instance: "ws-fanout-1".to_owned(),
        opened: 0,
        since: since.iter().copied().collect(),
        started: Some(Started { rooms: rooms.iter().copied().collect(), not_member: Vec::new() }),
        frames,
        ended: "closed".to_owned(),
    }
}
