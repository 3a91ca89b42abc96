//! Members of a room.

use std::collections::HashSet;

use axum::extract::State;
use roomlog_domain::Role;
use roomlog_schemas::event::Seq;
use roomlog_schemas::{AccountId, RoleId};
use roomlog_stores::directory::MemberRow;
use roomlog_web::described::role;
use roomlog_web::view::timestamp;
use roomlog_web::{Authenticated, Json, MinPositions, Path, Problem, Query};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::Queries;
use crate::pages::cut;
use crate::params::{ListParams, PositionParams, RoomPath};
use crate::problems::{QueryProblems, RoomNotFound};
use crate::roles::room_of;

#[derive(Debug, Serialize, ToSchema)]
pub struct MemberView {
    #[schema(value_type = Uuid)]
    account_id: AccountId,
    /// Null for an imported account that nobody has claimed.
    username: Option<String>,
    display_name: Option<String>,
    /// What it holds in this room; what it holds above counts as well.
    #[schema(schema_with = role)]
    role: Role,
    /// The event of its joining.
    #[schema(value_type = u64)]
    joined_seq: Seq,
    /// The original time of an imported joining.
    #[serde(with = "time::serde::rfc3339")]
    joined_at: OffsetDateTime,
}

impl MemberView {
    /// A custom role that the root does not have any more is none.
    fn of(row: MemberRow, custom: &HashSet<RoleId>) -> Self {
        let role = match Role::of_event(&row.role) {
            Role::Custom(id) if !custom.contains(&id) => Role::Member,
            role => role,
        };
        Self {
            account_id: row.account_id,
            username: row.username,
            display_name: row.display_name,
            role,
            joined_seq: row.joined_seq,
            joined_at: timestamp(row.joined_at_ms),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct MemberPage {
    /// By account id.
    items: Vec<MemberView>,
    /// Give it as `cursor` for the next page; null on the last one.
    next_cursor: Option<String>,
}

/// Members of a room
///
/// Reads the projection `directory`.
#[utoipa::path(
    get,
    path = "/v1/rooms/{room_id}/members",
    tag = crate::ROLE,
    params(RoomPath, ListParams, PositionParams),
    responses((status = 200, description = "A page of members.", body = MemberPage), QueryProblems, RoomNotFound),
    security(("access_token" = []))
)]
pub(crate) async fn list_members(
    State(api): State<Queries>,
    caller: Authenticated,
    Path(RoomPath { room_id }): Path<RoomPath>,
    Query(params): Query<ListParams>,
    positions: MinPositions,
) -> Result<Json<MemberPage>, Problem> {
    let (limit, after) = (params.limit(&api.limits)?, params.after()?);
    let _place = api.directory_at(&positions).await?;
    let room = room_of(&api, room_id, caller.account_id).await?;
    let rows = api.directory.members(room_id, after, limit + 1).await?;
    let (rows, next_cursor) = cut(rows, limit, |row| row.account_id.0);
    let is_custom = |row: &MemberRow| matches!(Role::of_event(&row.role), Role::Custom(_));
    let custom = match rows.iter().any(is_custom) {
        true => api.directory.roles(room.root_id).await?.into_iter().map(|row| row.role_id).collect(),
        false => HashSet::new(),
    };
    let items = rows.into_iter().map(|row| MemberView::of(row, &custom)).collect();
    Ok(Json(MemberPage { items, next_cursor }))
}
