//! Rooms: create, join, leave, send.

use imbl::{OrdMap, OrdSet};
use roomlog_schemas::event::Seq;
use roomlog_schemas::{
    Access, AccountId, Event, MemberJoined, MemberLeft, MessageSent, RoomCreated, RoomId, RoomKind,
};

use crate::command::{Answer, Context, CreateRoom, Decision, SendMessage};
use crate::permission::Permission;
use crate::rejection::Rejection;
use crate::role::Role;
use crate::roles;
use crate::state::{Member, Room, State};

/// Levels below a root.
pub const MAX_DEPTH: u32 = 8;
/// Rooms below a root, all levels together: a cascade over them stays one record.
pub const MAX_SUB_ROOMS: u32 = 1000;
/// Of the creator's joining, which ends a room's creation.
const CREATED_SEQ: Seq = 2;

pub fn create(state: &State, command: &CreateRoom) -> Result<Decision, Rejection> {
    let room_id = command.room_id;
    if state.rooms.contains_key(&room_id) {
        // A repeat gets the first answer, wherever the timeline is by now.
        let answer = Answer { room_id: Some(room_id), seq: CREATED_SEQ, ..Answer::default() };
        return Ok(Decision::Unchanged(answer));
    }
    if command.kind != RoomKind::Group {
        return Err(Rejection::KindNotAvailable);
    }
    if let Some(parent_id) = command.parent_id {
        let parent = state.rooms.get(&parent_id).ok_or(Rejection::ParentNotFound)?;
        if command.source.is_none() {
            state.room_of_member(parent_id, command.creator_id).map_err(|rejection| match rejection {
                Rejection::RoomNotFound => Rejection::ParentNotFound,
                other => other,
            })?;
            if !state.permits(parent_id, command.creator_id, Permission::RoomCreateSub) {
                return Err(Rejection::NotAllowed);
            }
        }
        if parent.depth >= MAX_DEPTH {
            return Err(Rejection::TooDeep);
        }
        if state.rooms.get(&parent.root_id).is_some_and(|root| root.sub_rooms >= MAX_SUB_ROOMS) {
            return Err(Rejection::TooManySubRooms);
        }
    }
    let mut events = vec![
        RoomCreated {
            room_id,
            seq: 1,
            parent_id: command.parent_id,
            kind: command.kind,
            access: command.access,
            history: command.history,
            name: command.name.clone(),
            creator_id: command.creator_id,
            source: command.source.clone(),
        }
        .into(),
        MemberJoined {
            room_id,
            seq: CREATED_SEQ,
            account_id: command.creator_id,
            role: Role::Owner.to_string(),
            imported: None,
        }
        .into(),
    ];
    // An import may create below a room that its account is no member of yet.
    if let Some(parent) = command.parent_id.and_then(|id| state.rooms.get(&id)) {
        let mut above = state.ancestors(parent);
        above.extend(command.parent_id);
        for id in above {
            if let Some(event) = missing_membership(state, id, command.creator_id) {
                events.push(event);
            }
        }
    }
    Ok(Decision::Events(events))
}

/// The event that makes an account a member of a room, if it is none.
pub fn missing_membership(state: &State, room_id: RoomId, account_id: AccountId) -> Option<Event> {
    let room = state.rooms.get(&room_id)?;
    (!room.members.contains_key(&account_id)).then(|| {
        MemberJoined {
            room_id,
            seq: room.seq + 1,
            account_id,
            role: Role::Member.to_string(),
            imported: None,
        }
        .into()
    })
}

pub fn join(state: &State, room_id: RoomId, account_id: AccountId) -> Result<Decision, Rejection> {
    let room = state.rooms.get(&room_id).ok_or(Rejection::RoomNotFound)?;
    if let Some(member) = room.members.get(&account_id) {
        let answer = Answer { room_id: Some(room_id), seq: member.joined_seq, ..Answer::default() };
        return Ok(Decision::Unchanged(answer));
    }
    let parent = room.parent_id.and_then(|id| state.rooms.get(&id));
    if parent.is_some_and(|parent| !parent.members.contains_key(&account_id)) {
        return Err(Rejection::ParentMembershipRequired);
    }
    match room.access {
        Access::Public => {}
        Access::Restricted => return Err(Rejection::NotListed),
        Access::Vip => return Err(Rejection::InvitationRequired),
    }
    let role = Role::Member.to_string();
    Ok(Decision::Events(vec![
        MemberJoined { room_id, seq: room.seq + 1, account_id, role, imported: None }.into(),
    ]))
}

