//! Why a command is refused: a value with a stable code.

use serde::{Deserialize, Serialize};

macro_rules! rejections {
    ($($(#[$doc:meta])* $variant:ident => $code:literal, $sentence:literal, [$($field:literal),*];)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Rejection {
            $($(#[$doc])* $variant),+
        }

        impl Rejection {
            pub const ALL: &'static [Rejection] = &[$(Rejection::$variant),+];

            /// Stable, for programs.
            pub const fn code(self) -> &'static str {
                match self { $(Rejection::$variant => $code),+ }
            }

            /// For people.
            pub const fn sentence(self) -> &'static str {
                match self { $(Rejection::$variant => $sentence),+ }
            }

            /// The fields of the command concerned.
            pub const fn fields(self) -> &'static [&'static str] {
                match self { $(Rejection::$variant => &[$($field),*]),+ }
            }
        }
    };
}

rejections! {
    RoomNotFound => "room_not_found", "There is no such room, or you may not know of it.", ["room_id"];
    ParentNotFound => "parent_not_found", "There is no such parent room, or you may not know of it.", ["parent_id"];
    NotAMember => "not_a_member", "Only members of the room may do this.", ["room_id"];
    ParentMembershipRequired => "parent_membership_required", "Join the parent room first.", ["room_id"];
    NotListed => "not_listed", "This room is restricted and you are not on its list.", ["room_id"];
    InvitationRequired => "invitation_required", "This room can only be entered by invitation.", ["room_id"];
    LastOwner => "last_owner", "A root room always has an owner: you are the last one.", ["room_id"];
    NotAllowed => "not_allowed", "Your role does not allow this.", ["room_id"];
    MemberNotFound => "member_not_found", "This account is no member of the room.", ["account_id"];
    RoleNotFound => "role_not_found", "The root room has no such role.", ["role"];
    RankTooLow => "rank_too_low", "You act only on members and roles below your own rank.", ["account_id", "role", "rank"];
    PermissionNotHeld => "permission_not_held", "No one gives a permission that they do not hold, here or in a room below.", ["role", "permissions", "allow", "deny"];
    RolesAreOfRoots => "roles_are_of_roots", "Custom roles are the root room's.", ["room_id"];
    GuestOfRootOnly => "guest_of_root_only", "A guest is one of the whole tree: set it in the root room.", ["role"];
    InvalidRank => "invalid_rank", "A custom role's rank is from 1 to 99.", ["rank"];
    TooManyRoles => "too_many_roles", "The root room has as many custom roles as it may have.", ["room_id"];
    OverrideContradicts => "override_contradicts", "The same permission is allowed and denied.", ["allow", "deny"];
    TooDeep => "too_deep", "Rooms may not be nested deeper.", ["parent_id"];
    TooManySubRooms => "too_many_sub_rooms", "The root room has as many sub-rooms as it may have.", ["parent_id"];
    KindNotAvailable => "kind_not_available", "Rooms of this kind cannot be created yet.", ["kind"];
    ReplyNotFound => "reply_not_found", "The message replied to is not in this room.", ["reply_to"];
    AccountNotFound => "account_not_found", "There is no such account.", ["account_id"];
    AlreadyClaimed => "already_claimed", "This account belongs to somebody already.", ["account_id"];
    /// The items' positions do not rise.
    ImportOutOfOrder => "import_out_of_order", "The positions of a batch have to rise.", ["items"];
}
