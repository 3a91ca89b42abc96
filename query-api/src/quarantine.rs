//! What is in quarantine, and asking for it to be retried: for the operator, on whichever stores.

use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use axum::middleware::from_fn;
use roomlog_stores::progress::Projection;
use roomlog_stores::quarantine::{Quarantine, Quarantined, Subject};
use roomlog_web::view::timestamp;
use roomlog_web::{Administrator, Auth, Json, Problem, caching};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// What the handlers share; cheap to clone.
#[derive(Clone)]
pub struct QuarantineApi {
    pub auth: Auth,
    pub quarantine: Quarantine,
}

impl FromRef<QuarantineApi> for Auth {
    fn from_ref(api: &QuarantineApi) -> Self {
        api.auth.clone()
    }
}

/// A projection by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProjectionName {
    RoomEvents,
    Directory,
}

impl From<ProjectionName> for Projection {
    fn from(name: ProjectionName) -> Self {
        match name {
            ProjectionName::RoomEvents => Projection::RoomEvents,
            ProjectionName::Directory => Projection::Directory,
        }
    }
}

/// What is in quarantine as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubjectKind {
    /// With all its sub-rooms.
    RootRoom,
    Account,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QuarantinedView {
    /// That lacks the records.
    #[schema(example = "room_events")]
    pub projection: String,
    pub kind: SubjectKind,
    /// Of the root room, or the account.
    pub subject_id: Uuid,
    #[schema(example = "rooms/3")]
    pub partition: String,
    /// Records kept.
    pub records: u64,
    /// Of the first of them.
    pub first_offset: u64,
    /// When the first of them was accepted.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// Why the projection could not use the first one.
    pub error: String,
    /// A retry was asked for, and no projector has begun it.
    pub retry_requested: bool,
    /// Retries that met an error again.
    pub failed_retries: u64,
}

impl From<Quarantined> for QuarantinedView {
    fn from(row: Quarantined) -> Self {
        let kind = if row.is_root_room() { SubjectKind::RootRoom } else { SubjectKind::Account };
        Self {
            projection: row.projection.to_owned(),
            kind,
            subject_id: row.subject.0,
            partition: row.partition.to_string(),
            records: row.records,
            first_offset: row.first_offset,
            since: timestamp(row.since_ms),
            error: row.error,
            retry_requested: row.retry_requested,
            failed_retries: row.failed_retries,
        }
    }
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct QuarantineList {
    /// By projection and id.
    pub items: Vec<QuarantinedView>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    pub projection: ProjectionName,
    /// One root room, or account; without it all of the projection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_id: Option<Uuid>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RetryRequested {
    /// Root rooms and accounts that will be retried.
    pub requested: u64,
}

pub fn router(api: QuarantineApi) -> OpenApiRouter {
    operations().layer(from_fn(caching::revalidate)).with_state(api)
}

/// The descriptions alone, for a document made without starting anything.
pub fn description() -> OpenApiRouter {
    OpenApiRouter::with_openapi(operations().into_openapi())
}

fn operations() -> OpenApiRouter<QuarantineApi> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(retry))
}

/// What is in quarantine
///
/// Records that a projection could not use are kept with all that follows of the same root room or
/// account, until they are retried. Queries about it answer 503 `quarantined`, a resume of the stream
/// `gap`.
#[utoipa::path(
    get,
    path = "/v1/quarantine",
    operation_id = "list_quarantine",
    tag = crate::ROLE,
    responses(
        (status = 200, description = "All that is in quarantine.", body = QuarantineList),
        (status = 401, description = "`unauthorized`, `token_invalid`, `token_expired`, `session_ended`", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "`administrator_only`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`store_unavailable`", body = Problem, content_type = "application/problem+json"),
    ),
    security(("administrator_token" = []))
)]
async fn list(_: Administrator, State(api): State<QuarantineApi>) -> Result<Json<QuarantineList>, Problem> {
    let rows = api.quarantine.store().list().await?;
    Ok(Json(QuarantineList { items: rows.into_iter().map(QuarantinedView::from).collect() }))
}

/// Have it retried
///
/// The projector in charge applies what is kept, in order, once the cause is gone; what fails again
/// stays, with all after it, and `failed_retries` grows. The answer does not wait for that: see
/// `GET /v1/quarantine`. Where no projector runs, the wish is kept until one does. Can be repeated.
#[utoipa::path(
    post,
    path = "/v1/quarantine/retries",
    operation_id = "retry_quarantine",
    tag = crate::ROLE,
    request_body = Retry,
    responses(
        (status = 202, description = "It will be retried.", body = RetryRequested),
        (status = 401, description = "`unauthorized`, `token_invalid`, `token_expired`, `session_ended`", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "`administrator_only`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`not_in_quarantine`: the projection has nothing of `subject_id` in quarantine", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_body`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`store_unavailable`", body = Problem, content_type = "application/problem+json"),
    ),
    security(("administrator_token" = []))
)]
async fn retry(
    _: Administrator,
    State(api): State<QuarantineApi>,
    Json(body): Json<Retry>,
) -> Result<(StatusCode, Json<RetryRequested>), Problem> {
    let subject = body.subject_id.map(Subject);
    let requested = api.quarantine.store().request_retry(body.projection.into(), subject).await?;
    if requested == 0 && subject.is_some() {
        return Err(Problem::not_found(
            "not_in_quarantine",
            "The projection has nothing of this in quarantine.",
        ));
    }
    // A projector of this process need not wait for its next look.
    if let Err(error) = api.quarantine.refresh().await {
        tracing::debug!(error = &error as &dyn std::error::Error, "the retry is found at the next look");
    }
    Ok((StatusCode::ACCEPTED, Json(RetryRequested { requested })))
}
