//! Queries asked again with `If-None-Match`.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use common::Fixture;
use http_body_util::BodyExt;
use roomlog_schemas::{AccountId, History};
use std::time::Duration;
use tower::ServiceExt;

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

async fn ask(
    fixture: &Fixture,
    method: Method,
    account: AccountId,
    path: &str,
    known: Option<&str>,
) -> Reply {
    let token = fixture.token(account, Duration::from_secs(60));
    let mut request =
        Request::builder().method(method).uri(path).header("authorization", format!("Bearer {token}"));
    if let Some(known) = known {
        request = request.header("if-none-match", known);
    }
    let response = fixture.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    Reply { status: parts.status, headers: parts.headers, body }
}

impl Reply {
    fn tag(&self) -> &str {
        self.headers["etag"].to_str().unwrap()
    }

    #[track_caller]
    fn check_caching(&self) {
        assert_eq!(self.headers["cache-control"], "private, no-cache");
        assert_eq!(self.headers["vary"], "Authorization");
        let tag = self.tag();
        assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() == 34, "strong: {tag}");
    }
}

#[tokio::test]
async fn an_answer_that_has_not_changed_is_not_sent_again() {
    let mut fixture = Fixture::new().await;
    let alice = fixture.world.register(Some("alice")).await;
    let room = fixture.world.create_room(alice, None, History::FromBeginning, "Room").await;
    let message = fixture.world.send(room, alice, "text").await;
    fixture.project().await;
    let paths = [
        "/v1/rooms".to_owned(),
        format!("/v1/rooms/{room}"),
        format!("/v1/rooms/{room}/members"),
        format!("/v1/rooms/{room}/members/{alice}/permissions"),
        format!("/v1/rooms/{room}/roles"),
        format!("/v1/rooms/{room}/overrides"),
        format!("/v1/rooms/{room}/messages"),
        format!("/v1/rooms/{room}/messages/{message}"),
        format!("/v1/rooms/{room}/events"),
        "/v1/accounts/me".to_owned(),
        format!("/v1/accounts/{alice}"),
    ];
    assert_eq!(paths.len(), fixture.document.paths.paths.len());
    for path in &paths {
        let first = ask(&fixture, Method::GET, alice, path, None).await;
        assert_eq!(first.status, StatusCode::OK, "{path}: {}", first.body);
        first.check_caching();
        for known in [first.tag().to_owned(), format!("\"other\", W/{}", first.tag()), "*".into()] {
            let again = ask(&fixture, Method::GET, alice, path, Some(&known)).await;
            assert_eq!((again.status, again.body.as_str()), (StatusCode::NOT_MODIFIED, ""), "{path}");
            again.check_caching();
            assert_eq!(again.tag(), first.tag());
            assert!(!again.headers.contains_key("content-type"));
        }
        let other = ask(&fixture, Method::GET, alice, path, Some("\"other\"")).await;
        assert_eq!((other.status, &other.body), (StatusCode::OK, &first.body));
        let head = ask(&fixture, Method::HEAD, alice, path, None).await;
        assert_eq!((head.status, head.body.as_str(), head.tag()), (StatusCode::OK, "", first.tag()));
    }
}

#[tokio::test]
async fn what_has_changed_is_sent() {
    let mut fixture = Fixture::new().await;
    let alice = fixture.world.register(Some("alice")).await;
    let bob = fixture.world.register(Some("bob")).await;
    let room = fixture.world.create_room(alice, None, History::FromBeginning, "Room").await;
    fixture.world.join(room, bob).await;
    fixture.world.send(room, alice, "text").await;
    fixture.project().await;
    let path = format!("/v1/rooms/{room}/messages");
    let first = ask(&fixture, Method::GET, bob, &path, None).await;

    // A query that has to reflect more than is there says so, whatever its client has.
    fixture.world.send(room, alice, "more").await;
    let newer = format!("{path}?min_position={}&wait_ms=0", fixture.position());
    let waiting = ask(&fixture, Method::GET, bob, &newer, Some(first.tag())).await;
    assert_eq!(waiting.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!waiting.headers.contains_key("etag"));
    fixture.project().await;
    let second = ask(&fixture, Method::GET, bob, &newer, Some(first.tag())).await;
    assert_eq!(second.status, StatusCode::OK);
    assert_ne!(second.tag(), first.tag());
    assert!(second.body.contains("more"));
    let again = ask(&fixture, Method::GET, bob, &newer, Some(second.tag())).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);

    // What nobody may see any more is not said to be unchanged.
    fixture.world.leave(room, bob).await;
    fixture.project().await;
    let left = ask(&fixture, Method::GET, bob, &path, Some(second.tag())).await;
    assert_eq!(left.status, StatusCode::NOT_FOUND);
    let token = fixture.expired_token(alice).await;
    let expired = fixture.get_with(&path, &format!("Bearer {token}")).await;
    assert!(!expired.headers.contains_key("etag"));
    expired.problem(401, "token_expired");
}
