//! What queries show of room store and directory is what a replay of the log gives, before a rebuild and
//! after it.

use std::collections::BTreeSet;
use std::fmt::Debug;

use uuid::Uuid;

use super::model::{Model, Room};
use super::{Invariant, Violation};
use crate::chaos::history::{Body, Event, History, Message, RoomView, Seq, View, What};

pub fn check(history: &History, model: &Model) -> Vec<Violation> {
    let mut violations = Vec::new();
    for view in &history.views {
        check_view(view, model, &mut violations);
    }
    violations
}

fn check_view(view: &View, model: &Model, violations: &mut Vec<Violation>) {
    let mut report = |what: String, at: Option<(Uuid, Seq)>| {
        let violation = Violation::new(Invariant::Projections, format!("{}: {what}", view.name));
        violations.push(match at {
            Some((room, seq)) => violation.at(room, seq),
            None => violation,
        });
    };
    for id in model.rooms.keys().filter(|id| !view.rooms.contains_key(id)) {
        report(format!("room {id} is missing"), Some((*id, 1)));
    }
    for (id, shown) in &view.rooms {
        let Some(room) = model.rooms.get(id) else {
            report(format!("room {id} is not in the log"), None);
            continue;
        };
        for (what, seq) in differences(shown, &replayed(room, model)) {
            report(format!("room {id}: {what}"), Some((*id, seq)));
        }
    }
    for (account, shown) in &view.rooms_of {
        let shown: BTreeSet<Uuid> = shown.iter().copied().collect();
        let of_account = model.rooms.iter().filter(|(_, room)| room.is_member(*account));
        let expected: BTreeSet<Uuid> = of_account.map(|(id, _)| *id).collect();
        if let Some(id) = shown.symmetric_difference(&expected).next() {
            let which = if expected.contains(id) { "lack" } else { "have" };
            report(format!("the rooms of {account} {which} {id}"), Some((*id, 1)));
        }
    }
}

/// What queries should show.
fn replayed(room: &Room, model: &Model) -> RoomView {
    let text = |what: &What| match what {
        What::Sent { message, .. } => model.texts.get(message).cloned(),
        _ => None,
    };
    let event = |(seq, event): (&Seq, &Event)| {
        // A room exists before its creator is a member of it.
        let is_seen = room.from_beginning || room.was_member(room.creator, *seq);
        let shown = || Body::Event { what: event.what.clone(), text: text(&event.what) };
        (*seq, if is_seen { shown() } else { Body::Hidden })
    };
    let message = |(seq, event): (&Seq, &Event)| match event.what {
        What::Sent { message, author } => {
            let text = text(&event.what).unwrap_or_default();
            Some(Message { seq: *seq, id: message, author, text })
        }
        _ => None,
    };
    let members = room.members();
    RoomView {
        last_seq: room.last_seq(),
        member_count: members.len() as u64,
        members,
        events: room.timeline.iter().map(event).collect(),
        messages: room.timeline.iter().filter_map(message).collect(),
    }
}

/// In words, each with a seq to look at.
fn differences(shown: &RoomView, expected: &RoomView) -> Vec<(String, Seq)> {
    let mut all = Vec::new();
    if let Some((index, what)) = first_difference(&shown.events, &expected.events) {
        let seq = expected.events.get(index).or(shown.events.get(index)).map_or(0, |(seq, _)| *seq);
        all.push((format!("the events differ: {what}"), seq));
    }
    if let Some((index, what)) = first_difference(&shown.messages, &expected.messages) {
        let seq = expected.messages.get(index).or(shown.messages.get(index)).map_or(0, |m| m.seq);
        all.push((format!("the messages differ: {what}"), seq));
    }
    let list =
        |members: &std::collections::BTreeMap<Uuid, Seq>| members.clone().into_iter().collect::<Vec<_>>();
    if let Some((_, what)) = first_difference(&list(&shown.members), &list(&expected.members)) {
        all.push((format!("the members differ: {what}"), expected.last_seq));
    }
    let figures = |view: &RoomView| (view.last_seq, view.member_count);
    if figures(shown) != figures(expected) {
        let what =
            format!("last seq and members are {:?} instead of {:?}", figures(shown), figures(expected));
        all.push((what, expected.last_seq));
    }
    all
}

pub fn first_difference<T: PartialEq + Debug>(shown: &[T], expected: &[T]) -> Option<(usize, String)> {
    let index = (0..shown.len().max(expected.len())).find(|&i| shown.get(i) != expected.get(i))?;
    Some((index, format!("{:?} instead of {:?}", shown.get(index), expected.get(index))))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ADA, BOB, ROOM, Story, broken};
    use super::*;

    fn after(break_it: impl FnOnce(&mut View)) -> Vec<Violation> {
        let mut story = Story::new();
        break_it(&mut story.history.views[1]);
        check(&story.history, &story.model())
    }

    fn room(view: &mut View) -> &mut RoomView {
        view.rooms.get_mut(&ROOM).unwrap()
    }

    #[test]
    fn a_good_history_passes() {
        let found = after(|_| {});
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn every_row_that_is_missing_too_many_or_wrong_is_caught() {
        for break_it in [
            (|view: &mut View| {
                room(view).events.remove(3);
            }) as fn(&mut View),
            |view| {
                let again = room(view).events[3].clone();
                room(view).events.push(again);
            },
            |view| {
                room(view).messages.pop();
            },
            |view| room(view).messages[1].text.push('x'),
            |view| {
                room(view).members.remove(&BOB);
            },
            |view| {
                room(view).members.insert(ADA, 3);
            },
            |view| room(view).last_seq -= 1,
            |view| room(view).member_count += 1,
            |view| {
                view.rooms_of.insert(BOB, Vec::new());
            },
            |view| {
                view.rooms.clear();
            },
        ] {
            assert!(broken(&after(break_it), Invariant::Projections));
        }
    }
}
