//! Events, short enough for a history to be read.

use roomlog_schemas::{
    AccountClaimed, AccountRegistered, ImportNoted, Imported, MemberJoined, MemberLeft, MessageSent,
    RoomCreated, SessionEnded,
};

use super::*;

/// Content is sealed before it reaches the domain, which never looks into it.
pub fn sealed(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

pub fn registered(account_id: AccountId) -> Vec<Event> {
    let (username, email) = (Some(sealed("name")), Some(sealed("e-mail")));
    vec![AccountRegistered { account_id, username, email, display_name: None, source: None }.into()]
}

pub fn account_imported(account_id: AccountId) -> Vec<Event> {
    let (display_name, source) = (Some(sealed("display name")), Some(SOURCE.to_owned()));
    vec![AccountRegistered { account_id, username: None, email: None, display_name, source }.into()]
}

pub fn claimed(account_id: AccountId) -> Vec<Event> {
    vec![AccountClaimed { account_id, username: sealed("name"), email: sealed("e-mail") }.into()]
}

pub fn session_ended(account_id: AccountId, session_id: SessionId) -> Vec<Event> {
    vec![SessionEnded { account_id, session_id }.into()]
}

/// A public root and its owner: seqs 1 and 2.
pub fn root_created(room_id: RoomId, owner: AccountId) -> Vec<Event> {
    room_created(room_id, None, owner)
}

/// A public sub-room and its owner: seqs 1 and 2.
pub fn sub_created(room_id: RoomId, parent_id: RoomId, owner: AccountId) -> Vec<Event> {
    room_created(room_id, Some(parent_id), owner)
}

fn room_created(room_id: RoomId, parent_id: Option<RoomId>, creator_id: AccountId) -> Vec<Event> {
    let created = RoomCreated {
        room_id,
        seq: 1,
        parent_id,
        kind: RoomKind::Group,
        access: Access::Public,
        history: History::FromBeginning,
        name: sealed("room"),
        creator_id,
        source: None,
    };
    let mut events = vec![created.into()];
    events.extend(owner_joined(room_id, 2, creator_id));
    events
}

pub fn with_access(access: Access, mut events: Vec<Event>) -> Vec<Event> {
    if let Some(Event::RoomCreated(created)) = events.first_mut() {
        created.access = access;
    }
    events
}

/// The same room, made by an import.
pub fn made_by_import(mut events: Vec<Event>) -> Vec<Event> {
    if let Some(Event::RoomCreated(created)) = events.first_mut() {
        created.source = Some(SOURCE.to_owned());
    }
    events
}

pub fn joined(room_id: RoomId, seq: u64, account_id: AccountId) -> Vec<Event> {
    vec![MemberJoined { room_id, seq, account_id, role: "member".to_owned(), imported: None }.into()]
}

pub fn owner_joined(room_id: RoomId, seq: u64, account_id: AccountId) -> Vec<Event> {
    vec![MemberJoined { room_id, seq, account_id, role: "owner".to_owned(), imported: None }.into()]
}

pub fn left(room_id: RoomId, seq: u64, account_id: AccountId) -> Vec<Event> {
    vec![MemberLeft { room_id, seq, account_id, imported: None }.into()]
}

pub fn role_set(room_id: RoomId, seq: u64, account_id: AccountId, role: Role, by: AccountId) -> Vec<Event> {
    vec![RoleSet { room_id, seq, account_id, role: role.to_string(), by }.into()]
}

pub fn role_defined(
    room_id: RoomId,
    seq: u64,
    role_id: RoleId,
    rank: i32,
    may: &[Permission],
    by: AccountId,
) -> Vec<Event> {
    let permissions = Permissions::of(may).names();
    vec![RoleDefined { room_id, seq, role_id, name: sealed("role"), rank, permissions, by }.into()]
}

pub fn role_removed(room_id: RoomId, seq: u64, role_id: RoleId, by: AccountId) -> Vec<Event> {
    vec![RoleRemoved { room_id, seq, role_id, by }.into()]
}

pub fn override_set(
    room_id: RoomId,
    seq: u64,
    role: Role,
    allow: &[Permission],
    deny: &[Permission],
    by: AccountId,
) -> Vec<Event> {
    let names = |permissions| Permissions::of(permissions).names();
    let (role, allow, deny) = (role.to_string(), names(allow), names(deny));
    vec![OverrideSet { room_id, seq, role, allow, deny, by }.into()]
}

pub fn sent(room_id: RoomId, seq: u64, author_id: AccountId, message_id: MessageId) -> Vec<Event> {
    let (text, reply_to, imported) = (sealed("text"), None, None);
    vec![MessageSent { room_id, seq, message_id, author_id, text, reply_to, imported }.into()]
}

/// The same message, as a reply.
pub fn replying_to(message: MessageId, mut events: Vec<Event>) -> Vec<Event> {
    if let Some(Event::MessageSent(sent)) = events.first_mut() {
        sent.reply_to = Some(message);
    }
    events
}

/// The same event, taken in from the source's record at this position.
pub fn taken_in(position: u64, mut events: Vec<Event>) -> Vec<Event> {
    let origin = imported(position);
    match events.first_mut() {
        Some(Event::MemberJoined(e)) => e.imported = Some(origin),
        Some(Event::MemberLeft(e)) => e.imported = Some(origin),
        Some(Event::MessageSent(e)) => e.imported = Some(origin),
        other => panic!("is never imported: {other:?}"),
    }
    events
}

/// A record that changes no membership here.
pub fn noted(room_id: RoomId, seq: u64, account_id: AccountId, noted: Noted, position: u64) -> Vec<Event> {
    let imported = imported(position);
    vec![ImportNoted { room_id, seq, account_id, noted, renamed_to: None, imported }.into()]
}

pub fn noted_rename(room_id: RoomId, seq: u64, from: AccountId, to: AccountId, position: u64) -> Vec<Event> {
    let (renamed_to, imported) = (Some(to), imported(position));
    vec![ImportNoted { room_id, seq, account_id: from, noted: Noted::Rename, renamed_to, imported }.into()]
}

fn imported(position: u64) -> Imported {
    Imported {
        source: SOURCE.to_owned(),
        position,
        source_id: source_id(position),
        time_ms: time_ms(position),
    }
}

pub fn source_id(position: u64) -> String {
    format!("{SOURCE}/{position}")
}

pub fn time_ms(position: u64) -> i64 {
    1_000 * position as i64
}
