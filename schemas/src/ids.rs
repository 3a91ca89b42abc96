//! Typed ids. An id is a UUIDv8: 14 bits of slot and 108 bits of keyed BLAKE3, so that any
//! instance can route it without a look-up, a retry makes the same id, and clients can't choose one.
//!
//! ```text
//! bit   0..14   slot
//!      14..48   hash
//!      48..52   version (8)
//!      52..64   hash
//!      64..66   variant (0b10)
//!      66..128  hash
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// 0..16384; a partition is a range of slots.
pub type Slot = u16;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The slot in the id's first 14 bits.
            pub fn slot(self) -> Slot {
                (self.0.as_u128() >> 114) as Slot
            }

            pub const fn from_u128(n: u128) -> Self {
                Self(Uuid::from_u128(n))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id!(
    /// An account; its slot places it in the topic `accounts`.
    AccountId
);
id!(
    /// A room; its slot is its root's and places it in the topic `rooms`.
    RoomId
);
id!(
    /// A message; its slot is its room's.
    MessageId
);
id!(
    /// A log-in; its slot is its account's.
    SessionId
);
id!(
    /// A custom role of a root room; its slot is the room's.
    RoleId
);

/// A client's idempotency key: a UUIDv7, whose time is the key time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Debug)]
#[serde(transparent)]
pub struct IdempotencyKey(Uuid);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key is a UUIDv7")]
pub struct NotVersion7;

impl IdempotencyKey {
    pub fn new(key: Uuid) -> Result<Self, NotVersion7> {
        match (key.get_version_num(), key.get_variant()) {
            (7, uuid::Variant::RFC4122) => Ok(Self(key)),
            _ => Err(NotVersion7),
        }
    }

    pub const fn uuid(self) -> Uuid {
        self.0
    }

    /// Milliseconds since 1970, from the key's first 48 bits.
    pub fn time_ms(self) -> i64 {
        (self.0.as_u128() >> 80) as i64
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for IdempotencyKey {
    type Err = NotVersion7;

    fn from_str(text: &str) -> Result<Self, NotVersion7> {
        text.parse().map_err(|_| NotVersion7).and_then(Self::new)
    }
}

/// The platform's id key: without it nobody can tell which id a command will make.
#[derive(Clone)]
pub struct IdKey([u8; 32]);

impl IdKey {
    pub const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    pub fn account(&self, key: &[u8]) -> AccountId {
        AccountId(self.derive("account", Uuid::nil(), Uuid::nil(), key, 0, None))
    }

    /// A root room: its slot comes from the same hash, so that a retry meets the same partition.
    pub fn root_room(&self, account: AccountId, key: &[u8]) -> RoomId {
        RoomId(self.derive("room", account.0, Uuid::nil(), key, 0, None))
    }

    pub fn sub_room(&self, account: AccountId, key: &[u8], parent: RoomId) -> RoomId {
        RoomId(self.derive("room", account.0, parent.0, key, 0, Some(parent.slot())))
    }

    pub fn message(&self, account: AccountId, key: &[u8], ordinal: u32, room: RoomId) -> MessageId {
        MessageId(self.derive("message", account.0, room.0, key, ordinal, Some(room.slot())))
    }

    pub fn role(&self, account: AccountId, key: &[u8], root: RoomId) -> RoleId {
        RoleId(self.derive("role", account.0, root.0, key, 0, Some(root.slot())))
    }

    pub fn session(&self, account: AccountId, key: &[u8]) -> SessionId {
        SessionId(self.derive("session", account.0, Uuid::nil(), key, 0, Some(account.slot())))
    }

    fn derive(
        &self,
        kind: &str,
        account: Uuid,
        within: Uuid,
        key: &[u8],
        ordinal: u32,
        slot: Option<Slot>,
    ) -> Uuid {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&[kind.len() as u8]);
        hasher.update(kind.as_bytes());
        hasher.update(account.as_bytes());
        hasher.update(within.as_bytes());
        hasher.update(&ordinal.to_be_bytes());
        hasher.update(key);
        let mut bits =
            u128::from_be_bytes(hasher.finalize().as_bytes()[..16].try_into().expect("a hash has 32 bytes"));
        if let Some(slot) = slot {
            bits = (bits << 14 >> 14) | (u128::from(slot) << 114);
        }
        uuid::Builder::from_custom_bytes(bits.to_be_bytes()).into_uuid()
    }
}

impl fmt::Debug for IdKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdKey(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: IdKey = IdKey::new([7; 32]);

    #[test]
    fn ids_are_version_8_and_repeatable() {
        let account = KEY.account(b"key");
        assert_eq!(account.0.get_version_num(), 8);
        assert_eq!(account.0.get_variant(), uuid::Variant::RFC4122);
        assert_eq!(account, KEY.account(b"key"));
        assert_ne!(account, KEY.account(b"other"));
        assert_ne!(account, IdKey::new([8; 32]).account(b"key"));
    }

    #[test]
    fn messages_and_sub_rooms_share_their_roots_slot() {
        let account = KEY.account(b"a");
        let root = KEY.root_room(account, b"k");
        let sub = KEY.sub_room(account, b"k", root);
        assert_ne!(root, sub);
        assert_eq!(sub.slot(), root.slot());
        assert_eq!(KEY.message(account, b"k", 0, sub).slot(), root.slot());
        assert_ne!(KEY.message(account, b"k", 0, sub), KEY.message(account, b"k", 1, sub));
    }

    #[test]
    fn only_version_7_is_a_key_and_its_time_is_the_key_time() {
        let key: IdempotencyKey = "0190163d-8694-739b-aea5-966c26f8ad91".parse().unwrap();
        assert_eq!(key.time_ms(), 0x0190_163d_8694);
        assert!("0190163d-8694-439b-aea5-966c26f8ad91".parse::<IdempotencyKey>().is_err());
        assert!("nonsense".parse::<IdempotencyKey>().is_err());
    }
}
