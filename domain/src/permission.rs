//! What an account may do in a room.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! permissions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)+) => {
        /// Names are for ever; a new one comes last, and raises
        /// [`STATE_VERSION`](crate::STATE_VERSION): states of a build before it lack what it was given.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Permission {
            $($(#[$doc])* #[serde(rename = $name)] $variant),+
        }

        impl Permission {
            pub const ALL: &'static [Permission] = &[$(Permission::$variant),+];

            pub const fn name(self) -> &'static str {
                match self { $(Permission::$variant => $name),+ }
            }
        }
    };
}

permissions! {
    MessageSend = "message.send";
    RoomCreateSub = "room.create_sub";
    /// Name, description, topic, and place among siblings.
    RoomEdit = "room.edit";
    RoomMove = "room.move";
    RoomArchive = "room.archive";
    RoomDelete = "room.delete";
    MemberKick = "member.kick";
    MemberBan = "member.ban";
    MemberMute = "member.mute";
    /// Setting a member's role.
    RoleGrant = "role.grant";
    /// Making, changing and removing custom roles.
    RoleManage = "role.manage";
    /// Saying what a room allows or denies a role.
    OverrideManage = "override.manage";
}

impl Permission {
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|permission| permission.name() == name)
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// A set of permissions.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Permissions(u32);

impl Permissions {
    pub const NONE: Self = Self(0);
    pub const ALL: Self = Self::of(Permission::ALL);

    pub const fn of(permissions: &[Permission]) -> Self {
        let (mut bits, mut next) = (0, 0);
        while next < permissions.len() {
            bits |= permissions[next].bit();
            next += 1;
        }
        Self(bits)
    }

    /// Unknown names, of a later build, are passed over.
    pub fn from_names<T: AsRef<str>>(names: &[T]) -> Self {
        names.iter().filter_map(|name| Permission::from_name(name.as_ref())).collect()
    }

    /// In the order of [`Permission::ALL`].
    pub fn names(self) -> Vec<String> {
        self.iter().map(|permission| permission.name().to_owned()).collect()
    }

    pub const fn contains(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    pub const fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    pub const fn is_within(self, others: Self) -> bool {
        self.without(others).is_empty()
    }

    pub const fn is_apart_from(self, others: Self) -> bool {
        self.0 & others.0 == 0
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.iter().copied().filter(move |permission| self.contains(*permission))
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        permissions.into_iter().fold(Self::NONE, |set, permission| Self(set.0 | permission.bit()))
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Permission::name)).finish()
    }
}

/// A list of names.
impl Serialize for Permissions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Permissions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<Permission>::deserialize(deserializer).map(|permissions| permissions.into_iter().collect())
    }
}
