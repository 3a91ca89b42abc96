//! The state of one partition, rebuilt by replay.
//!
//! Snapshots hold it: whoever changes its fields, or what an event does to it, raises
//! [`STATE_VERSION`].

use imbl::{HashMap, HashSet, OrdMap, OrdSet, Vector};
use roomlog_schemas::event::Seq;
use roomlog_schemas::{Access, AccountId, History, MessageId, RoleId, RoomId, RoomKind, SessionId};
use serde::{Deserialize, Serialize};

use crate::permission::Permission;
use crate::rejection::Rejection;
use crate::role::{Definition, Override, Role};

/// Of the state's form and of what `apply` makes of the same events. A snapshot of another version is not read.
pub const STATE_VERSION: u32 = 2;
/// Most messages of a partition that a reply finds without asking a store.
pub const RECENT_MESSAGES: usize = 4096;
/// Most ended sessions of a partition that ending again leaves as they are.
pub const ENDED_SESSIONS: usize = 4096;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub accounts: HashMap<AccountId, Account>,
    pub rooms: HashMap<RoomId, Room>,
    pub recent: RecentMessages,
    pub ended_sessions: EndedSessions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// False for an imported account that nobody has claimed.
    pub claimed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    pub root_id: RoomId,
    pub parent_id: Option<RoomId>,
    /// 0 for a root.
    pub depth: u32,
    pub kind: RoomKind,
    pub access: Access,
    pub history: History,
    /// Of the last timeline event.
    pub seq: Seq,
    pub members: OrdMap<AccountId, Member>,
    /// The roles of those members that are more, or less, than plain ones. Custom roles that are no more
    /// may be among them.
    pub held: OrdMap<AccountId, Role>,
    /// In a root: its custom roles.
    pub roles: OrdMap<RoleId, Definition>,
    /// What this room says of roles.
    pub overrides: OrdMap<Role, Override>,
    pub children: OrdSet<RoomId>,
    /// In a root: all rooms below it.
    pub sub_rooms: u32,
    /// How far each source has been imported into this room.
    pub imports: OrdMap<String, u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub joined_seq: Seq,
}

impl Room {
    /// `None` for who is no member.
    pub fn role_of(&self, account: AccountId) -> Option<Role> {
        self.members.get(&account).map(|_| self.held.get(&account).copied().unwrap_or(Role::Member))
    }

    /// Of a member; without effect for others.
    pub(crate) fn hold(&mut self, account: AccountId, role: Role) {
        if role == Role::Member {
            self.held.remove(&account);
        } else if self.members.contains_key(&account) {
            self.held.insert(account, role);
        }
    }
}

impl State {
    /// A room that the account is a member of. Of a closed room others are told nothing.
    pub fn room_of_member(&self, room_id: RoomId, account: AccountId) -> Result<&Room, Rejection> {
        let room = self.rooms.get(&room_id).ok_or(Rejection::RoomNotFound)?;
        match room.access {
            _ if room.members.contains_key(&account) => Ok(room),
            Access::Public => Err(Rejection::NotAMember),
            Access::Restricted | Access::Vip => Err(Rejection::RoomNotFound),
        }
    }

    /// Whether the account may do this in the room.
    pub fn permits(&self, room: RoomId, account: AccountId, permission: Permission) -> bool {
        self.way(room, account).is_some_and(|way| way.permissions().contains(permission))
    }

    /// The rooms above a room, from its parent to its root.
    pub fn ancestors(&self, room: &Room) -> Vec<RoomId> {
        let mut ancestors = Vec::new();
        let mut next = room.parent_id;
        while let Some(id) = next {
            ancestors.push(id);
            next = self.rooms.get(&id).and_then(|room| room.parent_id);
        }
        ancestors
    }

    /// A room and every room below it, parents before children, siblings by id.
    pub fn subtree(&self, root: RoomId) -> Vec<RoomId> {
        let mut found = vec![root];
        let mut next = 0;
        while next < found.len() {
            if let Some(room) = self.rooms.get(&found[next]) {
                found.extend(room.children.iter().copied());
            }
            next += 1;
        }
        found
    }
}

/// The partition's last messages: a reply to one of them needs no store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentMessages {
    /// A list, although it is searched: every message adds to it, and only replies search.
    messages: Vector<(MessageId, RoomId)>,
}

impl RecentMessages {
    pub fn contains(&self, message: MessageId, room: RoomId) -> bool {
        self.messages.iter().rev().any(|recent| *recent == (message, room))
    }

    pub fn push(&mut self, message: MessageId, room: RoomId) {
        self.messages.push_back((message, room));
        if self.messages.len() > RECENT_MESSAGES {
            self.messages.pop_front();
        }
    }
}

/// The partition's sessions that ended last: a client that repeats its log-out adds nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedSessions {
    sessions: HashSet<SessionId>,
    order: Vector<SessionId>,
}

impl EndedSessions {
    pub fn contains(&self, session: SessionId) -> bool {
        self.sessions.contains(&session)
    }

    pub fn push(&mut self, session: SessionId) {
        if self.sessions.insert(session).is_some() {
            return;
        }
        self.order.push_back(session);
        if self.order.len() > ENDED_SESSIONS
            && let Some(oldest) = self.order.pop_front()
        {
            self.sessions.remove(&oldest);
        }
    }
}
