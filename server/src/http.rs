//! One router for every role of the process, and what is around each request.

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use roomlog_command_api::http::CommandApi;
use roomlog_eventlog::trace::TRACEPARENT;
use roomlog_query_api::QueryApi;
use roomlog_query_api::audit::AuditApi;
use roomlog_query_api::quarantine::QuarantineApi;
use roomlog_web::caching::Document;
use roomlog_web::{Auth, Problem, limits};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::field::Empty;
use tracing::{Instrument, Span};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;

use crate::{docs, openapi};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A request's whole time, its body's arrival included. Commands have their own, shorter deadline.
const TIMEOUT: Duration = Duration::from_secs(40);
/// The API changes with the binary only.
const DOCUMENT_CACHING: &str = "public, max-age=300";
const MAX_REQUEST_ID: usize = 128;

/// Everything that the process serves.
pub fn router(
    auth: Auth,
    commands: Option<CommandApi>,
    queries: Option<QueryApi>,
    quarantine: Option<QuarantineApi>,
    audit: Option<AuditApi>,
    stream: Option<Router>,
    health: Router,
) -> Router {
    let (api, _) = OpenApiRouter::new()
        .merge(commands.map(roomlog_command_api::http::router).unwrap_or_default())
        .merge(queries.map(roomlog_query_api::router).unwrap_or_default())
        .merge(quarantine.map(roomlog_query_api::quarantine::router).unwrap_or_default())
        .merge(audit.map(roomlog_query_api::audit::router).unwrap_or_default())
        .merge(roomlog_web::jwks::router(auth.clone()))
        .split_for_parts();
    // The whole platform's, whatever this process serves of it.
    let document = api_document().to_pretty_json().unwrap_or_default();
    let document = Document::new("application/json", DOCUMENT_CACHING, document);
    let api = api.layer(middleware::from_fn(timeout));
    api.merge(stream.unwrap_or_default())
        .layer(middleware::from_fn_with_state(auth, limits::limit))
        .merge(health)
        .merge(docs::router())
        .route("/v1/openapi.json", get(async move |headers: HeaderMap| document.answer(&headers)))
        .fallback(async || Problem::not_found("route_not_found", "There is nothing at this path."))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "This path has other methods.")
        })
        .layer(CatchPanicLayer::custom(|_| {
            tracing::error!("a handler panicked");
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal_error",
                "Something went wrong on our side.",
            )
            .into_response()
        }))
        .layer(middleware::map_response(protect))
        .layer(middleware::from_fn(observe))
}

/// The OpenAPI document alone.
pub fn api_document() -> OpenApi {
    let (_, document) = OpenApiRouter::<()>::new()
        .merge(roomlog_command_api::http::description())
        .merge(roomlog_query_api::description())
        .merge(roomlog_query_api::quarantine::description())
        .merge(roomlog_query_api::audit::description())
        .merge(roomlog_web::jwks::description())
        .split_for_parts();
    openapi::complete(document)
}

async fn timeout(request: Request, next: Next) -> Response {
    match tokio::time::timeout(TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", "The request took too long.")
            .into_response(),
    }
}

/// A part of the trace that the request belongs to, or the beginning of one; only of the API, not of
/// probes.
fn request_span(request: &Request, route: &str, id: &str) -> Span {
    let method = request.method();
    if !route.starts_with("/v1/") {
        return tracing::debug_span!("request", %method, route, id);
    }
    if !roomlog_telemetry::is_on() {
        return tracing::info_span!("request", %method, route, id, status = Empty);
    }
    let span = tracing::info_span!("request", otel.kind = "server", %method, route, id, status = Empty, trace_id = Empty);
    let traceparent = request.headers().get(TRACEPARENT).and_then(|value| value.to_str().ok());
    if let Some(traceparent) = traceparent {
        roomlog_telemetry::parent_of(&span, traceparent);
    }
    if let Some(context) = roomlog_telemetry::sampled_of(&span) {
        // So that log lines lead to the trace.
        span.record("trace_id", context.trace_id());
    }
    span
}

/// Says to browsers and caches what nobody should do with an answer, where it does not say otherwise
/// itself. An answer without a word on caching may hold a token, or somebody's words.
async fn protect(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let protection = [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    for (name, value) in protection {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Gives each request an id, a span and its place in the metrics.
async fn observe(mut request: Request, next: Next) -> Response {
    let id = request
        .headers()
        .get(&REQUEST_ID)
        .filter(|value| value.len() <= MAX_REQUEST_ID && value.to_str().is_ok_and(|text| !text.is_empty()))
        .cloned()
        .unwrap_or_else(|| HeaderValue::from_str(&Uuid::now_v7().to_string()).expect("a UUID is ASCII"));
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let span = request_span(&request, &route, id.to_str().unwrap_or_default());
    let start = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status().as_u16();
    span.record("status", status);
    span.in_scope(|| tracing::debug!(status, ms = start.elapsed().as_secs_f64() * 1e3, "answered"));
    metrics::counter!("roomlog_http_requests_total", "route" => route.clone(), "method" => method.to_string(), "status" => status.to_string())
        .increment(1);
    metrics::histogram!("roomlog_http_request_seconds", "route" => route)
        .record(start.elapsed().as_secs_f64());
    response.headers_mut().insert(REQUEST_ID, id);
    response
}
