//! The commands that clients give over REST and over the socket: one set of rules and answers for
//! both. Implemented by command-api; ws-fanout only knows this port.

use async_trait::async_trait;
use roomlog_domain::{Permissions, Role};
use roomlog_schemas::event::Seq;
use roomlog_schemas::{Access, AccountId, History, IdempotencyKey, MessageId, RoleId, RoomId, RoomKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::described::{AccessName, HistoryName, RoomKindName};
use crate::{Position, Problem};

/// A command about rooms, as a client gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum ClientCommand {
    CreateRoom(CreateRoom),
    JoinRoom {
        room_id: RoomId,
    },
    LeaveRoom {
        room_id: RoomId,
    },
    SendMessage {
        room_id: RoomId,
        text: String,
        #[serde(default)]
        reply_to: Option<MessageId>,
    },
    /// Gives a member a role in the room; `member` takes one away.
    SetRole {
        room_id: RoomId,
        account_id: AccountId,
        role: Role,
    },
    TransferOwnership {
        room_id: RoomId,
        account_id: AccountId,
    },
    CreateRole {
        room_id: RoomId,
        name: String,
        rank: u8,
        #[serde(default)]
        permissions: Permissions,
    },
    ChangeRole {
        room_id: RoomId,
        role_id: RoleId,
        name: String,
        rank: u8,
        #[serde(default)]
        permissions: Permissions,
    },
    RemoveRole {
        room_id: RoomId,
        role_id: RoleId,
    },
    /// Without `allow` and `deny` it takes back what the room said.
    SetOverride {
        room_id: RoomId,
        role: Role,
        #[serde(default)]
        allow: Permissions,
        #[serde(default)]
        deny: Permissions,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateRoom {
    /// 1 to 100 characters, no control characters, not only blanks.
    #[schema(
        example = "Lounge",
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    )]
    pub name: String,
    /// Absent for a root room.
    #[serde(default)]
    #[schema(value_type = Option<Uuid>)]
    pub parent_id: Option<RoomId>,
    #[serde(default)]
    #[schema(value_type = RoomKindName)]
    pub kind: RoomKind,
    #[serde(default)]
    #[schema(value_type = AccessName)]
    pub access: Access,
    #[serde(default)]
    #[schema(value_type = HistoryName)]
    pub history: History,
}

/// The answer to an accepted command. A repeat with the same key gets the same one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Answer {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>)]
    pub room_id: Option<RoomId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>)]
    pub message_id: Option<MessageId>,
    /// Of a custom role that was made or changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>)]
    pub role_id: Option<RoleId>,
    /// Place of the command's last event in the room's timeline.
    #[schema(value_type = u64)]
    pub seq: Seq,
    /// Give it as `min_position` to a query that must reflect this command.
    pub position: Position,
}

#[async_trait]
pub trait Commands: Send + Sync + 'static {
    /// Runs a command to its answer. Without a key one is generated; a `Problem` with code
    /// `outcome_unknown` names it.
    async fn run(
        &self,
        account: AccountId,
        key: Option<IdempotencyKey>,
        command: ClientCommand,
    ) -> Result<Answer, Problem>;
}
