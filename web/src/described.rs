//! What the OpenAPI document says of values whose types know nothing of it, for `value_type = …`.

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
