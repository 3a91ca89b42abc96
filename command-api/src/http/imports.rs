//! Imports: for the administrator.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use roomlog_schemas::AccountId;
use roomlog_web::view::timestamp;
use roomlog_web::{Administrator, Json, Path, Problem, Query};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use crate::accounts::no_such_account;
use crate::import::{ImportAnswer, ImportRequest, check_source};
use crate::sessions::secret;
use crate::writer::driver::clock_ms;

const CODE_LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct SourcePath {
    /// Name of the source: no control characters.
    #[param(min_length = 1, max_length = 100, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    source: String,
}

/// Import lines of one room
///
/// Rooms and authors are made as needed, memberships added, times and reply links kept. Lines that the
/// room has already are skipped, so a batch may be repeated at any time.
#[utoipa::path(post, path = "/v1/imports/{source}/lines", tag = "command-api", security(("administrator_token" = [])),
    params(SourcePath),
    request_body = ImportRequest,
    responses(
        (status = 200, description = "Taken in", body = ImportAnswer),
        (status = 403, description = "`administrator_only`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_room_path`, `import_out_of_order`, `too_many_lines`, `invalid_source`", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn import(
    State(api): State<Api>,
    _: Administrator,
    Path(SourcePath { source }): Path<SourcePath>,
    Json(body): Json<ImportRequest>,
) -> Result<Json<ImportAnswer>, Problem> {
    Box::pin(api.importer.import(&source, body)).await.map(Json)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ProgressQuery {
    /// As in the lines of an import.
    #[param(
        example = "ubuntu/support",
        pattern = r"^[^\x00-\x1f\x7f-\x9f/]*[^\s\x00-\x1f\x7f-\x9f/][^\x00-\x1f\x7f-\x9f/]*(/[^\x00-\x1f\x7f-\x9f/]*[^\s\x00-\x1f\x7f-\x9f/][^\x00-\x1f\x7f-\x9f/]*)*$"
    )]
    room: String,
}

#[derive(Serialize, ToSchema)]
pub struct ProgressView {
    /// The last line that the room has of this source; null before the first.
    line: Option<u64>,
}

/// How far a source has been imported into a room
#[utoipa::path(get, path = "/v1/imports/{source}/progress", tag = "command-api", security(("administrator_token" = [])),
    params(SourcePath, ProgressQuery),
    responses(
        (status = 200, description = "How far", body = ProgressView),
        (status = 422, description = "`invalid_room_path`, `invalid_source`", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn progress(
    State(api): State<Api>,
    _: Administrator,
    Path(SourcePath { source }): Path<SourcePath>,
    Query(query): Query<ProgressQuery>,
) -> Result<Json<ProgressView>, Problem> {
    let line = api.importer.progress(&source, &query.room).await?;
    Ok(Json(ProgressView { line }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimCodeBody {
    /// The author's name in the source.
    author: String,
}

#[derive(Serialize, ToSchema)]
pub struct ClaimCodeView {
    #[schema(value_type = uuid::Uuid)]
    account_id: AccountId,
    /// For the person who is this author; shown once.
    claim_code: String,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

/// Make a code with which a person may claim an imported account
///
/// It replaces an earlier code of the account and is valid for seven days.
#[utoipa::path(post, path = "/v1/imports/{source}/claim-codes", tag = "command-api", security(("administrator_token" = [])),
    params(SourcePath), request_body = ClaimCodeBody,
    responses(
        (status = 201, description = "The code", body = ClaimCodeView),
        (status = 404, description = "`account_not_found`", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn claim_code(
    State(api): State<Api>,
    _: Administrator,
    Path(SourcePath { source }): Path<SourcePath>,
    Json(body): Json<ClaimCodeBody>,
) -> Result<(StatusCode, Json<ClaimCodeView>), Problem> {
    check_source(&source)?;
    let account_id = api.importer.account_id(&source, &body.author);
    api.service.sealer.account_key(account_id).await.map_err(no_such_account)?;
    let claim_code = secret("rlc_");
    let hash = *blake3::hash(claim_code.as_bytes()).as_bytes();
    let expires = clock_ms() + CODE_LIFETIME.as_millis() as i64;
    api.accounts.secrets.put_claim_code(account_id, &hash, expires).await?;
    let view = ClaimCodeView { account_id, claim_code, expires_at: timestamp(expires) };
    Ok((StatusCode::CREATED, Json(view)))
}
