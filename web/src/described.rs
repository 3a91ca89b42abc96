//! What the OpenAPI document says of values whose types know nothing of it, for `value_type = …`.

use roomlog_domain::Permission;
use roomlog_schemas::{Access, History, Noted, RoomKind};
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa::{PartialSchema, ToSchema};

/// The values of an event's type, which are tested to be all of them.
macro_rules! values {
    ($(#[$doc:meta])* $name:ident of $event:ident: $($variant:ident),+) => {
        $(#[$doc])*
        #[derive(ToSchema)]
        #[schema(as = $event, rename_all = "snake_case")]
        pub enum $name { $($variant),+ }

        impl From<$event> for $name {
            fn from(value: $event) -> Self {
                match value { $($event::$variant => Self::$variant),+ }
            }
        }
    };
}

values! {
    /// What a room is for.
    RoomKindName of RoomKind: Group, Direct, Broadcast
}
values! {
    /// Who may join a room.
    AccessName of Access: Public, Restricted, Vip
}
values! {
    /// What a member sees of the time before its joining.
    HistoryName of History: FromBeginning, FromJoin
}
values! {
    /// What an import tells of without doing it.
    NotedName of Noted: Join, Leave, Rename
}

/// By its stable name.
pub struct PermissionName;

impl PartialSchema for PermissionName {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("What an account may do in a room. Later versions add more."))
            .enum_values(Some(Permission::ALL.iter().map(|permission| permission.name())))
            .into()
    }
}

impl ToSchema for PermissionName {
    fn name() -> std::borrow::Cow<'static, str> {
        "Permission".into()
    }
}

/// A built-in role's name, or a custom role's id.
pub fn role() -> Object {
    let custom = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}";
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(
            "`owner`, `admin`, `moderator`, `member`, `guest`, or the id of a custom role of the root.",
        ))
        .examples(["moderator"])
        .pattern(Some(format!("^(owner|admin|moderator|member|guest|{custom})$")))
        .build()
}

/// A number from 0 on without a largest one.
pub fn natural_number() -> Object {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).build()
}

impl PartialSchema for crate::Position {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("A record of the log. Opaque: only what an answer gave is one."))
            .pattern(Some("^[ar](0|[1-9a-f][0-9a-f]{0,7})-(0|[1-9a-f][0-9a-f]{0,15})$"))
            .into()
    }
}

impl ToSchema for crate::Position {}
