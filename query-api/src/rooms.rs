//! Rooms that the caller is a member of.

use axum::extract::State;
use roomlog_schemas::event::Seq;
use roomlog_schemas::{Access, AccountId, History, RoomId, RoomKind};
use roomlog_stores::directory::RoomRow;
use roomlog_web::described::{AccessName, HistoryName, RoomKindName};
use roomlog_web::view::timestamp;
use roomlog_web::{Authenticated, Json, MinPositions, Path, Problem, Query};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::Queries;
use crate::pages::cut;
use crate::params::{ListParams, PositionParams, RoomPath};
use crate::problems::{QueryProblems, RoomNotFound};

#[derive(Debug, Serialize, ToSchema)]
pub struct RoomView {
    #[schema(value_type = Uuid)]
    room_id: RoomId,
    /// The room itself, if it is a root.
    #[schema(value_type = Uuid)]
    root_id: RoomId,
    /// Null for a root room.
    #[schema(value_type = Option<Uuid>)]
    parent_id: Option<RoomId>,
    #[schema(value_type = RoomKindName)]
    kind: RoomKind,
    #[schema(value_type = AccessName)]
    access: Access,
    #[schema(value_type = HistoryName)]
    history: History,
    /// Empty if the room's key was destroyed.
    name: String,
    #[schema(value_type = Uuid)]
    creator_id: AccountId,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// Of the room's last timeline event.
    #[schema(value_type = u64)]
    last_seq: Seq,
    member_count: u64,
    /// The room is as it was some time ago, in this list only: its root is in quarantine. Other
    /// queries about it answer 503 `quarantined`.
    quarantined: bool,
}

impl From<RoomRow> for RoomView {
    fn from(row: RoomRow) -> Self {
        Self {
            room_id: row.room_id,
            root_id: row.root_id,
            parent_id: row.parent_id,
            kind: row.kind,
            access: row.access,
            history: row.history,
            name: row.name,
            creator_id: row.creator_id,
            created_at: timestamp(row.created_at_ms),
            last_seq: row.last_seq,
            member_count: row.member_count,
            quarantined: false,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct RoomPage {
    /// By id.
    items: Vec<RoomView>,
    /// Give it as `cursor` for the next page; null on the last one.
    next_cursor: Option<String>,
    /// Some root rooms are in quarantine, whoever their members are: the caller may have joined or
    /// left one of them without this list showing it.
    incomplete: bool,
}

/// The caller's rooms
///
/// Reads the projection `directory`.
#[utoipa::path(
    get,
    path = "/v1/rooms",
    tag = crate::ROLE,
    params(ListParams, PositionParams),
    responses((status = 200, description = "A page of rooms.", body = RoomPage), QueryProblems),
    security(("access_token" = []))
)]
pub(crate) async fn list_rooms(
    State(api): State<Queries>,
    caller: Authenticated,
    Query(params): Query<ListParams>,
    positions: MinPositions,
) -> Result<Json<RoomPage>, Problem> {
    let (limit, after) = (params.limit(&api.limits)?, params.after()?);
    let _place = api.directory_at(&positions).await?;
    let rows = api.directory.rooms_of(caller.account_id, after, limit + 1).await?;
    let (rows, next_cursor) = cut(rows, limit, |row| row.room_id.0);
    let view = |row: RoomRow| {
        let quarantined = api.directory.is_quarantined(row.root_id);
        RoomView { quarantined, ..row.into() }
    };
    let items = rows.into_iter().map(view).collect();
    // After the read: what goes to quarantine does so before its rows are left out.
    Ok(Json(RoomPage { items, next_cursor, incomplete: api.directory.is_incomplete() }))
}

/// A room
///
/// Reads the projection `directory`.
#[utoipa::path(
    get,
    path = "/v1/rooms/{room_id}",
    tag = crate::ROLE,
    params(RoomPath, PositionParams),
    responses((status = 200, description = "The room.", body = RoomView), QueryProblems, RoomNotFound),
    security(("access_token" = []))
)]
pub(crate) async fn get_room(
    State(api): State<Queries>,
    caller: Authenticated,
    Path(RoomPath { room_id }): Path<RoomPath>,
    positions: MinPositions,
) -> Result<Json<RoomView>, Problem> {
    let _place = api.directory_at(&positions).await?;
    if !api.directory.is_member(room_id, caller.account_id).await? {
        return Err(Problem::room_not_found());
    }
    let row = api.directory.room(room_id).await?.ok_or_else(Problem::room_not_found)?;
    Ok(Json(row.into()))
}