/// Ends the membership in the room and in every room below it: one event per affected room.
pub fn leave(state: &State, room_id: RoomId, account_id: AccountId) -> Result<Decision, Rejection> {
    let room = state.rooms.get(&room_id).ok_or(Rejection::RoomNotFound)?;
    if !room.members.contains_key(&account_id) {
        // Whoever is no member of a closed room is told nothing of it.
        if room.access != Access::Public {
            return Err(Rejection::RoomNotFound);
        }
        let answer = Answer { room_id: Some(room_id), seq: room.seq, ..Answer::default() };
        return Ok(Decision::Unchanged(answer));
    }
    if is_last_owner(room, account_id) {
        return Err(Rejection::LastOwner);
    }
    let events = leave_subtree(state, room_id, account_id).map(Event::from).collect();
    Ok(Decision::Events(events))
}

/// Whether a root would have no owner without this account.
pub fn is_last_owner(room: &Room, account_id: AccountId) -> bool {
    room.parent_id.is_none()
        && room.held.get(&account_id) == Some(&Role::Owner)
        && room.held.values().filter(|role| **role == Role::Owner).count() == 1
}

pub fn leave_subtree(
    state: &State,
    room_id: RoomId,
    account_id: AccountId,
) -> impl Iterator<Item = MemberLeft> + '_ {
    state.subtree(room_id).into_iter().filter_map(move |room_id| {
        let room = state.rooms.get(&room_id)?;
        room.members.contains_key(&account_id).then(|| MemberLeft {
            room_id,
            seq: room.seq + 1,
            account_id,
            imported: None,
        })
    })
}

pub fn send(state: &State, command: &SendMessage, context: &Context) -> Result<Decision, Rejection> {
    let room_id = command.room_id;
    let room = state.room_of_member(room_id, command.author_id)?;
    if !state.permits(room_id, command.author_id, Permission::MessageSend) {
        return Err(Rejection::NotAllowed);
    }
    if let Some(reply_to) = command.reply_to
        && !state.recent.contains(reply_to, room_id)
        && !context.known_messages.contains(&reply_to)
    {
        return Err(Rejection::ReplyNotFound);
    }
    Ok(Decision::Events(vec![
        MessageSent {
            room_id,
            seq: room.seq + 1,
            message_id: command.message_id,
            author_id: command.author_id,
            text: command.text.clone(),
            reply_to: command.reply_to,
            imported: None,
        }
        .into(),
    ]))
}

pub fn apply(state: &mut State, event: &Event) {
    if let Event::RoomCreated(created) = event {
        insert(state, created);
        return;
    }
    let Some((room_id, seq)) = event.timeline() else { return };
    let Some(room) = state.rooms.get_mut(&room_id) else { return };
    room.seq = seq;
    if let Some(imported) = event.imported() {
        room.imports.insert(imported.source.clone(), imported.position);
    }
    match event {
        Event::MemberJoined(e) => {
            room.members.insert(e.account_id, Member { joined_seq: seq });
            room.hold(e.account_id, Role::of_event(&e.role));
        }
        Event::MemberLeft(e) => {
            room.members.remove(&e.account_id);
            room.held.remove(&e.account_id);
        }
        Event::MessageSent(e) => state.recent.push(e.message_id, room_id),
        _ => roles::apply(state, event),
    }
}

/// A room comes once and below a room that is there: so there are no cycles, whatever the events.
fn insert(state: &mut State, created: &RoomCreated) {
    if state.rooms.contains_key(&created.room_id) {
        return;
    }
    let parent_id = created.parent_id.filter(|id| state.rooms.contains_key(id));
    let parent = parent_id.and_then(|id| state.rooms.get(&id));
    let (root_id, depth) = parent.map_or((created.room_id, 0), |parent| (parent.root_id, parent.depth + 1));
    if let Some(parent) = parent_id.and_then(|id| state.rooms.get_mut(&id)) {
        parent.children.insert(created.room_id);
        if let Some(root) = state.rooms.get_mut(&root_id) {
            root.sub_rooms += 1;
        }
    }
    state.rooms.insert(
        created.room_id,
        Room {
            root_id,
            parent_id,
            depth,
            kind: created.kind,
            access: created.access,
            history: created.history,
            seq: created.seq,
            members: OrdMap::new(),
            held: OrdMap::new(),
            roles: OrdMap::new(),
            overrides: OrdMap::new(),
            children: OrdSet::new(),
            sub_rooms: 0,
            imports: OrdMap::new(),
        },
    );
}
