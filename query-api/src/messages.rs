//! Messages of a room.

use axum::extract::State;
use roomlog_schemas::event::Seq;
use roomlog_web::view::{MessageView, open_messages};
use roomlog_web::{Authenticated, Json, MinPositions, Path, Problem, Query};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use crate::Queries;
use crate::access::View;
use crate::pages::read_messages;
use crate::params::{MessagePath, MessagesParams, PositionParams, RoomPath};
use crate::problems::{QueryProblems, RoomNotFound};

#[derive(Debug, Serialize, ToSchema)]
pub struct MessagePage {
    /// In rising `seq`.
    items: Vec<MessageView>,
    /// Whether there may be more in the direction asked for. A page can be short, or empty, and
    /// still have more behind it.
    has_more: bool,
    /// Give it as `before_seq` for what is older than this page; null if there is nothing.
    #[schema(value_type = Option<u64>)]
    next_before_seq: Option<Seq>,
    /// Give it as `after_seq` for what is newer than this page, now or later.
    #[schema(value_type = u64)]
    next_after_seq: Seq,
}

/// Messages of a room
///
/// The newest, those below `before_seq`, or those above `after_seq`; without what the caller may not
/// see. Reads the projection `room_events`.
#[utoipa::path(
    get,
    path = "/v1/rooms/{room_id}/messages",
    tag = crate::ROLE,
    params(RoomPath, MessagesParams, PositionParams),
    responses((status = 200, description = "A page of messages.", body = MessagePage), QueryProblems, RoomNotFound),
    security(("access_token" = []))
)]
pub(crate) async fn list_messages(
    State(api): State<Queries>,
    caller: Authenticated,
    Path(RoomPath { room_id }): Path<RoomPath>,
    Query(params): Query<MessagesParams>,
    positions: MinPositions,
) -> Result<Json<MessagePage>, Problem> {
    let (limit, page) = (params.limit(&api.limits)?, params.page()?);
    let _place = api.rooms_at(&positions).await?;
    let view = View::of(&api, room_id, caller.account_id).await?;
    let read = read_messages(&*api.rooms, room_id, &view, page, limit, api.limits.max_reads).await?;
    Ok(Json(MessagePage {
        items: open_messages(&api.sealer, read.messages).await?,
        has_more: read.has_more,
        next_before_seq: read.next_before_seq,
        next_after_seq: read.next_after_seq,
    }))
}

/// `room_not_found`: the room is unknown, or the caller is no member of it. `message_not_found`:
/// the room has no such message, or the caller may not see it.
#[derive(IntoResponses)]
#[response(status = 404, content_type = "application/problem+json")]
#[expect(dead_code, reason = "only describes")]
pub struct MessageNotFound(#[to_schema] Problem);

/// A message
///
/// Reads the projection `room_events`.
#[utoipa::path(
    get,
    path = "/v1/rooms/{room_id}/messages/{message_id}",
    tag = crate::ROLE,
    params(MessagePath, PositionParams),
    responses((status = 200, description = "The message.", body = MessageView), QueryProblems, MessageNotFound),
    security(("access_token" = []))
)]
pub(crate) async fn get_message(
    State(api): State<Queries>,
    caller: Authenticated,
    Path(MessagePath { room_id, message_id }): Path<MessagePath>,
    positions: MinPositions,
) -> Result<Json<MessageView>, Problem> {
    let _place = api.rooms_at(&positions).await?;
    let view = View::of(&api, room_id, caller.account_id).await?;
    let message = api.rooms.message(room_id, message_id).await?.filter(|message| view.shows(message.seq));
    let opened = open_messages(&api.sealer, Vec::from_iter(message)).await?.pop();
    opened
        .map(Json)
        .ok_or_else(|| Problem::not_found("message_not_found", "There is no such message in this room."))
}
