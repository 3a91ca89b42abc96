//! The events, as Rust types. Field order is the schemas'.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, MessageId, RoleId, RoomId, SessionId};

/// Place in a room's timeline: gap-free from 1.
pub type Seq = u64;

macro_rules! events {
    ($($variant:ident = $name:literal),+ $(,)?) => {
        /// Any event of the log.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Event {
            $($variant($variant)),+
        }

        impl Event {
            /// Every event type's name, as in `avro/<name>/`.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            pub const fn name(&self) -> &'static str {
                match self {
                    $(Event::$variant(_) => $name),+
                }
            }

            pub(crate) fn write(
                &self,
                writer: &apache_avro::writer::datum::GenericDatumWriter<'_>,
                out: &mut Vec<u8>,
            ) -> Result<usize, apache_avro::Error> {
                match self {
                    $(Event::$variant(event) => writer.write_ser(out, event)),+
                }
            }

            pub(crate) fn read(
                name: &str,
                reader: &apache_avro::reader::datum::GenericDatumReader<'_>,
                mut datum: &[u8],
            ) -> Result<Event, apache_avro::Error> {
                match name {
                    $($name => reader.read_deser(&mut datum).map(Event::$variant),)+
                    _ => unreachable!("only the schemas of events are read as one"),
                }
            }
        }

        $(impl From<$variant> for Event {
            fn from(event: $variant) -> Self {
                Event::$variant(event)
            }
        })+
    };
}

events! {
    AccountRegistered = "account_registered",
    AccountClaimed = "account_claimed",
    RoomCreated = "room_created",
    MemberJoined = "member_joined",
    MemberLeft = "member_left",
    MessageSent = "message_sent",
    ImportNoted = "import_noted",
    SessionEnded = "session_ended",
    RoleSet = "role_set",
    RoleDefined = "role_defined",
    RoleRemoved = "role_removed",
    OverrideSet = "override_set",
}

impl Event {
    /// Room and place in its timeline, for the events that have one.
    pub fn timeline(&self) -> Option<(RoomId, Seq)> {
        match self {
            Event::AccountRegistered(_) | Event::AccountClaimed(_) | Event::SessionEnded(_) => None,
            Event::RoomCreated(e) => Some((e.room_id, e.seq)),
            Event::MemberJoined(e) => Some((e.room_id, e.seq)),
            Event::MemberLeft(e) => Some((e.room_id, e.seq)),
            Event::MessageSent(e) => Some((e.room_id, e.seq)),
            Event::ImportNoted(e) => Some((e.room_id, e.seq)),
            Event::RoleSet(e) => Some((e.room_id, e.seq)),
            Event::RoleDefined(e) => Some((e.room_id, e.seq)),
            Event::RoleRemoved(e) => Some((e.room_id, e.seq)),
            Event::OverrideSet(e) => Some((e.room_id, e.seq)),
        }
    }

    /// Where an imported event comes from.
    pub fn imported(&self) -> Option<&Imported> {
        match self {
            Event::AccountRegistered(_)
            | Event::AccountClaimed(_)
            | Event::SessionEnded(_)
            | Event::RoomCreated(_)
            | Event::RoleSet(_)
            | Event::RoleDefined(_)
            | Event::RoleRemoved(_)
            | Event::OverrideSet(_) => None,
            Event::MemberJoined(e) => e.imported.as_ref(),
            Event::MemberLeft(e) => e.imported.as_ref(),
            Event::MessageSent(e) => e.imported.as_ref(),
            Event::ImportNoted(e) => Some(&e.imported),
        }
    }
}

/// Where an imported event comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    pub source: String,
    /// Rises within a room, so that a room remembers how far it got.
    #[serde(with = "as_long")]
    pub position: u64,
    pub source_id: String,
    pub time_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRegistered {
    pub account_id: AccountId,
    /// Sealed.
    pub username: Option<Bytes>,
    /// Sealed.
    pub email: Option<Bytes>,
    /// Sealed.
    pub display_name: Option<Bytes>,
    pub source: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountClaimed {
    pub account_id: AccountId,
    /// Sealed.
    pub username: Bytes,
    /// Sealed.
    pub email: Bytes,
}

/// A log-in ended before it expired. The secrets store had revoked it before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEnded {
    pub account_id: AccountId,
    pub session_id: SessionId,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoomKind {
    #[default]
    Group,
    Direct,
    Broadcast,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    #[default]
    Public,
    Restricted,
    Vip,
}

/// What a member may see of the time before its joining.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum History {
    #[default]
    FromBeginning,
    FromJoin,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomCreated {
    pub room_id: RoomId,
    #[serde(with = "as_long")]
    pub seq: Seq,
    pub parent_id: Option<RoomId>,
    pub kind: RoomKind,
    pub access: Access,
    pub history: History,
    /// Sealed under the room's key alone.
    pub name: Bytes,
    pub creator_id: AccountId,
    pub source: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberJoined {
    pub room_id: RoomId,
    #[serde(with = "as_long")]
    pub seq: Seq,
    pub account_id: AccountId,
    pub role: String,
    pub imported: Option<Imported>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberLeft {
    pub room_id: RoomId,
    #[serde(with = "as_long")]
    pub seq: Seq,
    pub account_id: AccountId,
    pub imported: Option<Imported>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageSent {
    pub room_id: RoomId,
    #[serde(with = "as_long")]
    pub seq: Seq,
    pub message_id: MessageId,
    pub author_id: AccountId,
    /// Sealed.
    pub text: Bytes,
    pub reply_to: Option<MessageId>,
    pub imported: Option<Imported>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Noted {
    Join,
    Leave,
    Rename,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportNoted {
    pub room_id: RoomId,
    #[serde(with = "as_long")]
    pub seq: Seq,
    pub account_id: AccountId,
    pub noted: Noted,
    pub renamed_to: Option<AccountId>,
    pub imported: Imported,
}

/// A member holds this role in the room from now on, in place of the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleSet {
    pub room_id: RoomId,
    #[serde(with = "as_long")]
    pub seq: Seq,
    pub account_id: AccountId,
    /// A built-in role's name, or a custom role's id as text.
    pub role: String,
    pub by: AccountId,
}

/// A root room has this custom role from now on, or has it changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleDefined {
    pub room_id: RoomId,
    #[serde(with = "as_long")]
    pub seq: Seq,
    pub role_id: RoleId,
    /// Sealed under the root room's key alone.
    pub name: Bytes,
    /// 1 to 99.
    pub rank: i32,
    /// Names; a reader passes over those that it does not know.
    pub permissions: Vec<String>,
    pub by: AccountId,
}

/// A custom role is no more, nor what rooms set for it. Who held it is a plain member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleRemoved {
    pub room_id: RoomId,
    #[serde(with = "as_long")]
    pub seq: Seq,
    pub role_id: RoleId,
    pub by: AccountId,
}

/// What the room, and what lies below it, allows or denies a role besides its own permissions. Both
/// empty: nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverrideSet {
    pub room_id: RoomId,
    #[serde(with = "as_long")]
    pub seq: Seq,
    pub role: String,
    pub allow: Vec<String>,
    pub deny: Vec<String>,
    pub by: AccountId,
}

/// Avro has no unsigned numbers: a `u64` travels as a `long`.
mod as_long {
    use serde::{Deserialize, Deserializer, Serializer, de, ser};

    pub fn serialize<S: Serializer>(n: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(i64::try_from(*n).map_err(ser::Error::custom)?)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        u64::try_from(i64::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
