//! Port of the directory: rooms, memberships and accounts with their names in plain text, for
//! lists and look-ups. Cleaned when an account is erased.

pub(crate) mod names;
pub(crate) mod net;
pub(crate) mod way;

use std::sync::Arc;

use async_trait::async_trait;
use roomlog_domain::Role;
use roomlog_domain::role::{Definition, Override};
use roomlog_domain::way::Way;
use roomlog_eventlog::{Cursor, TopicPartition};
use roomlog_schemas::event::Seq;
use roomlog_schemas::{Access, AccountId, History, RoleId, RoomId, RoomKind};

use crate::StoreError;

/// Name of the projection that fills this store.
pub const PROJECTION: &str = "directory";
/// Raised when a rebuild would give other rows.
const VERSION: u32 = 1;

/// Of the rows that this process fills and reads; each version has tables of its own.
pub fn version() -> u32 {
    VERSION + u32::from(roomlog_schemas::next_build::is_on())
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    pub account_id: AccountId,
    /// `None` for an imported account that nobody has claimed.
    pub username: Option<String>,
    pub display_name: Option<String>,
    /// The import that made the account.
    pub source: Option<String>,
    pub registered_at_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomRow {
    pub room_id: RoomId,
    pub root_id: RoomId,
    pub parent_id: Option<RoomId>,
    pub kind: RoomKind,
    pub access: Access,
    pub history: History,
    pub name: String,
    pub creator_id: AccountId,
    pub created_at_ms: i64,
    /// Of the room's last timeline event.
    pub last_seq: Seq,
    pub member_count: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRow {
    pub account_id: AccountId,
    pub username: Option<String>,
    pub display_name: Option<String>,
    /// As the log has it: it may name a custom role that is no more.
    pub role: String,
    pub joined_seq: Seq,
    pub joined_at_ms: i64,
}

/// A custom role of a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleRow {
    pub root_id: RoomId,
    pub role_id: RoleId,
    pub name: String,
    pub definition: Definition,
}

/// What a room says of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverrideRow {
    pub room_id: RoomId,
    pub root_id: RoomId,
    pub role: Role,
    /// An empty one is no row.
    pub set: Override,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirectoryChange {
    Account(AccountRow),
    AccountClaimed {
        account_id: AccountId,
        username: String,
    },
    /// `last_seq` and `member_count` come from the other changes.
    Room(RoomRow),
    Joined {
        room_id: RoomId,
        account_id: AccountId,
        role: String,
        seq: Seq,
        at_ms: i64,
    },
    Left {
        room_id: RoomId,
        account_id: AccountId,
    },
    /// Of a member.
    RoleSet {
        room_id: RoomId,
        account_id: AccountId,
        role: String,
    },
    Role(RoleRow),
    /// With what rooms say of it.
    RoleRemoved {
        root_id: RoomId,
        role_id: RoleId,
    },
    Override(OverrideRow),
    /// The room's timeline reached this seq.
    LastSeq {
        room_id: RoomId,
        seq: Seq,
    },
}

#[derive(Debug, Clone)]
pub struct DirectoryBatch {
    /// The offset that the stored cursor must be at (0 without one).
    pub expected_offset: u64,
    pub cursor: Cursor,
    /// In the order of the log.
    pub changes: Vec<DirectoryChange>,
}

/// Rows and cursor of a batch are written in one transaction, the cursor by compare-and-set.
#[async_trait]
pub trait DirectoryStore: Send + Sync + 'static {
    async fn cursor(&self, partition: TopicPartition) -> Result<Option<Cursor>, StoreError>;

    /// Fails with `CursorMoved` if the stored cursor is not at `expected_offset`.
    async fn apply(&self, batch: DirectoryBatch) -> Result<(), StoreError>;

    async fn account(&self, account: AccountId) -> Result<Option<AccountRow>, StoreError>;

    async fn room(&self, room: RoomId) -> Result<Option<RoomRow>, StoreError>;

    /// Whether some rooms or accounts are in quarantine, see [`crate::quarantine`]: then lists may
    /// lack rows, or hold old ones. Only a guarded directory knows.
    fn is_incomplete(&self) -> bool {
        false
    }

    /// Whether the rows of this root room and all below it may be old.
    fn is_quarantined(&self, _root: RoomId) -> bool {
        false
    }

    /// Rooms that the account is a member of, by id, after `after`. Rooms in quarantine are among
    /// them, see [`is_quarantined`](Self::is_quarantined).
    async fn rooms_of(
        &self,
        account: AccountId,
        after: Option<RoomId>,
        limit: usize,
    ) -> Result<Vec<RoomRow>, StoreError>;

    /// Members of a room, by account id, after `after`.
    async fn members(
        &self,
        room: RoomId,
        after: Option<AccountId>,
        limit: usize,
    ) -> Result<Vec<MemberRow>, StoreError>;

    async fn is_member(&self, room: RoomId, account: AccountId) -> Result<bool, StoreError>;

    /// The custom roles of a root, by id; at most some dozens.
    async fn roles(&self, root: RoomId) -> Result<Vec<RoleRow>, StoreError>;

    /// What a room itself says of roles, by role; at most one for each role.
    async fn overrides(&self, room: RoomId) -> Result<Vec<OverrideRow>, StoreError>;

    /// What an account's permissions in a room rest on, all of one moment; `None` for an unknown room.
    async fn way(&self, room: RoomId, account: AccountId) -> Result<Option<Way>, StoreError>;

    /// An empty directory beside this one, see [`crate::RoomStore::beside`].
    async fn beside(&self) -> Result<Arc<dyn DirectoryStore>, StoreError>;

    /// See [`crate::RoomStore::promote`].
    async fn promote(&self) -> Result<(), StoreError>;
}
