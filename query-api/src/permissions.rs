//! What an account may do in a room, and why.

use axum::extract::State;
use roomlog_domain::way::Rule;
use roomlog_domain::{Permission, Role};
use roomlog_schemas::RoomId;
use roomlog_web::described::{PermissionName, role};
use roomlog_web::{Authenticated, Json, MinPositions, Path, Problem, Query};
use serde::Serialize;
use utoipa::ToSchema;

use crate::Queries;
use crate::params::{MemberPath, PermissionParams, PositionParams};
use crate::problems::{QueryProblems, RoomNotFound};
use crate::roles::room_of;

/// The rule that gave an answer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RuleView {
    /// The account is no member of the room.
    NotAMember,
    /// It owns the room `held_in`: this one, or one above.
    Owner {
        #[schema(value_type = Uuid)]
        held_in: RoomId,
    },
    /// The room `set_in` says so for a role that the account holds, and no nearer one says anything else.
    Override {
        #[schema(schema_with = role)]
        role: Role,
        #[schema(value_type = Uuid)]
        held_in: RoomId,
        #[schema(value_type = Uuid)]
        set_in: RoomId,
    },
    /// The role has the permission by itself, or has it not.
    Role {
        #[schema(schema_with = role)]
        role: Role,
        #[schema(value_type = Uuid)]
        held_in: RoomId,
    },
}

impl From<Rule> for RuleView {
    fn from(rule: Rule) -> Self {
        match rule {
            Rule::NotAMember => Self::NotAMember,
            Rule::Owner { held_in } => Self::Owner { held_in },
            Rule::Override { role, held_in, set_in } => Self::Override { role, held_in, set_in },
            Rule::Role { role, held_in } => Self::Role { role, held_in },
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct PermissionView {
    #[schema(value_type = PermissionName)]
    permission: Permission,
    allowed: bool,
    rule: RuleView,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct PermissionList {
    items: Vec<PermissionView>,
}

/// What an account may do in a room, and why
///
/// Every permission, or one, with the answer and the rule that gave it: the same function by which commands
/// are decided, over the rows of the projection `directory`, all of one moment. For any account, by any
/// member of the room.
#[utoipa::path(
    get,
    path = "/v1/rooms/{room_id}/members/{account_id}/permissions",
    tag = crate::ROLE,
    params(MemberPath, PermissionParams, PositionParams),
    responses((status = 200, description = "The answers.", body = PermissionList), QueryProblems, RoomNotFound),
    security(("access_token" = []))
)]
pub(crate) async fn explain(
    State(api): State<Queries>,
    caller: Authenticated,
    Path(MemberPath { room_id, account_id }): Path<MemberPath>,
    Query(params): Query<PermissionParams>,
    positions: MinPositions,
) -> Result<Json<PermissionList>, Problem> {
    let asked = params.permission()?;
    let _place = api.directory_at(&positions).await?;
    room_of(&api, room_id, caller.account_id).await?;
    let way = api.directory.way(room_id, account_id).await?.ok_or_else(Problem::room_not_found)?;
    let all = Permission::ALL.iter().copied();
    let items = all
        .filter(|permission| asked.is_none_or(|asked| asked == *permission))
        .map(|permission| {
            let explanation = way.explain(permission);
            PermissionView { permission, allowed: explanation.is_allowed, rule: explanation.rule.into() }
        })
        .collect();
    Ok(Json(PermissionList { items }))
}
