//! An account's sessions: list them, end them.

use axum::extract::State;
use roomlog_schemas::SessionId;
use roomlog_stores::secrets::Session;
use roomlog_web::view::timestamp;
use roomlog_web::{Authenticated, Json, LoggedOutOrIn, Path, Position, Problem};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::Api;

#[derive(Serialize, ToSchema)]
pub struct ListedSession {
    #[schema(value_type = uuid::Uuid)]
    session_id: SessionId,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: OffsetDateTime,
    /// Unless it is refreshed before.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    expires_at: OffsetDateTime,
    /// Whether it is the one of the access token.
    current: bool,
}

#[derive(Serialize, ToSchema)]
pub struct SessionList {
    /// The newest first, at most 100.
    items: Vec<ListedSession>,
}

#[derive(Serialize, ToSchema)]
pub struct Ended {
    #[schema(value_type = uuid::Uuid)]
    session_id: SessionId,
    position: Position,
}

/// List your sessions
#[utoipa::path(get, path = "/v1/sessions", tag = "command-api", security(("access_token" = [])),
    responses(
        (status = 200, description = "The log-ins that are neither expired nor ended", body = SessionList),
        (status = 401, description = "`unauthorized`, `token_invalid`, `token_expired`, `session_ended`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`store_unavailable`", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn list(State(api): State<Api>, who: Authenticated) -> Result<Json<SessionList>, Problem> {
    let items = api.sessions.list(&who).await?.into_iter().map(|session| {
        let Session { session_id, created_at_ms, expires_at_ms, .. } = session;
        ListedSession {
            session_id,
            created_at: timestamp(created_at_ms),
            expires_at: timestamp(expires_at_ms),
            current: session_id == who.session_id,
        }
    });
    Ok(Json(SessionList { items: items.collect() }))
}

/// Log out
///
/// Ends the session of the access token: its refresh token is good for nothing any more, its access
/// tokens are refused, within two seconds by every process, and its sockets are closed. Can be repeated
/// until the access token expires.
#[utoipa::path(delete, path = "/v1/sessions/me", tag = "command-api", security(("access_token" = [])),
    responses(
        (status = 200, description = "The session has ended", body = Ended),
        (status = 401, description = "`unauthorized`, `token_invalid`, `token_expired`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`store_unavailable`: nothing has happened; `log_unavailable`: the session is revoked, its sockets may still be open: repeat", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn log_out(
    State(api): State<Api>,
    LoggedOutOrIn(who): LoggedOutOrIn,
) -> Result<Json<Ended>, Problem> {
    end_one(&api, &who, who.session_id).await
}

/// End one of your sessions
///
/// As logging out does, for another log-in of the same account. Can be repeated.
#[utoipa::path(delete, path = "/v1/sessions/{session_id}", tag = "command-api", security(("access_token" = [])),
    params(("session_id" = uuid::Uuid, Path)),
    responses(
        (status = 200, description = "The session has ended", body = Ended),
        (status = 401, description = "`unauthorized`, `token_invalid`, `token_expired`, `session_ended`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`session_not_found`: the account has no such session, or it expired", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`store_unavailable`: nothing has happened; `log_unavailable`: the session is revoked, its sockets may still be open: repeat", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn end(
    State(api): State<Api>,
    who: Authenticated,
    Path(session_id): Path<SessionId>,
) -> Result<Json<Ended>, Problem> {
    end_one(&api, &who, session_id).await
}

async fn end_one(api: &Api, who: &Authenticated, session_id: SessionId) -> Result<Json<Ended>, Problem> {
    let position = api.sessions.end(who, session_id).await?;
    Ok(Json(Ended { session_id, position }))
}
