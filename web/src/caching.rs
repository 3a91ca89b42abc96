//! What a cache may do with an answer.
//!
//! Answers to queries are kept by their client alone and used again only after asking
//! ([`revalidate`]): what a page of history shows changes when a message is edited or erased, or when
//! its reader is removed from the room, so no page may be used unasked, however old it is. What asking
//! saves is the transfer, not the query. Public documents may be kept by anyone for a while
//! ([`Document`]).

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use crate::Problem;

/// Bytes of the hash in a tag: enough that two representations never share one.
const TAG_LEN: usize = 16;
/// An answer is in memory anyway; its pages have limits of their own.
const NO_LIMIT: usize = usize::MAX;

/// A public document that is the same for everybody.
#[derive(Debug, Clone)]
pub struct Document {
    content_type: HeaderValue,
    cache_control: HeaderValue,
    tag: HeaderValue,
    body: Bytes,
}

impl Document {
    pub fn new(content_type: &'static str, cache_control: &'static str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self {
            content_type: HeaderValue::from_static(content_type),
            cache_control: HeaderValue::from_static(cache_control),
            tag: tag(&body),
            body,
        }
    }

    /// 200, or 304 to whoever has it already.
    pub fn answer(&self, request: &HeaderMap) -> Response {
        let caching = [(header::ETAG, self.tag.clone()), (header::CACHE_CONTROL, self.cache_control.clone())];
        if has(request, &self.tag) {
            return (StatusCode::NOT_MODIFIED, caching).into_response();
        }
        let content_type = [(header::CONTENT_TYPE, self.content_type.clone())];
        (caching, content_type, self.body.clone()).into_response()
    }
}

/// A middleware around queries: gives their answers a strong tag, made from the bytes of the
/// representation, and answers 304 to whoever has that one. The query runs first, with all its checks
/// and waits, so a 304 reflects `min_position` as a 200 does.
pub async fn revalidate(request: Request, next: Next) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let known: HeaderMap = request
        .headers()
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .map(|v| (header::IF_NONE_MATCH, v.clone()))
        .collect();
    let response = next.run(request).await;
    if response.status() != StatusCode::OK {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, NO_LIMIT).await else {
        return Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "Something went wrong on our side.",
        )
        .into_response();
    };
    let tag = tag(&body);
    let is_known = has(&known, &tag);
    parts.headers.insert(header::ETAG, tag);
    parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    parts.headers.insert(header::VARY, HeaderValue::from_static("Authorization"));
    if is_known {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_TYPE);
        parts.headers.remove(header::CONTENT_LENGTH);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(body))
}

fn tag(body: &[u8]) -> HeaderValue {
    let hash = blake3::hash(body).to_hex();
    HeaderValue::from_str(&format!("\"{}\"", &hash[..2 * TAG_LEN])).expect("digits and quotes")
}

/// Whether `If-None-Match` names this tag, or any (RFC 9110, section 13.1.2: compared weakly).
fn has(request: &HeaderMap, tag: &HeaderValue) -> bool {
    let values = request.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    let mut named = values.flat_map(|value| value.split(',').map(str::trim));
    named.any(|name| name == "*" || name.strip_prefix("W/").unwrap_or(name).as_bytes() == tag.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (header::IF_NONE_MATCH, HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn a_document_is_sent_to_whoever_has_not_got_it() {
        let document = Document::new("text/plain", "public, max-age=300", "text");
        let first = document.answer(&HeaderMap::new());
        assert_eq!(
            (first.status(), &first.headers()[header::CONTENT_TYPE]),
            (StatusCode::OK, &"text/plain".parse().unwrap())
        );
        let tag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
        let weak = format!("\"other\", W/{tag}");
        for known in [&[tag.as_str()][..], &[&weak], &["\"other\"", &tag], &["*"]] {
            let again = document.answer(&asking(known));
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{known:?}");
            assert_eq!(again.headers()[header::ETAG], tag.as_str());
            assert_eq!(again.headers()[header::CACHE_CONTROL], "public, max-age=300");
            assert!(!again.headers().contains_key(header::CONTENT_TYPE));
        }
        let unquoted = tag.trim_matches('"');
        for known in [&[][..], &["\"other\""], &[unquoted], &[""]] {
            assert_eq!(document.answer(&asking(known)).status(), StatusCode::OK, "{known:?}");
        }
        let changed = Document::new("text/plain", "public, max-age=300", "texts");
        assert_eq!(changed.answer(&asking(&[&tag])).status(), StatusCode::OK);
    }
}
