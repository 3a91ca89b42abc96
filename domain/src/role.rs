//! Roles: those that every root has, and those that it makes itself.

use std::fmt;
use std::str::FromStr;

use roomlog_schemas::RoleId;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::permission::{Permission, Permissions};

/// Of an owner, which no other role has.
pub const OWNER_RANK: u8 = 100;

/// What a member is in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    Owner,
    Admin,
    Moderator,
    Member,
    Guest,
    /// Of the tree's root.
    Custom(RoleId),
}

/// What a role is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// The higher one acts on the lower one.
    pub rank: u8,
    pub permissions: Permissions,
}

/// What a room allows or denies a role, besides what the role has by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    pub allow: Permissions,
    pub deny: Permissions,
}

impl Definition {
    /// As events have it: whatever they hold, no custom role has an owner's rank.
    pub fn of_event(rank: i32, permissions: &[String]) -> Self {
        let rank = rank.clamp(1, i32::from(OWNER_RANK) - 1) as u8;
        Self { rank, permissions: Permissions::from_names(permissions) }
    }
}

impl Override {
    pub fn of_event(allow: &[String], deny: &[String]) -> Self {
        Self { allow: Permissions::from_names(allow), deny: Permissions::from_names(deny) }
    }

    pub const fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    pub const fn mentions(&self, permission: Permission) -> bool {
        self.allow.contains(permission) || self.deny.contains(permission)
    }
}

impl Role {
    pub const BUILT_IN: [Role; 5] = [Role::Owner, Role::Admin, Role::Moderator, Role::Member, Role::Guest];

    /// `None` for a custom role, which its root defines.
    pub const fn built_in(self) -> Option<Definition> {
        use Permission::{MemberBan, MemberKick, MemberMute, MessageSend};
        let (rank, permissions) = match self {
            Role::Owner => (OWNER_RANK, Permissions::ALL),
            Role::Admin => (80, Permissions::ALL),
            Role::Moderator => (60, Permissions::of(&[MessageSend, MemberKick, MemberBan, MemberMute])),
            Role::Member => (20, Permissions::of(&[MessageSend])),
            Role::Guest => (10, Permissions::NONE),
            Role::Custom(_) => return None,
        };
        Some(Definition { rank, permissions })
    }

    /// As events have it. What a later build may have called a role counts as a plain member.
    pub fn of_event(name: &str) -> Self {
        name.parse().unwrap_or(Role::Member)
    }
}

/// The name of a built-in role, the id of a custom one.
impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Owner => "owner",
            Role::Admin => "admin",
            Role::Moderator => "moderator",
            Role::Member => "member",
            Role::Guest => "guest",
            Role::Custom(id) => return write!(f, "{id}"),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a role is owner, admin, moderator, member, guest, or the id of a custom role")]
pub struct NoRole;

impl FromStr for Role {
    type Err = NoRole;

    fn from_str(name: &str) -> Result<Self, NoRole> {
        Ok(match name {
            "owner" => Role::Owner,
            "admin" => Role::Admin,
            "moderator" => Role::Moderator,
            "member" => Role::Member,
            "guest" => Role::Guest,
            id => Role::Custom(id.parse().map_err(|_| NoRole)?),
        })
    }
}

impl Serialize for Role {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Role {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
