//! The errors that queries share, for the OpenAPI document.

use roomlog_web::Problem;
use utoipa::IntoResponses;

/// What every query can answer besides its rows.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only describes")]
pub enum QueryProblems {
    /// `invalid_query`, with the parameter in `fields`, or `invalid_path`.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(Problem),
    /// `unauthorized`, `token_invalid`, `token_expired` or `session_ended`.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// `store_damaged`: a row that is read cannot be decoded; asking again does not help.
    #[response(status = 500, content_type = "application/problem+json")]
    Damaged(Problem),
    /// `not_up_to_position`: what is read does not reflect `min_position` within `wait_ms`.
    /// `store_unavailable`: a store is away. `busy`: too many queries are under way. `quarantined`:
    /// records of the room are set aside until an operator has them retried; `detail` names the
    /// projection.
    #[response(
        status = 503,
        content_type = "application/problem+json",
        headers(("Retry-After" = u32, description = "Seconds after which to ask again."))
    )]
    Unavailable(Problem),
}

/// `room_not_found`: the room is unknown, or the caller is no member of it.
#[derive(IntoResponses)]
#[response(status = 404, content_type = "application/problem+json")]
#[expect(dead_code, reason = "only describes")]
pub struct RoomNotFound(#[to_schema] Problem);
