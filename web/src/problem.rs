//! Errors as `application/problem+json` (RFC 9457) with a stable `code`.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use roomlog_stores::{SealError, StoreError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The body of every error answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// Stable name of the error, for programs.
    #[schema(example = "room_not_found")]
    pub code: String,
    /// What is wrong, for people.
    pub title: String,
    /// More about this occurrence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The fields of the request concerned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// The command's idempotency key, where the outcome is unknown: ask again with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Seconds after which to try again; also in `Retry-After`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
}

impl Problem {
    pub fn new(status: StatusCode, code: &str, title: impl Into<String>) -> Self {
        Self {
            status: status.as_u16(),
            code: code.to_owned(),
            title: title.into(),
            detail: None,
            fields: Vec::new(),
            idempotency_key: None,
            retry_after: None,
        }
    }

    pub fn bad_request(code: &str, title: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, title)
    }

    pub fn unprocessable(code: &str, title: impl Into<String>, field: &str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, title).field(field)
    }

    pub fn not_found(code: &str, title: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, title)
    }

    pub fn forbidden(code: &str, title: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, title)
    }

    pub fn unauthorized(title: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", title)
    }

    /// The access token is valid, but its session was ended before.
    pub fn session_ended() -> Self {
        let title = "The session of this access token has ended: log in again.";
        Self { code: "session_ended".into(), ..Self::unauthorized(title) }
    }

    /// The room is unknown, or this account may not know of it: the same answer for both.
    pub fn room_not_found() -> Self {
        Self::not_found("room_not_found", "There is no such room, or you are not a member of it.")
    }

    pub fn unavailable(code: &str, title: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, title).retry_after(1)
    }

    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    #[must_use]
    pub fn field(mut self, field: &str) -> Self {
        self.fields.push(field.to_owned());
        self
    }

    #[must_use]
    pub fn key(mut self, key: impl ToString) -> Self {
        self.idempotency_key = Some(key.to_string());
        self
    }

    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).expect("a problem has only plain fields");
        let mut response = (self.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == 401 {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Seconds. A quarantine ends when a person has seen to it, not by itself.
const QUARANTINE_RETRY: u32 = 60;

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if let StoreError::Quarantined { projection, .. } = &error {
            let title = "What this request reads is in quarantine until an operator has it retried.";
            return Problem::unavailable("quarantined", title)
                .detail(format!("The projection {projection} lacks some of it."))
                .retry_after(QUARANTINE_RETRY);
        }
        tracing::error!(error = &error as &dyn std::error::Error, "a store failed a request");
        if matches!(error, StoreError::BadRow { .. } | StoreError::Damaged { .. }) {
            let title = "What this request reads is damaged in its store: an operator has to see to it.";
            return Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "store_damaged", title);
        }
        Problem::unavailable("store_unavailable", "A store that this request needs is not available now.")
    }
}

impl From<SealError> for Problem {
    fn from(error: SealError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "a key could not be used");
        Problem::unavailable("store_unavailable", "The keys that this request needs are not available now.")
    }
}
