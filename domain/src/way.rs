//! What an account may do in a room, and why: a pure function of what lies between the tree's root and
//! the room. Writers make a [`Way`] from their state, queries from the rows of a projection.
//!
//! A role is held in a room and counts there and in every room below. Being a plain member of a
//! sub-room adds nothing to that. An account may do what any of its roles may. What a role may is what
//! it has by itself, and then what the rooms on the way say of it: the nearest one wins. An owner may
//! do everything, whatever rooms say.

use imbl::OrdMap;
use roomlog_schemas::{AccountId, RoleId, RoomId};

use crate::permission::{Permission, Permissions};
use crate::role::{Definition, Override, Role};
use crate::state::{Room, State};

/// From a root down to a room, as one account meets it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Way {
    /// The custom roles of the root.
    pub roles: OrdMap<RoleId, Definition>,
    /// The root first, the room last.
    pub levels: Vec<Level>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    pub room_id: RoomId,
    /// What the account holds in this very room; `None` if it is no member.
    pub role: Option<Role>,
    pub overrides: OrdMap<Role, Override>,
}

/// Who acts on whom: the higher rank, and of the same rank who holds it nearer to the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub rank: u8,
    /// 0 for a root.
    pub level: u32,
}

impl Standing {
    pub const fn outranks(self, other: Self) -> bool {
        self.rank > other.rank || (self.rank == other.rank && self.level < other.level)
    }
}

/// An answer, and the rule that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    pub is_allowed: bool,
    pub rule: Rule,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The account is no member of the room.
    NotAMember,
    /// It owns this room, the asked one or one above.
    Owner { held_in: RoomId },
    /// `set_in` says so for a role that the account holds, and no room nearer says anything else.
    Override { role: Role, held_in: RoomId, set_in: RoomId },
    /// The role has the permission by itself, or has not, and no room says anything of it.
    Role { role: Role, held_in: RoomId },
}

/// A role that counts at the end of the way.
#[derive(Debug, Clone, Copy)]
struct Held {
    role: Role,
    room_id: RoomId,
    standing: Standing,
}

impl Way {
    pub fn is_member(&self) -> bool {
        self.levels.last().is_some_and(|level| level.role.is_some())
    }

    /// `None` for a custom role that the root does not have.
    pub fn definition(&self, role: Role) -> Option<Definition> {
        match role {
            Role::Custom(id) => self.roles.get(&id).copied(),
            built_in => built_in.built_in(),
        }
    }

    /// Whoever holds a custom role that is no more is a plain member.
    pub fn resolve(&self, role: Role) -> Role {
        self.definition(role).map_or(Role::Member, |_| role)
    }

    /// What the account may do in the room.
    pub fn permissions(&self) -> Permissions {
        if self.is_member() { self.held() } else { Permissions::NONE }
    }

    /// What its roles come to in the room, whether it is a member there or not.
    pub fn held(&self) -> Permissions {
        self.counting().iter().fold(Permissions::NONE, |all, held| all.with(self.of_role(held.role)))
    }

    /// The highest of the account's roles.
    pub fn standing(&self) -> Standing {
        let none = Standing { rank: 0, level: u32::MAX };
        self.counting().first().map_or(none, |held| held.standing)
    }

    /// What whoever holds this role may do in the room.
    pub fn of_role(&self, role: Role) -> Permissions {
        let role = self.resolve(role);
        let own = self.definition(role).map_or(Permissions::NONE, |definition| definition.permissions);
        if role == Role::Owner {
            return own;
        }
        self.levels
            .iter()
            .filter_map(|level| level.overrides.get(&role))
            .fold(own, |all, set| all.with(set.allow).without(set.deny))
    }

    pub fn explain(&self, permission: Permission) -> Explanation {
        let denied = |rule| Explanation { is_allowed: false, rule };
        if !self.is_member() {
            return denied(Rule::NotAMember);
        }
        let counting = self.counting();
        let allowing = counting.iter().find(|held| self.of_role(held.role).contains(permission));
        match (allowing, counting.first()) {
            (Some(held), _) => Explanation { is_allowed: true, rule: self.rule(held, permission) },
            (None, Some(held)) => denied(self.rule(held, permission)),
            (None, None) => denied(Rule::NotAMember),
        }
    }

    /// Why a role has the permission, or has it not.
    fn rule(&self, held: &Held, permission: Permission) -> Rule {
        let (role, held_in) = (held.role, held.room_id);
        if role == Role::Owner {
            return Rule::Owner { held_in };
        }
        let says = |level: &&Level| level.overrides.get(&role).is_some_and(|set| set.mentions(permission));
        match self.levels.iter().rev().find(says) {
            Some(level) => Rule::Override { role, held_in, set_in: level.room_id },
            None => Rule::Role { role, held_in },
        }
    }

    /// The highest first.
    fn counting(&self) -> Vec<Held> {
        let mut counting = Vec::with_capacity(self.levels.len());
        for (level, at) in (0..).zip(&self.levels) {
            let Some(role) = at.role.map(|role| self.resolve(role)) else { continue };
            // Of a sub-room nearly everybody is a plain member.
            if level > 0 && role == Role::Member {
                continue;
            }
            let rank = self.definition(role).map_or(0, |definition| definition.rank);
            counting.push(Held { role, room_id: at.room_id, standing: Standing { rank, level } });
        }
        counting.sort_by_key(|held| (std::cmp::Reverse(held.standing.rank), held.standing.level));
        counting
    }
}

impl State {
    /// From the root of a room down to it; `None` for an unknown room.
    pub fn way(&self, room_id: RoomId, account_id: AccountId) -> Option<Way> {
        let room = self.rooms.get(&room_id)?;
        let mut levels = Vec::with_capacity(room.depth as usize + 1);
        let mut next = Some((room_id, room));
        while let Some((room_id, room)) = next {
            let (role, overrides) = (room.role_of(account_id), room.overrides.clone());
            levels.push(Level { room_id, role, overrides });
            next = room.parent_id.and_then(|parent| Some((parent, self.rooms.get(&parent)?)));
        }
        levels.reverse();
        let roles = self.rooms.get(&room.root_id).map(|root: &Room| root.roles.clone()).unwrap_or_default();
        Some(Way { roles, levels })
    }

    /// Why an account may do something in a room, or may not; `None` for an unknown room.
    pub fn explain(
        &self,
        account_id: AccountId,
        room_id: RoomId,
        permission: Permission,
    ) -> Option<Explanation> {
        self.way(room_id, account_id).map(|way| way.explain(permission))
    }
}
