//! Taking in a conversation from elsewhere: every record becomes one timeline event, in order, with
//! its original time. What the room has taken from this source already is skipped, so that an import
//! can be repeated at any later time.

use std::collections::HashSet;

use roomlog_schemas::{
    Event, ImportNoted, Imported, MemberJoined, MemberLeft, MessageId, MessageSent, Noted,
};

use crate::command::{Answer, Context, Decision, ImportBatch, ImportItem, ImportKind};
use crate::rejection::Rejection;
use crate::role::Role;
use crate::rooms;
use crate::state::State;

pub fn batch(state: &State, batch: &ImportBatch, context: &Context) -> Result<Decision, Rejection> {
    let room_id = batch.room_id;
    let room = state.rooms.get(&room_id).ok_or(Rejection::RoomNotFound)?;
    if !batch.items.is_sorted_by(|a, b| a.position < b.position) {
        return Err(Rejection::ImportOutOfOrder);
    }
    let done = room.imports.get(&batch.source).copied();
    let mut state = state.clone();
    let mut known: HashSet<MessageId> = context.known_messages.iter().copied().collect();
    let mut events = Vec::new();
    for item in batch.items.iter().filter(|item| done.is_none_or(|done| item.position > done)) {
        if let ImportKind::Message { message_id, reply_to, .. } = &item.kind {
            if let Some(reply_to) = reply_to
                && !known.contains(reply_to)
                && !state.recent.contains(*reply_to, room_id)
            {
                return Err(Rejection::ReplyNotFound);
            }
            known.insert(*message_id);
        }
        take_in(&mut state, batch, item, &mut events);
    }
    if events.is_empty() {
        let answer = Answer { room_id: Some(room_id), seq: room.seq, ..Answer::default() };
        return Ok(Decision::Unchanged(answer));
    }
    Ok(Decision::Events(events))
}

/// Adds the record's event, after the memberships that it lacks.
fn take_in(state: &mut State, batch: &ImportBatch, item: &ImportItem, events: &mut Vec<Event>) {
    let account_id = item.account_id;
    let needs_membership = matches!(item.kind, ImportKind::Message { .. });
    let joins = matches!(item.kind, ImportKind::Join);
    let mut push = |state: &mut State, event: Event| {
        state.apply(&event);
        events.push(event);
    };
    if needs_membership || joins {
        let mut rooms = state.rooms.get(&batch.room_id).map(|room| state.ancestors(room)).unwrap_or_default();
        rooms.reverse();
        if needs_membership {
            rooms.push(batch.room_id);
        }
        for room_id in rooms {
            if let Some(event) = rooms::missing_membership(state, room_id, account_id) {
                push(state, event);
            }
        }
    }
    let Some(room) = state.rooms.get(&batch.room_id) else { return };
    let (room_id, is_member) = (batch.room_id, room.members.contains_key(&account_id));
    // A root always has an owner, also one whom the source saw leave.
    let may_leave = is_member && !rooms::is_last_owner(room, account_id);
    let imported = Imported {
        source: batch.source.clone(),
        position: item.position,
        source_id: item.source_id.clone(),
        time_ms: item.time_ms,
    };
    // Leaving ends the memberships below first, so that the room's own event is the record's last.
    if matches!(item.kind, ImportKind::Leave) && may_leave {
        let below: Vec<_> =
            rooms::leave_subtree(state, room_id, account_id).filter(|left| left.room_id != room_id).collect();
        for left in below {
            push(state, left.into());
        }
    }
    let seq = state.rooms.get(&room_id).map_or(1, |room| room.seq + 1);
    let noted = |noted, renamed_to, imported| {
        ImportNoted { room_id, seq, account_id, noted, renamed_to, imported }.into()
    };
    let event = match &item.kind {
        ImportKind::Message { message_id, text, reply_to } => MessageSent {
            room_id,
            seq,
            message_id: *message_id,
            author_id: account_id,
            text: text.clone(),
            reply_to: *reply_to,
            imported: Some(imported),
        }
        .into(),
        ImportKind::Join if !is_member => MemberJoined {
            room_id,
            seq,
            account_id,
            role: Role::Member.to_string(),
            imported: Some(imported),
        }
        .into(),
        ImportKind::Leave if may_leave => {
            MemberLeft { room_id, seq, account_id, imported: Some(imported) }.into()
        }
        ImportKind::Join => noted(Noted::Join, None, imported),
        ImportKind::Leave => noted(Noted::Leave, None, imported),
        ImportKind::Rename { to } => noted(Noted::Rename, Some(*to), imported),
    };
    push(state, event);
}
