//! What columns hold for values that have names.

use roomlog_domain::Permissions;
use roomlog_domain::role::{Definition, Override};
use roomlog_schemas::{Access, History, RoomKind};

pub const fn kind_name(kind: RoomKind) -> &'static str {
    match kind {
        RoomKind::Group => "group",
        RoomKind::Direct => "direct",
        RoomKind::Broadcast => "broadcast",
    }
}

pub const fn access_name(access: Access) -> &'static str {
    match access {
        Access::Public => "public",
        Access::Restricted => "restricted",
        Access::Vip => "vip",
    }
}

pub const fn history_name(history: History) -> &'static str {
    match history {
        History::FromBeginning => "from_beginning",
        History::FromJoin => "from_join",
    }
}

pub fn kind(name: &str) -> Option<RoomKind> {
    named(name, &[RoomKind::Group, RoomKind::Direct, RoomKind::Broadcast], kind_name)
}

pub fn access(name: &str) -> Option<Access> {
    named(name, &[Access::Public, Access::Restricted, Access::Vip], access_name)
}

pub fn history(name: &str) -> Option<History> {
    named(name, &[History::FromBeginning, History::FromJoin], history_name)
}

/// Names with blanks between.
pub fn permissions_text(permissions: Permissions) -> String {
    permissions.names().join(" ")
}

/// Names of a later build are passed over, as in events.
pub fn permissions(text: &str) -> Permissions {
    Permissions::from_names(&text.split(' ').collect::<Vec<_>>())
}

pub fn definition(rank: i64, permissions_text: &str) -> Definition {
    let rank = u8::try_from(rank.clamp(0, 100)).unwrap_or(0);
    Definition { rank, permissions: permissions(permissions_text) }
}

pub fn set(allow: &str, deny: &str) -> Override {
    Override { allow: permissions(allow), deny: permissions(deny) }
}

fn named<T: Copy>(name: &str, all: &[T], name_of: fn(T) -> &'static str) -> Option<T> {
    all.iter().copied().find(|&value| name_of(value) == name)
}
