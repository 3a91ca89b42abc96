//! Reading a [`Way`] in one statement, so that all of it is of one moment.

use roomlog_domain::Role;
use roomlog_domain::way::{Level, Way};
use roomlog_schemas::{RoleId, RoomId};
use uuid::Uuid;

use super::names;

/// Of room `$1` and account `$2`. For each room from that one up, level 0 on: a row with what the account
/// is there, and one for each role that the room says something of; and one for each role of the root.
/// Names its tables in the order in which PostgreSQL's store replaces them.
pub const STATEMENT: &str = "
    WITH RECURSIVE own (room_id, role) AS (SELECT room_id, role FROM memberships WHERE account_id = $2),
    way (room_id, parent_id, root_id, level) AS (
        SELECT room_id, parent_id, root_id, 0 FROM rooms WHERE room_id = $1
        UNION ALL
        SELECT rooms.room_id, rooms.parent_id, rooms.root_id, level + 1
        FROM way JOIN rooms ON rooms.room_id = way.parent_id
    )
    SELECT 'room' AS kind, way.room_id AS id, own.role AS role, 0 AS rank, '' AS allow, '' AS deny, level
    FROM way LEFT JOIN own ON own.room_id = way.room_id
    UNION ALL
    SELECT 'override', way.room_id, role_overrides.role, 0, allow_names, deny_names, level
    FROM way JOIN role_overrides ON role_overrides.room_id = way.room_id
    UNION ALL
    SELECT 'role', roles.role_id, NULL, roles.rank, permissions, '', level
    FROM way JOIN roles ON roles.root_id = way.root_id WHERE level = 0
    ORDER BY level, kind DESC";

/// The first columns of a row.
pub struct Part<'r> {
    pub kind: &'r str,
    pub id: Uuid,
    pub role: Option<&'r str>,
    pub rank: i64,
    pub allow: &'r str,
    pub deny: &'r str,
}

/// From the rows as they come; `None` without any.
#[derive(Default)]
pub struct Assembly(Way);

impl Assembly {
    pub fn add(&mut self, part: Part<'_>) {
        let role = part.role.map(Role::of_event);
        match part.kind {
            // Of each level the room comes first: `room` is the last of the kinds.
            "room" => {
                self.0.levels.push(Level { room_id: RoomId(part.id), role, overrides: Default::default() });
            }
            "role" => {
                self.0.roles.insert(RoleId(part.id), names::definition(part.rank, part.allow));
            }
            _ => {
                if let (Some(level), Some(role)) = (self.0.levels.last_mut(), role) {
                    level.overrides.insert(role, names::set(part.allow, part.deny));
                }
            }
        }
    }

    pub fn finish(mut self) -> Option<Way> {
        self.0.levels.reverse();
        Some(self.0).filter(|way| !way.levels.is_empty())
    }
}
