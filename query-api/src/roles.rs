//! The roles of a root, and what a room says of them.

use axum::extract::State;
use roomlog_domain::role::Definition;
use roomlog_domain::{Permissions, Role};
use roomlog_schemas::{AccountId, RoomId};
use roomlog_stores::directory::{OverrideRow, RoleRow, RoomRow};
use roomlog_web::described::{PermissionName, role};
use roomlog_web::{Authenticated, Json, MinPositions, Path, Problem};
use serde::Serialize;
use utoipa::ToSchema;

use crate::Queries;
use crate::params::{PositionParams, RoomPath};
use crate::problems::{QueryProblems, RoomNotFound};

#[derive(Debug, Serialize, ToSchema)]
pub struct RoleView {
    #[schema(schema_with = role)]
    role: Role,
    /// Null for a built-in role. Empty if the root's key was destroyed.
    name: Option<String>,
    /// The higher one acts on the lower one; of the same rank, who holds it nearer to the root.
    rank: u8,
    /// What the role may do where no room says anything else. Owners may do everything anywhere.
    #[schema(value_type = Vec<PermissionName>)]
    permissions: Permissions,
}

impl RoleView {
    fn of(role: Role, name: Option<String>, Definition { rank, permissions }: Definition) -> Self {
        Self { role, name, rank, permissions }
    }
}

impl From<RoleRow> for RoleView {
    fn from(row: RoleRow) -> Self {
        Self::of(Role::Custom(row.role_id), Some(row.name), row.definition)
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct RoleList {
    #[schema(value_type = Uuid)]
    root_id: RoomId,
    /// The highest rank first. Custom roles can be used in every room of the root.
    items: Vec<RoleView>,
}

/// Roles of a room's root
///
/// The built-in ones and those that the root has made. Reads the projection `directory`.
#[utoipa::path(
    get,
    path = "/v1/rooms/{room_id}/roles",
    tag = crate::ROLE,
    params(RoomPath, PositionParams),
    responses((status = 200, description = "Every role.", body = RoleList), QueryProblems, RoomNotFound),
    security(("access_token" = []))
)]
pub(crate) async fn list_roles(
    State(api): State<Queries>,
    caller: Authenticated,
    Path(RoomPath { room_id }): Path<RoomPath>,
    positions: MinPositions,
) -> Result<Json<RoleList>, Problem> {
    let _place = api.directory_at(&positions).await?;
    let RoomRow { root_id, .. } = room_of(&api, room_id, caller.account_id).await?;
    let built_in = Role::BUILT_IN.into_iter().filter_map(|role| Some((role, role.built_in()?)));
    let mut items: Vec<RoleView> =
        built_in.map(|(role, definition)| RoleView::of(role, None, definition)).collect();
    items.extend(api.directory.roles(root_id).await?.into_iter().map(RoleView::from));
    items.sort_by_key(|role| std::cmp::Reverse(role.rank));
    Ok(Json(RoleList { root_id, items }))
}

#[derive(Debug, Serialize, ToSchema)]
pub struct OverrideView {
    #[schema(schema_with = role)]
    role: Role,
    #[schema(value_type = Vec<PermissionName>)]
    allow: Permissions,
    #[schema(value_type = Vec<PermissionName>)]
    deny: Permissions,
}

impl From<OverrideRow> for OverrideView {
    fn from(row: OverrideRow) -> Self {
        Self { role: row.role, allow: row.set.allow, deny: row.set.deny }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct OverrideList {
    /// At most one for each role.
    items: Vec<OverrideView>,
}

/// What a room says of roles
///
/// The room itself; what the rooms above say counts as well, where this one says nothing. Reads the
/// projection `directory`.
#[utoipa::path(
    get,
    path = "/v1/rooms/{room_id}/overrides",
    tag = crate::ROLE,
    params(RoomPath, PositionParams),
    responses((status = 200, description = "Every one.", body = OverrideList), QueryProblems, RoomNotFound),
    security(("access_token" = []))
)]
pub(crate) async fn list_overrides(
    State(api): State<Queries>,
    caller: Authenticated,
    Path(RoomPath { room_id }): Path<RoomPath>,
    positions: MinPositions,
) -> Result<Json<OverrideList>, Problem> {
    let _place = api.directory_at(&positions).await?;
    room_of(&api, room_id, caller.account_id).await?;
    let rows = api.directory.overrides(room_id).await?;
    Ok(Json(OverrideList { items: rows.into_iter().map(OverrideView::from).collect() }))
}

/// A room that the caller is a member of.
pub(crate) async fn room_of(api: &Queries, room: RoomId, caller: AccountId) -> Result<RoomRow, Problem> {
    if !api.directory.is_member(room, caller).await? {
        return Err(Problem::room_not_found());
    }
    api.directory.room(room).await?.ok_or_else(Problem::room_not_found)
}
