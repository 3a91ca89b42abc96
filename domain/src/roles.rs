//! Who holds which role, what custom roles a root has, and what rooms say of roles.
//!
//! No one gives a permission that they do not hold, in any room where it would count, or acts on
//! someone, or on a role, of equal or higher rank. Two things are a member's own: to step down to a
//! plain member, and, for an owner, to make others owners of the same room.

use roomlog_schemas::{AccountId, Event, OverrideSet, RoleDefined, RoleRemoved, RoleSet, RoomId};

use crate::command::{Answer, Decision, DefineRole, RemoveRole, SetOverride, SetRole, TransferOwnership};
use crate::permission::{Permission, Permissions};
use crate::rejection::Rejection;
use crate::role::{Definition, OWNER_RANK, Override, Role};
use crate::rooms::is_last_owner;
use crate::state::{Room, State};
use crate::way::{Standing, Way};

/// Custom roles of one root.
pub const MAX_CUSTOM_ROLES: usize = 64;

/// Who gives a command, as a member of the room.
struct Actor<'a> {
    state: &'a State,
    room: &'a Room,
    way: Way,
    by: AccountId,
}

impl<'a> Actor<'a> {
    fn of(state: &'a State, room_id: RoomId, by: AccountId) -> Result<Self, Rejection> {
        let room = state.room_of_member(room_id, by)?;
        let way = state.way(room_id, by).ok_or(Rejection::RoomNotFound)?;
        Ok(Self { state, room, way, by })
    }

    fn needs(&self, permission: Permission) -> Result<(), Rejection> {
        if self.way.permissions().contains(permission) { Ok(()) } else { Err(Rejection::NotAllowed) }
    }

    /// The rank of a role has to be below its own.
    fn is_above(&self, rank: u8) -> Result<(), Rejection> {
        if rank < self.way.standing().rank { Ok(()) } else { Err(Rejection::RankTooLow) }
    }

    /// What `gained` says of each room from this one on down, it has to hold there itself. The ways
    /// given are its own: what a role comes to does not depend on who holds it.
    fn holds(&self, room_id: RoomId, gained: impl Fn(RoomId, &Way) -> Permissions) -> Result<(), Rejection> {
        let is_held = |id: RoomId| {
            let way = self.state.way(id, self.by);
            way.is_none_or(|way| gained(id, &way).is_within(way.held()))
        };
        if self.state.subtree(room_id).into_iter().all(is_held) {
            Ok(())
        } else {
            Err(Rejection::PermissionNotHeld)
        }
    }

    /// The same for what this event would add to a role.
    fn holds_gain(&self, room_id: RoomId, role: Role, event: &Event) -> Result<(), Rejection> {
        let mut after = self.state.clone();
        after.apply(event);
        self.holds(room_id, |id, before| {
            let after = after.way(id, self.by).map_or(Permissions::NONE, |way| way.of_role(role));
            after.without(before.of_role(role))
        })
    }
}

pub fn set(state: &State, command: &SetRole) -> Result<Decision, Rejection> {
    let SetRole { room_id, account_id, role, by } = *command;
    let actor = Actor::of(state, room_id, by)?;
    let held = actor.room.role_of(account_id).ok_or(Rejection::MemberNotFound)?;
    let definition = actor.way.definition(role).ok_or(Rejection::RoleNotFound)?;
    let is_root = actor.room.parent_id.is_none();
    // In a sub-room it would take nothing away: what counts above counts below.
    if role == Role::Guest && !is_root {
        return Err(Rejection::GuestOfRootOnly);
    }
    if actor.way.resolve(held) == role {
        return Ok(unchanged(room_id, actor.room));
    }
    let (own, is_own) = (actor.way.standing(), account_id == by);
    if !is_own || role != Role::Member {
        actor.needs(Permission::RoleGrant)?;
    }
    let target = state.way(room_id, account_id).map(|way| way.standing());
    if !is_own && target.is_some_and(|target| !own.outranks(target)) {
        return Err(Rejection::RankTooLow);
    }
    let shares_ownership = role == Role::Owner && actor.room.role_of(by) == Some(Role::Owner);
    let given = Standing { rank: definition.rank, level: actor.room.depth };
    if !own.outranks(given) && !shares_ownership {
        return Err(Rejection::RankTooLow);
    }
    if is_last_owner(actor.room, account_id) {
        return Err(Rejection::LastOwner);
    }
    if is_root || role != Role::Member {
        actor.holds(room_id, |_, way| way.of_role(role))?;
    }
    Ok(Decision::Events(vec![role_set(room_id, actor.room.seq + 1, account_id, role, by)]))
}

/// Whoever owns a room makes another member its owner and is an admin from then on.
pub fn transfer(state: &State, command: &TransferOwnership) -> Result<Decision, Rejection> {
    let TransferOwnership { room_id, account_id, by } = *command;
    let room = state.room_of_member(room_id, by)?;
    let held = room.role_of(account_id).ok_or(Rejection::MemberNotFound)?;
    if room.role_of(by) != Some(Role::Owner) {
        return Err(Rejection::NotAllowed);
    }
    if account_id == by {
        return Ok(unchanged(room_id, room));
    }
    let mut events = Vec::new();
    if held != Role::Owner {
        events.push(role_set(room_id, room.seq + 1, account_id, Role::Owner, by));
    }
    let seq = room.seq + 1 + events.len() as u64;
    events.push(role_set(room_id, seq, by, Role::Admin, by));
    Ok(Decision::Events(events))
}

