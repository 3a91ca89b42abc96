//! Each account's stream, over all its connections, is exactly the events that it might see, in order,
//! once, with the rest in `hidden`. Written from the promise (`docs/asyncapi.yaml`), not from the server.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::model::{Model, Room};
use super::{Invariant, Violation};
use crate::chaos::history::{Body, Connection, Frame, History, Seq, What};

/// A stream that has lost its order says so once in each room, not with every frame after.
type Places = BTreeMap<Uuid, Seq>;

pub fn check(history: &History, model: &Model) -> Vec<Violation> {
    let mut violations = Vec::new();
    let accounts: BTreeSet<Uuid> = history.connections.iter().map(|c| c.account).collect();
    for account in accounts {
        let mut stream = Stream { account, model, next: Places::new(), violations: &mut violations };
        for connection in history.connections.iter().filter(|c| c.account == account) {
            stream.follow(connection);
        }
        stream.is_complete();
    }
    violations
}

struct Stream<'a> {
    account: Uuid,
    model: &'a Model,
    /// The seq that has to come next, over all connections.
    next: Places,
    violations: &'a mut Vec<Violation>,
}

impl Stream<'_> {
    fn follow(&mut self, connection: &Connection) {
        // What this socket knows. A room that it does not know begins with the account's joining.
        let mut known = Places::new();
        for (room, last) in &connection.since {
            known.insert(*room, last + 1);
            // The client's own word counts where it had nothing yet.
            let next = *self.next.entry(*room).or_insert(last + 1);
            if next != last + 1 {
                let what = format!("the client has {last}, although {next} was to come");
                self.report(Invariant::StreamOrder, *room, next, what);
            }
        }
        let Some(started) = &connection.started else { return };
        for (room, first) in &started.rooms {
            match known.get(room) {
                Some(next) if next != first => {
                    let what = format!("resumes at {first} instead of {next} at {}", connection.instance);
                    self.report(Invariant::StreamOrder, *room, *first, what);
                }
                _ => {}
            }
            known.insert(*room, *first);
            self.next.insert(*room, *first);
        }
        for room in &started.not_member {
            let is_asked = connection.since.contains_key(room) && !started.rooms.contains_key(room);
            if !is_asked {
                let what = "is said to be none of its rooms without need".to_owned();
                self.report(Invariant::StreamOrder, *room, 1, what);
            }
        }
        for frame in &connection.frames {
            self.frame(frame, &mut known, connection);
        }
    }

    fn frame(&mut self, frame: &Frame, known: &mut Places, connection: &Connection) {
        let Frame { room, from, to, .. } = *frame;
        match known.get(&room) {
            Some(next) if *next != from => {
                let kind = if from < *next { "comes again" } else { "comes too early" };
                let what = format!("seq {from} {kind} at {}: {next} was to come", connection.instance);
                self.report(Invariant::StreamOrder, room, from, what);
            }
            None if !self.is_own_joining(room, from) => {
                let what = format!("a room that is new on this socket begins with seq {from}, no joining");
                self.report(Invariant::StreamOrder, room, from, what);
            }
            _ => {}
        }
        if to < from {
            self.report(Invariant::StreamOrder, room, from, format!("a range from {from} to {to}"));
        }
        for seq in from..=to {
            if let Some(what) = self.is_wrong(frame, seq) {
                self.report(Invariant::StreamSight, room, seq, what);
            }
        }
        known.insert(room, to + 1);
        self.next.insert(room, to + 1);
    }

    fn is_own_joining(&self, room: Uuid, seq: Seq) -> bool {
        let room = self.model.rooms.get(&room);
        room.is_some_and(|room| room.stays_of(self.account).iter().any(|stay| stay.joined == seq))
    }

    /// What is wrong with showing or hiding this event in this way.
    fn is_wrong(&self, frame: &Frame, seq: Seq) -> Option<String> {
        let Some(room) = self.model.rooms.get(&frame.room) else {
            return Some("a room that the log does not have".to_owned());
        };
        let Some(event) = room.timeline.get(&seq) else {
            return Some(format!("seq {seq}, which the log does not have"));
        };
        match &frame.body {
            Body::Gap => Some(format!("seq {seq} is in a gap")),
            Body::Hidden if self.must_show(room, seq) => Some(format!("seq {seq} is hidden")),
            Body::Hidden => None,
            Body::Event { what, .. } if *what != event.what => {
                Some(format!("seq {seq} is {what:?}; the log has {:?}", event.what))
            }
            Body::Event { text, .. } if *text != self.text(&event.what) => {
                Some(format!("seq {seq} has another text than was sent"))
            }
            Body::Event { .. } if !self.may_show(room, frame, seq) => {
                Some(format!("seq {seq} is shown to somebody who may not see it"))
            }
            Body::Event { .. } => None,
        }
    }

    /// A member at that time sees it. Somebody else does where the history rule says so and the account is a
    /// member when it is sent: of a stay that is over by then, nothing is known here.
    fn must_show(&self, room: &Room, seq: Seq) -> bool {
        let is_over = || room.stays_after(self.account, seq).any(|stay| stay.left.is_some());
        room.was_member(self.account, seq) || (room.from_beginning && !is_over())
    }

    /// Not before the account asked to become a member (again).
    fn may_show(&self, room: &Room, frame: &Frame, seq: Seq) -> bool {
        room.was_member(self.account, seq)
            || (room.from_beginning
                && room
                    .stays_after(self.account, seq)
                    .any(|stay| self.model.asked(frame.room, stay.joined) <= frame.at))
    }

    fn text(&self, what: &What) -> Option<String> {
        match what {
            What::Sent { message, .. } => self.model.texts.get(message).cloned(),
            _ => None,
        }
    }

    /// A member has everything up to the end.
    fn is_complete(&mut self) {
        let (model, account) = (self.model, self.account);
        for (id, room) in model.rooms.iter().filter(|(_, room)| room.is_member(account)) {
            let end = room.last_seq() + 1;
            match self.next.get(id) {
                Some(next) if *next == end => {}
                Some(next) => {
                    let what = format!("ends before seq {next}; the room has {}", end - 1);
                    self.report(Invariant::StreamOrder, *id, *next, what);
                }
                None => self.report(Invariant::StreamOrder, *id, end, "has nothing of a room".to_owned()),
            }
        }
    }

    fn report(&mut self, invariant: Invariant, room: Uuid, seq: Seq, what: String) {
        let what = format!("the stream of {} in room {room}: {what}", self.account);
        self.violations.push(Violation::new(invariant, what).at(room, seq).of(self.account));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ADA, BOB, ROOM, Story, broken, hidden};
    use super::*;

    fn after(break_it: impl FnOnce(&mut History, &Story)) -> Vec<Violation> {
        let story = Story::new();
        let mut history = story.history.clone();
        break_it(&mut history, &story);
        check(&history, &story.model())
    }

    fn first_of(history: &mut History, account: Uuid) -> &mut Connection {
        history.connections.iter_mut().find(|connection| connection.account == account).unwrap()
    }

    #[test]
    fn a_good_history_passes() {
        let found = after(|_, _| {});
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn a_lost_a_doubled_and_a_swapped_event_are_caught() {
        for break_it in [
            (|frames: &mut Vec<Frame>| {
                frames.remove(1);
            }) as fn(&mut Vec<Frame>),
            |frames| frames.push(frames[2].clone()),
            |frames| frames.swap(0, 1),
            |frames| {
                frames.pop();
            },
        ] {
            let found = after(|history, _| break_it(&mut first_of(history, ADA).frames));
            assert!(broken(&found, Invariant::StreamOrder));
        }
    }

    #[test]
    fn a_resume_at_another_place_is_caught() {
        for shift in [1, -1] {
            let found = after(|history, _| {
                let started = history.connections[1].started.as_mut().unwrap();
                started.rooms.entry(ROOM).and_modify(|first| *first = first.saturating_add_signed(shift));
            });
            assert!(broken(&found, Invariant::StreamOrder));
        }
    }

    #[test]
    fn a_room_that_is_and_is_not_the_accounts_is_caught() {
        let found = after(|history, _| {
            history.connections[1].started.as_mut().unwrap().not_member.push(ROOM);
        });
        assert!(broken(&found, Invariant::StreamOrder));
    }

    #[test]
    fn a_stream_that_ends_early_is_caught() {
        let found = after(|history, _| {
            history.connections.last_mut().unwrap().frames.clear();
        });
        assert!(broken(&found, Invariant::StreamOrder));
    }

    #[test]
    fn what_was_for_members_alone_is_caught_when_it_is_shown() {
        let found = after(|history, story| first_of(history, BOB).frames[3] = story.event_frame(6));
        assert!(broken(&found, Invariant::StreamSight));
    }

    #[test]
    fn an_absence_may_be_shown_once_the_account_is_back_and_no_earlier() {
        let shown_at = |at| {
            let story = Story::new();
            let mut history = story.history.clone();
            history.log.records[0].events[0].what = What::Created { by: ADA, from_beginning: true };
            let mut frame = story.event_frame(6);
            frame.at = at;
            first_of(&mut history, BOB).frames[3] = frame;
            check(&history, &Model::of(&history))
        };
        assert!(shown_at(5_000).is_empty());
        // He asked to come back at 500 ms.
        assert!(broken(&shown_at(499), Invariant::StreamSight));
    }

    #[test]
    fn a_hidden_event_that_a_member_sees_a_gap_and_a_wrong_text_are_caught() {
        let found = after(|history, _| first_of(history, BOB).frames[1] = hidden(4, 4));
        assert!(broken(&found, Invariant::StreamSight));
        let found = after(|history, _| first_of(history, BOB).frames[1].body = Body::Gap);
        assert!(broken(&found, Invariant::StreamSight));
        let found = after(|history, _| {
            let Body::Event { text, .. } = &mut first_of(history, BOB).frames[1].body else { panic!() };
            *text = Some("something else".to_owned());
        });
        assert!(broken(&found, Invariant::StreamSight));
    }
}
