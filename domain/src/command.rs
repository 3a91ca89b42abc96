//! Commands with everything that a decision needs; content is sealed already.

use bytes::Bytes;
use roomlog_schemas::event::Seq;
use roomlog_schemas::{Access, AccountId, Event, History, MessageId, RoleId, RoomId, RoomKind, SessionId};
use serde::{Deserialize, Serialize};

use crate::permission::Permissions;
use crate::role::{Override, Role};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    RegisterAccount(RegisterAccount),
    ClaimAccount(ClaimAccount),
    ImportAccounts(ImportAccounts),
    /// Of a session that the secrets store has revoked.
    EndSession {
        account_id: AccountId,
        session_id: SessionId,
    },
    CreateRoom(CreateRoom),
    JoinRoom {
        room_id: RoomId,
        account_id: AccountId,
    },
    LeaveRoom {
        room_id: RoomId,
        account_id: AccountId,
    },
    SendMessage(SendMessage),
    SetRole(SetRole),
    TransferOwnership(TransferOwnership),
    CreateRole(DefineRole),
    ChangeRole(DefineRole),
    RemoveRole(RemoveRole),
    SetOverride(SetOverride),
    Import(Box<ImportBatch>),
}

impl Command {
    /// As it stands in the log, in metrics and in traces.
    pub const fn name(&self) -> &'static str {
        match self {
            Command::RegisterAccount(_) => "register_account",
            Command::ClaimAccount(_) => "claim_account",
            Command::ImportAccounts(_) => "import_accounts",
            Command::EndSession { .. } => "end_session",
            Command::CreateRoom(_) => "create_room",
            Command::JoinRoom { .. } => "join_room",
            Command::LeaveRoom { .. } => "leave_room",
            Command::SendMessage(_) => "send_message",
            Command::SetRole(_) => "set_role",
            Command::TransferOwnership(_) => "transfer_ownership",
            Command::CreateRole(_) => "create_role",
            Command::ChangeRole(_) => "change_role",
            Command::RemoveRole(_) => "remove_role",
            Command::SetOverride(_) => "set_override",
            Command::Import(_) => "import_messages",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterAccount {
    pub account_id: AccountId,
    pub username: Bytes,
    pub email: Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimAccount {
    pub account_id: AccountId,
    pub username: Bytes,
    pub email: Bytes,
}

/// Accounts without a password; those that exist already are left as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportAccounts {
    pub source: String,
    /// Id and sealed display name; all of one partition.
    pub accounts: Vec<(AccountId, Bytes)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateRoom {
    pub room_id: RoomId,
    pub parent_id: Option<RoomId>,
    pub kind: RoomKind,
    pub access: Access,
    pub history: History,
    pub name: Bytes,
    pub creator_id: AccountId,
    /// Set by an import, which may create below any room.
    pub source: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendMessage {
    pub room_id: RoomId,
    pub message_id: MessageId,
    pub author_id: AccountId,
    pub text: Bytes,
    pub reply_to: Option<MessageId>,
}

/// What a member is in a room from now on. Granting a role and taking it away are both this: who loses
/// one is a plain member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetRole {
    pub room_id: RoomId,
    pub account_id: AccountId,
    pub role: Role,
    pub by: AccountId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferOwnership {
    pub room_id: RoomId,
    /// The new owner.
    pub account_id: AccountId,
    pub by: AccountId,
}

/// A custom role as it shall be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefineRole {
    pub room_id: RoomId,
    pub role_id: RoleId,
    pub name: Bytes,
    pub rank: u8,
    pub permissions: Permissions,
    pub by: AccountId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveRole {
    pub room_id: RoomId,
    pub role_id: RoleId,
    pub by: AccountId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetOverride {
    pub room_id: RoomId,
    pub role: Role,
    /// An empty one takes back what was set.
    pub set: Override,
    pub by: AccountId,
}

/// Records of one room of a source, in the order of the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportBatch {
    pub room_id: RoomId,
    pub source: String,
    pub items: Vec<ImportItem>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportItem {
    /// Rises within a room; what the room has already is skipped.
    pub position: u64,
    pub source_id: String,
    pub time_ms: i64,
    pub account_id: AccountId,
    pub kind: ImportKind,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportKind {
    Message { message_id: MessageId, text: Bytes, reply_to: Option<MessageId> },
    Join,
    Leave,
    Rename { to: AccountId },
}

/// Facts that a decision may rest on besides its partition's state. Facts never become untrue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Context {
    /// Messages that a store knows to be in the command's room.
    pub known_messages: Vec<MessageId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// One record with these events, at least one.
    Events(Vec<Event>),
    /// Things are as the command wants them.
    Unchanged(Answer),
}

/// What a client gets for an accepted command; the same for every repeat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub account_id: Option<AccountId>,
    pub room_id: Option<RoomId>,
    pub message_id: Option<MessageId>,
    pub role_id: Option<RoleId>,
    /// Of the command's last event in the room; 0 without one.
    pub seq: Seq,
    /// How many records of a source this command took in.
    pub imported: u32,
}

impl Answer {
    /// The answer to the command that caused these events.
    pub fn from_events(events: &[Event]) -> Self {
        let mut answer = Answer::default();
        match events.first() {
            Some(Event::AccountRegistered(e)) => answer.account_id = Some(e.account_id),
            Some(Event::AccountClaimed(e)) => answer.account_id = Some(e.account_id),
            Some(Event::SessionEnded(e)) => answer.account_id = Some(e.account_id),
            Some(Event::RoleDefined(e)) => answer.role_id = Some(e.role_id),
            _ => {}
        }
        // An import's memberships of ancestors come first: its own room is the last event's. A
        // cascade's own room is the first event's.
        let imported = events.iter().filter(|event| event.imported().is_some()).count();
        answer.imported = imported as u32;
        let own = if imported > 0 { events.last() } else { events.first() };
        answer.room_id = own.and_then(Event::timeline).map(|(room, _)| room);
        for (room, seq) in events.iter().filter_map(Event::timeline) {
            if Some(room) == answer.room_id {
                answer.seq = seq;
            }
        }
        if let (0, Some(Event::MessageSent(e))) = (imported, events.last()) {
            answer.message_id = Some(e.message_id);
        }
        answer
    }
}
