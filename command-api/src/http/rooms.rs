//! Rooms: create, join, leave, send.

use axum::extract::State;
use axum::http::StatusCode;
use roomlog_schemas::{MessageId, RoomId};
use roomlog_web::commands::{Answer, ClientCommand, Commands, CreateRoom};
use roomlog_web::{Authenticated, Json, Path, Problem};
use serde::Deserialize;
use utoipa::ToSchema;

use super::Api;
use super::described;
use super::key::{Key, KeyHeader};

/// Create a room
///
/// Without `parent_id` it is a root room. Its creator is its owner and first member.
#[utoipa::path(post, path = "/v1/rooms", tag = "command-api", security(("access_token" = [])),
    params(KeyHeader),
    request_body = CreateRoom,
    responses(
        (status = 201, description = "The room exists", body = Answer),
        (status = 401, description = "`unauthorized`, `token_invalid`, `token_expired`, `session_ended`", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "`not_a_member`, `not_allowed`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`parent_not_found`", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`key_expired`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_name`, `kind_not_available`, `too_deep`, `too_many_sub_rooms`, `key_reused`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`log_unavailable`: nothing was written; `outcome_unknown`: repeat with the key", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn create(
    State(api): State<Api>,
    who: Authenticated,
    Key(key): Key,
    Json(body): Json<CreateRoom>,
) -> Result<(StatusCode, Json<Answer>), Problem> {
    let answer = api.service.run(who.account_id, key, ClientCommand::CreateRoom(body)).await?;
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Join a room
///
/// A public root is open to any account, a public sub-room to the members of its parent. Joining a
/// room that one is a member of changes nothing.
#[utoipa::path(put, path = "/v1/rooms/{room_id}/members/me", tag = "command-api", security(("access_token" = [])),
    params(("room_id" = uuid::Uuid, Path), KeyHeader),
    responses(
        (status = 200, description = "You are a member", body = Answer),
        (status = 403, description = "`parent_membership_required`, `not_listed`, `invitation_required`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`room_not_found`", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn join(
    State(api): State<Api>,
    who: Authenticated,
    Path(room_id): Path<RoomId>,
    Key(key): Key,
) -> Result<Json<Answer>, Problem> {
    api.service.run(who.account_id, key, ClientCommand::JoinRoom { room_id }).await.map(Json)
}

/// Leave a room and every room below it
#[utoipa::path(delete, path = "/v1/rooms/{room_id}/members/me", tag = "command-api", security(("access_token" = [])),
    params(("room_id" = uuid::Uuid, Path), KeyHeader),
    responses(
        (status = 200, description = "You are no member any more", body = Answer),
        (status = 404, description = "`room_not_found`", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`last_owner`", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn leave(
    State(api): State<Api>,
    who: Authenticated,
    Path(room_id): Path<RoomId>,
    Key(key): Key,
) -> Result<Json<Answer>, Problem> {
    api.service.run(who.account_id, key, ClientCommand::LeaveRoom { room_id }).await.map(Json)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SendBody {
    #[schema(schema_with = described::message)]
    text: String,
    /// An earlier message of the same room.
    #[serde(default)]
    #[schema(value_type = Option<uuid::Uuid>)]
    reply_to: Option<MessageId>,
}

/// Send a message
#[utoipa::path(post, path = "/v1/rooms/{room_id}/messages", tag = "command-api", security(("access_token" = [])),
    params(("room_id" = uuid::Uuid, Path), KeyHeader),
    request_body = SendBody,
    responses(
        (status = 201, description = "The message is in the log", body = Answer),
        (status = 403, description = "`not_a_member`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`room_not_found`", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`key_expired`", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`body_too_large`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`text_empty`, `text_too_long`, `reply_not_found`, `key_reused`", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "`overloaded`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`log_unavailable`: nothing was written; `outcome_unknown`: repeat with the key", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn send(
    State(api): State<Api>,
    who: Authenticated,
    Path(room_id): Path<RoomId>,
    Key(key): Key,
    Json(body): Json<SendBody>,
) -> Result<(StatusCode, Json<Answer>), Problem> {
    let command = ClientCommand::SendMessage { room_id, text: body.text, reply_to: body.reply_to };
    let answer = api.service.run(who.account_id, key, command).await?;
    Ok((StatusCode::CREATED, Json(answer)))
}
