//! The header `Idempotency-Key`.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use roomlog_schemas::IdempotencyKey;
use roomlog_web::Problem;
use utoipa::IntoParams;

/// Describes what [`Key`] reads.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only describes")]
pub struct KeyHeader {
    /// A UUIDv7 that makes the request repeatable: a repeat gets the first one's answer.
    #[param(
        rename = "Idempotency-Key",
        value_type = String,
        required = false,
        format = "uuidv7",
        pattern = "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
    )]
    key: Option<String>,
}

/// Absent, or a UUIDv7; anything else is 400 `invalid_idempotency_key`.
#[derive(Debug, Clone, Copy)]
pub struct Key(pub Option<IdempotencyKey>);

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(Self(None)) };
        let key = value.to_str().ok().and_then(|text| text.trim_matches('"').parse().ok());
        key.map(|key| Self(Some(key))).ok_or_else(|| {
            Problem::bad_request("invalid_idempotency_key", "An idempotency key is a UUIDv7.")
                .field("Idempotency-Key")
        })
    }
}
