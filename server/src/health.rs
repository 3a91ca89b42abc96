//! `/livez`, `/readyz` and `/metrics`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde::Serialize;

/// Says whether one part of the process can do its work now, and if not, why.
pub type Check = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

#[derive(Clone)]
pub struct Health {
    checks: Arc<Vec<(&'static str, Check)>>,
    metrics: PrometheusHandle,
}

#[derive(Serialize)]
struct Part {
    name: &'static str,
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Health {
    pub fn new(checks: Vec<(&'static str, Check)>, metrics: PrometheusHandle) -> Self {
        Self { checks: Arc::new(checks), metrics }
    }

    pub fn router(self) -> Router {
        Router::new()
            .route("/livez", get(async || "alive\n"))
            .route("/readyz", get(readyz))
            .route("/metrics", get(prometheus))
            .with_state(self)
    }
}

async fn readyz(State(health): State<Health>) -> impl IntoResponse {
    let parts: Vec<Part> = health
        .checks
        .iter()
        .map(|(name, check)| {
            let reason = check().err();
            Part { name, ready: reason.is_none(), reason }
        })
        .collect();
    let ready = parts.iter().all(|part| part.ready);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(serde_json::json!({ "ready": ready, "parts": parts })))
}

async fn prometheus(State(health): State<Health>) -> impl IntoResponse {
    let text = health.metrics.render() + &roomlog_telemetry::process::render();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

/// Installs the recorder of the process. Every histogram has buckets of its own kind; seconds go from
/// 0.1 ms to 10 s.
pub fn install_metrics() -> anyhow::Result<PrometheusHandle> {
    const SECONDS: &[f64] =
        &[0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];
    const RECORDS: &[f64] =
        &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0];
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_records".into()), RECORDS)?
        .install_recorder()?;
    roomlog_telemetry::metrics::describe();
    metrics::gauge!("roomlog_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(handle)
}