pub fn create(state: &State, command: &DefineRole) -> Result<Decision, Rejection> {
    let actor = actor_in_root(state, command.room_id, command.by)?;
    if actor.room.roles.contains_key(&command.role_id) {
        let answer = Answer {
            room_id: Some(command.room_id),
            role_id: Some(command.role_id),
            seq: actor.room.seq,
            ..Answer::default()
        };
        return Ok(Decision::Unchanged(answer));
    }
    actor.needs(Permission::RoleManage)?;
    check_rank(&actor, command.rank)?;
    if actor.room.roles.len() >= MAX_CUSTOM_ROLES {
        return Err(Rejection::TooManyRoles);
    }
    // It is nobody's yet, and no room says anything of it.
    actor.holds(command.room_id, |_, _| command.permissions)?;
    Ok(Decision::Events(vec![role_defined(command, actor.room)]))
}

/// Writes its event whatever the role was: whether its sealed name differs cannot be told here.
pub fn change(state: &State, command: &DefineRole) -> Result<Decision, Rejection> {
    let actor = actor_in_root(state, command.room_id, command.by)?;
    let old = actor.room.roles.get(&command.role_id).ok_or(Rejection::RoleNotFound)?;
    actor.needs(Permission::RoleManage)?;
    actor.is_above(old.rank)?;
    check_rank(&actor, command.rank)?;
    let event = role_defined(command, actor.room);
    actor.holds_gain(command.room_id, Role::Custom(command.role_id), &event)?;
    Ok(Decision::Events(vec![event]))
}

pub fn remove(state: &State, command: &RemoveRole) -> Result<Decision, Rejection> {
    let RemoveRole { room_id, role_id, by } = *command;
    let actor = actor_in_root(state, room_id, by)?;
    let old = actor.room.roles.get(&role_id).ok_or(Rejection::RoleNotFound)?;
    actor.needs(Permission::RoleManage)?;
    actor.is_above(old.rank)?;
    let event = RoleRemoved { room_id, seq: actor.room.seq + 1, role_id, by }.into();
    // Who holds it becomes a plain member, which may be more.
    actor.holds_gain(room_id, Role::Custom(role_id), &event)?;
    Ok(Decision::Events(vec![event]))
}

pub fn set_override(state: &State, command: &SetOverride) -> Result<Decision, Rejection> {
    let SetOverride { room_id, role, set, by } = *command;
    let actor = Actor::of(state, room_id, by)?;
    let definition = actor.way.definition(role).ok_or(Rejection::RoleNotFound)?;
    if !set.allow.is_apart_from(set.deny) {
        return Err(Rejection::OverrideContradicts);
    }
    if actor.room.overrides.get(&role).copied().unwrap_or_default() == set {
        return Ok(unchanged(room_id, actor.room));
    }
    actor.needs(Permission::OverrideManage)?;
    actor.is_above(definition.rank)?;
    let event = OverrideSet {
        room_id,
        seq: actor.room.seq + 1,
        role: role.to_string(),
        allow: set.allow.names(),
        deny: set.deny.names(),
        by,
    }
    .into();
    actor.holds_gain(room_id, role, &event)?;
    Ok(Decision::Events(vec![event]))
}

fn actor_in_root(state: &State, room_id: RoomId, by: AccountId) -> Result<Actor<'_>, Rejection> {
    let actor = Actor::of(state, room_id, by)?;
    if actor.room.parent_id.is_some() { Err(Rejection::RolesAreOfRoots) } else { Ok(actor) }
}

fn check_rank(actor: &Actor<'_>, rank: u8) -> Result<(), Rejection> {
    if (1..OWNER_RANK).contains(&rank) { actor.is_above(rank) } else { Err(Rejection::InvalidRank) }
}

fn unchanged(room_id: RoomId, room: &Room) -> Decision {
    Decision::Unchanged(Answer { room_id: Some(room_id), seq: room.seq, ..Answer::default() })
}

fn role_set(room_id: RoomId, seq: u64, account_id: AccountId, role: Role, by: AccountId) -> Event {
    RoleSet { room_id, seq, account_id, role: role.to_string(), by }.into()
}

fn role_defined(command: &DefineRole, root: &Room) -> Event {
    RoleDefined {
        room_id: command.room_id,
        seq: root.seq + 1,
        role_id: command.role_id,
        name: command.name.clone(),
        rank: command.rank.into(),
        permissions: command.permissions.names(),
        by: command.by,
    }
    .into()
}

/// The room's seq is that of the event already.
pub fn apply(state: &mut State, event: &Event) {
    match event {
        Event::RoleSet(e) => {
            if let Some(room) = state.rooms.get_mut(&e.room_id) {
                room.hold(e.account_id, Role::of_event(&e.role));
            }
        }
        Event::RoleDefined(e) => {
            let definition = Definition::of_event(e.rank, &e.permissions);
            if let Some(root) = state.rooms.get_mut(&e.room_id) {
                root.roles.insert(e.role_id, definition);
            }
        }
        Event::RoleRemoved(e) => {
            if let Some(root) = state.rooms.get_mut(&e.room_id) {
                root.roles.remove(&e.role_id);
            }
            let role = Role::Custom(e.role_id);
            for room_id in state.subtree(e.room_id) {
                if state.rooms.get(&room_id).is_some_and(|room| room.overrides.contains_key(&role))
                    && let Some(room) = state.rooms.get_mut(&room_id)
                {
                    room.overrides.remove(&role);
                }
            }
        }
        Event::OverrideSet(e) => {
            let set = Override::of_event(&e.allow, &e.deny);
            if let Some(room) = state.rooms.get_mut(&e.room_id) {
                let role = Role::of_event(&e.role);
                if set.is_empty() {
                    room.overrides.remove(&role);
                } else {
                    room.overrides.insert(role, set);
                }
            }
        }
        _ => {}
    }
}
