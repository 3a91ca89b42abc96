//! Checkpoints and the public audit keys, for auditors: anybody may read them. They hold no personal data,
//! and copies of them outside are what they are for.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use roomlog_audit::archive::ArchiveError;
use roomlog_audit::{Archive, AuditKey, Checkpoint};
use roomlog_eventlog::{Topic, TopicPartition};
use roomlog_stores::StoreError;
use roomlog_web::caching::Document;
use roomlog_web::{Problem, Query};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// New ones come every few minutes, a new key now and then.
const CACHE_CONTROL: &str = "public, max-age=60";
const DEFAULT_PAGE: usize = 50;
const MAX_PAGE: usize = 200;

/// What the handlers share; cheap to clone.
#[derive(Clone)]
pub struct AuditApi {
    pub archive: Archive,
    pub log_id: Uuid,
}

#[derive(Serialize)]
struct Keys {
    items: Vec<AuditKey>,
}

#[derive(Serialize)]
struct Checkpoints {
    items: Vec<Checkpoint>,
    next_after_offset: Option<u64>,
}

/// All audit keys, in their order: each is signed by the one before, the first by itself.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only describes")]
pub struct AuditKeys {
    items: Vec<AuditKeyView>,
}

/// What is signed is the values of all fields but the last, in this order, each followed by a line feed.
#[derive(ToSchema)]
#[schema(as = AuditKey)]
#[expect(dead_code, reason = "only describes")]
pub struct AuditKeyView {
    #[schema(example = "roomlog audit key v1")]
    form: String,
    /// From 1 on.
    number: u32,
    /// An Ed25519 public key in hexadecimal digits, which is also the key's name.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    key: String,
    /// The key before it; of the first, itself.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    signer: String,
    /// Since when there is this key, in milliseconds.
    time: OffsetDateTime,
    /// By `signer`.
    #[schema(pattern = "^[0-9a-f]{128}$")]
    signature: String,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "only describes")]
pub struct CheckpointPage {
    /// In the order of their offsets.
    items: Vec<CheckpointView>,
    /// For `after_offset` of the next page; null where there is none for now.
    next_after_offset: Option<u64>,
}

/// Where a partition stood. What is signed is the values of all fields but the last, in this order, each
/// followed by a line feed.
#[derive(ToSchema)]
#[schema(as = Checkpoint)]
#[expect(dead_code, reason = "only describes")]
pub struct CheckpointView {
    #[schema(example = "roomlog checkpoint v1")]
    form: String,
    log_id: Uuid,
    #[schema(value_type = TopicName)]
    topic: Topic,
    partition: u32,
    /// Of the first record that it does not cover.
    next_offset: u64,
    /// Of the claim in force; 0 before the first.
    epoch: u64,
    claim_id: Uuid,
    /// The head of the hash chain after all accepted records below `next_offset`.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    head: String,
    /// When it was signed, in milliseconds, by the clock of the process that did it.
    time: OffsetDateTime,
    /// That signed it: one of the audit keys.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    key: String,
    #[schema(pattern = "^[0-9a-f]{128}$")]
    signature: String,
}

/// A topic of the log.
#[derive(ToSchema)]
#[schema(as = Topic, rename_all = "snake_case")]
pub enum TopicName {
    Accounts,
    Rooms,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct CheckpointParams {
    #[param(value_type = TopicName)]
    topic: Topic,
    /// Of the topic, from 0 on. One that does not exist has no checkpoints.
    partition: u32,
    /// Those that name an offset above this one; from the beginning if absent.
    after_offset: Option<u64>,
    /// Most items on the page; 50 if absent.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

#[derive(OpenApi)]
#[openapi(components(schemas(AuditKeys, AuditKeyView, CheckpointPage, CheckpointView, TopicName, Problem)))]
struct Api;

pub fn router(api: AuditApi) -> OpenApiRouter {
    operations().with_state(api)
}

/// The descriptions alone, for a document made without starting anything.
pub fn description() -> OpenApiRouter {
    OpenApiRouter::with_openapi(operations().into_openapi())
}

fn operations() -> OpenApiRouter<AuditApi> {
    OpenApiRouter::with_openapi(Api::openapi()).routes(routes!(keys)).routes(routes!(checkpoints))
}

/// The audit keys
///
/// The public keys that sign checkpoints of the log, the old ones too, for ever. An auditor keeps the first one
/// and trusts what follows from it.
#[utoipa::path(
    get,
    path = "/v1/audit/keys",
    operation_id = "list_audit_keys",
    tag = crate::ROLE,
    responses(
        (status = 200, description = "All keys; none before the first checkpoint.", body = AuditKeys),
        (status = 500, description = "`store_damaged`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`store_unavailable`", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn keys(State(api): State<AuditApi>, headers: HeaderMap) -> Result<Response, Problem> {
    let items = api.archive.keys().await.map_err(problem)?;
    Ok(answer(&Keys { items }, &headers))
}

/// Checkpoints of a partition
///
/// Signed words on where the log stood, oldest first. Whoever keeps them finds out if the log before them is
/// changed, cut off or written anew: `roomlog verify`.
#[utoipa::path(
    get,
    path = "/v1/audit/checkpoints",
    operation_id = "list_checkpoints",
    tag = crate::ROLE,
    params(CheckpointParams),
    responses(
        (status = 200, description = "A page.", body = CheckpointPage),
        (status = 500, description = "`store_damaged`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`store_unavailable`", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn checkpoints(
    State(api): State<AuditApi>,
    Query(params): Query<CheckpointParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let limit = params.limit.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        let title = format!("`limit` is from 1 to {MAX_PAGE}.");
        return Err(Problem::bad_request("invalid_query", title).field("limit"));
    }
    let partition = TopicPartition::new(params.topic, params.partition);
    let after = params.after_offset.unwrap_or(0);
    let mut items = api.archive.page(api.log_id, partition, after, limit + 1).await.map_err(problem)?;
    let has_more = items.len() > limit;
    items.truncate(limit);
    let next_after_offset = items.last().filter(|_| has_more).map(|last| last.next_offset);
    Ok(answer(&Checkpoints { items, next_after_offset }, &headers))
}

fn answer(body: &impl Serialize, headers: &HeaderMap) -> Response {
    let body = serde_json::to_vec(body).expect("keys and checkpoints have only plain fields");
    Document::new("application/json", CACHE_CONTROL, body).answer(headers)
}

fn problem(error: ArchiveError) -> Problem {
    match error {
        ArchiveError::Store(error) => error.into(),
        error => StoreError::Damaged { store: "object", what: error.to_string() }.into(),
    }
}
