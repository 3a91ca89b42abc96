//! What holds after every record, whatever the commands.

use roomlog_domain::Role;
use roomlog_domain::state::Room;

use super::*;

/// The limits of the hierarchy.
const MAX_DEPTH: u32 = 8;
const MAX_SUB_ROOMS: u32 = 1000;

/// One request and what came of it.
#[derive(Debug)]
pub struct Step {
    pub before: State,
    pub command: Command,
    pub context: Context,
    pub decision: Result<Decision, Rejection>,
    pub after: State,
}

impl Step {
    pub fn take(before: &State, command: Command, context: Context) -> Step {
        let decision = before.decide(&command, &context);
        let mut step = Step { before: before.clone(), command, context, decision, after: before.clone() };
        step.after = replay(before, step.events());
        step
    }

    /// The record; empty where nothing was appended.
    pub fn events(&self) -> &[Event] {
        match &self.decision {
            Ok(Decision::Events(events)) => events,
            _ => &[],
        }
    }
}

/// One request after the other, from an empty state.
pub fn run(requests: Vec<(Command, Context)>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (command, context) in requests {
        let before = steps.last().map(|step| step.after.clone()).unwrap_or_default();
        steps.push(Step::take(&before, command, context));
    }
    steps
}

pub fn replay<'a>(from: &State, events: impl IntoIterator<Item = &'a Event>) -> State {
    let mut state = from.clone();
    for event in events {
        state.apply(event);
    }
    state
}

/// Each event of the record has its room's next seq; a room begins with its creation.
pub fn assert_gap_free(step: &Step) {
    let mut state = step.before.clone();
    for event in step.events() {
        if let Some((room_id, seq)) = event.timeline() {
            let last = state.rooms.get(&room_id).map(|room| room.seq);
            assert_eq!(seq, last.unwrap_or(0) + 1, "{event:?}");
            assert_eq!(last.is_none(), matches!(event, Event::RoomCreated(_)), "{event:?}");
        }
        state.apply(event);
    }
}

pub fn assert_invariants(state: &State) {
    for (&room_id, room) in &state.rooms {
        assert_tree(state, room_id, room);
        assert_members_of_parent(state, room_id, room);
        assert_roles(room_id, room);
        if room.parent_id.is_none() {
            assert!(room.held.values().any(|role| *role == Role::Owner), "the root {room_id} has no owner");
        }
    }
}

fn assert_tree(state: &State, room_id: RoomId, room: &Room) {
    let ancestors = state.ancestors(room);
    assert_eq!(room.root_id, ancestors.last().copied().unwrap_or(room_id), "root of {room_id}");
    assert_eq!(room.depth as usize, ancestors.len(), "depth of {room_id}");
    assert!(room.depth <= MAX_DEPTH, "{room_id} is too deep");
    for child in &room.children {
        assert_eq!(state.rooms[child].parent_id, Some(room_id), "parent of {child}");
    }
    if let Some(parent) = room.parent_id {
        assert!(state.rooms[&parent].children.contains(&room_id), "{parent} lacks {room_id}");
        assert_eq!(room.sub_rooms, 0, "only a root counts: {room_id}");
    } else {
        assert_eq!(room.sub_rooms as usize, state.subtree(room_id).len() - 1, "count of {room_id}");
        assert!(room.sub_rooms <= MAX_SUB_ROOMS, "{room_id} has too many rooms below");
    }
}

/// Roles are members', custom ones are defined in roots only, and their ranks are below an owner's.
fn assert_roles(room_id: RoomId, room: &Room) {
    for account_id in room.held.keys() {
        assert!(
            room.members.contains_key(account_id),
            "{account_id} has a role in {room_id} without being in"
        );
    }
    assert!(room.parent_id.is_none() || room.roles.is_empty(), "{room_id} is no root and has roles");
    assert!(room.roles.values().all(|role| (1..100).contains(&role.rank)), "ranks of {room_id}");
    let allowed_and_denied = |set: &Override| !set.allow.is_apart_from(set.deny);
    assert!(!room.overrides.values().any(|set| set.is_empty() || allowed_and_denied(set)), "{room_id}");
}

/// By induction, a member of a room is one of every ancestor.
fn assert_members_of_parent(state: &State, room_id: RoomId, room: &Room) {
    let Some(parent) = room.parent_id else { return };
    for account_id in room.members.keys() {
        let above = &state.rooms[&parent].members;
        assert!(above.contains_key(account_id), "{account_id} is in {room_id} and not in {parent}");
    }
}
