//! A room that a projection lacks part of is refused, not shown with holes.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use bytes::Bytes;
use common::{Fixture, fields, items};
use http_body_util::BodyExt;
use roomlog_projectors::testing::sqlite_quarantine;
use roomlog_query_api::Limits;
use roomlog_query_api::quarantine::{self, QuarantineApi};
use roomlog_schemas::{AccountId, History, RoomId};
use roomlog_stores::progress::Projection;
use roomlog_stores::quarantine::{Entry, Known, Quarantine, Scope, Subject};
use roomlog_web::Auth;
use roomlog_web::token::Tokens;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

const ADMINISTRATOR: &str = "the administrator's token";

struct Case {
    fixture: Fixture,
    quarantine: Quarantine,
    alice: AccountId,
    root: RoomId,
    sub: RoomId,
    other: RoomId,
    _folder: TempDir,
}

impl Case {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let quarantine = sqlite_quarantine(folder.path()).await;
        let mut fixture = Fixture::guarded(Limits::default(), &quarantine).await;
        let world = &mut fixture.world;
        let alice = world.register(Some("alice")).await;
        let root = world.create_room(alice, None, History::FromBeginning, "Root").await;
        let sub = world.create_room(alice, Some(root), History::FromBeginning, "Sub").await;
        let other = world.create_room(alice, None, History::FromBeginning, "Other").await;
        world.send(sub, alice, "text").await;
        world.send(other, alice, "text").await;
        fixture.project().await;
        Self { fixture, quarantine, alice, root, sub, other, _folder: folder }
    }

    async fn put(&self, projection: Projection, rooms: Vec<RoomId>) {
        let entry = Entry {
            subject: Subject::root(self.root),
            partition: self.fixture.world.log.room_partition(self.root),
            offset: 1_000,
            record_time_ms: 0,
            record: Bytes::from_static(b"record"),
            error: Some("a test says so".into()),
            rooms,
        };
        assert!(self.quarantine.store().put(Scope::current(projection), &[entry]).await.unwrap());
        self.quarantine.refresh().await.unwrap();
    }

    async fn lift(&self, projection: Projection) {
        let (scope, subject) = (Scope::current(projection), Subject::root(self.root));
        assert!(self.quarantine.store().remove(scope, subject, 1_000).await.unwrap());
        self.quarantine.refresh().await.unwrap();
    }
}

#[tokio::test]
async fn queries_about_a_room_in_quarantine_answer_503_and_others_go_on() {
    let case = Case::new().await;
    let get = async |path: String| case.fixture.get(case.alice, &path).await;
    for (projection, queries) in
        [(Projection::RoomEvents, ["/messages", "/events"]), (Projection::Directory, ["", "/members"])]
    {
        case.put(projection, vec![]).await;
        for query in queries {
            for room in [case.root, case.sub] {
                let reply = get(format!("/v1/rooms/{room}{query}")).await;
                assert_eq!(reply.headers["retry-after"], "60");
                let problem = reply.problem(503, "quarantined");
                assert!(problem["detail"].as_str().unwrap().contains(projection.name()), "{problem}");
            }
            get(format!("/v1/rooms/{}{query}", case.other)).await.ok();
        }
        case.lift(projection).await;
        for query in queries {
            get(format!("/v1/rooms/{}{query}", case.sub)).await.ok();
        }
    }
}

#[tokio::test]
async fn a_room_that_only_kept_records_make_is_in_quarantine_rather_than_unknown() {
    let case = Case::new().await;
    let made = RoomId::from_u128(77);
    for query in ["", "/members", "/messages", "/events"] {
        let path = format!("/v1/rooms/{made}{query}");
        case.fixture.get(case.alice, &path).await.problem(404, "room_not_found");
    }
    for projection in Projection::ALL {
        case.put(projection, vec![made]).await;
    }
    for query in ["", "/members", "/messages", "/events"] {
        let path = format!("/v1/rooms/{made}{query}");
        case.fixture.get(case.alice, &path).await.problem(503, "quarantined");
    }
}

#[tokio::test]
async fn the_list_of_rooms_marks_them() {
    let case = Case::new().await;
    let list = async || case.fixture.get(case.alice, "/v1/rooms").await.ok();
    let whole = list().await;
    assert_eq!((&whole["incomplete"], items(&whole).len()), (&json!(false), 3));
    assert!(fields(&whole, "quarantined").iter().all(|marked| **marked == json!(false)));
    case.put(Projection::Directory, vec![]).await;
    let marked = list().await;
    assert_eq!((&marked["incomplete"], items(&marked).len()), (&json!(true), 3));
    for item in items(&marked) {
        assert_eq!(item["quarantined"], json!(item["room_id"] != json!(case.other)), "{item}");
    }
    case.lift(Projection::Directory).await;
    assert_eq!(list().await, whole);
}

#[tokio::test]
async fn sockets_are_not_opened_on_it() {
    let case = Case::new().await;
    let rooms = case.quarantine.guard_rooms(Arc::clone(&case.fixture.stores.rooms));
    assert_eq!(rooms.rooms_of(case.alice).await.unwrap().len(), 3);
    case.put(Projection::RoomEvents, vec![]).await;
    let listed = rooms.rooms_of(case.alice).await.unwrap();
    assert_eq!(listed.iter().map(|(room, _)| *room).collect::<Vec<_>>(), [case.other]);
}

/// The operator's routes.
struct Operator {
    router: axum::Router,
    token: String,
}

impl Operator {
    fn of(case: &Case) -> Self {
        let auth = Auth::new(Tokens::new(&[3; 32]), ADMINISTRATOR);
        let api = QuarantineApi { auth, quarantine: case.quarantine.clone() };
        let (router, _) = quarantine::router(api).split_for_parts();
        Self { router, token: ADMINISTRATOR.to_owned() }
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        let request = request.header("content-type", "application/json");
        let response =
            self.router.clone().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    async fn list(&self) -> Value {
        let (status, list) = self.ask(Method::GET, "/v1/quarantine", json!({})).await;
        assert_eq!(status, StatusCode::OK, "{list}");
        list["items"].clone()
    }

    async fn retry(&self, body: Value) -> (u16, Value) {
        let (status, answer) = self.ask(Method::POST, "/v1/quarantine/retries", body).await;
        (status.as_u16(), answer)
    }
}

#[tokio::test]
async fn the_operator_sees_it_and_asks_for_a_retry() {
    let case = Case::new().await;
    let operator = Operator::of(&case);
    assert_eq!(operator.list().await, json!([]));
    case.put(Projection::RoomEvents, vec![]).await;
    case.put(Projection::Directory, vec![]).await;
    let partition = case.fixture.world.log.room_partition(case.root).to_string();
    let expected = |projection: &str, retry_requested: bool| {
        json!({
            "projection": projection, "kind": "root_room", "subject_id": case.root.to_string(),
            "partition": partition, "records": 1, "first_offset": 1_000, "since": "1970-01-01T00:00:00Z",
            "error": "a test says so", "retry_requested": retry_requested, "failed_retries": 0,
        })
    };
    let (directory, room_events) = (expected("directory", false), expected("room_events", false));
    assert_eq!(operator.list().await, json!([directory, room_events]));

    let wanted = |known: &Known| known.retries(Projection::RoomEvents).next();
    assert_eq!(wanted(&case.quarantine.known()), None);
    let one = json!({"projection": "room_events", "subject_id": case.root.to_string()});
    assert_eq!(operator.retry(one.clone()).await, (202, json!({"requested": 1})));
    assert_eq!(wanted(&case.quarantine.known()), Some(Subject::root(case.root)), "known here at once");
    assert_eq!(operator.list().await, json!([directory, expected("room_events", true)]));
    assert_eq!(operator.retry(one).await, (202, json!({"requested": 1})), "again is the same");
    assert_eq!(operator.retry(json!({"projection": "directory"})).await, (202, json!({"requested": 1})));
    case.lift(Projection::Directory).await;
    assert_eq!(operator.retry(json!({"projection": "directory"})).await, (202, json!({"requested": 0})));
}

#[tokio::test]
async fn nobody_else_does_and_nonsense_is_refused() {
    let case = Case::new().await;
    case.put(Projection::RoomEvents, vec![]).await;
    let mut operator = Operator::of(&case);
    let other = json!({"projection": "room_events", "subject_id": case.other.to_string()});
    let (status, problem) = operator.retry(other).await;
    assert_eq!((status, &problem["code"]), (404, &json!("not_in_quarantine")));
    for body in [
        json!({}),
        json!({"projection": "history"}),
        json!({"projection": "directory", "subject_id": 1}),
        json!({"projection": "directory", "subject": case.root.to_string()}),
    ] {
        let (status, problem) = operator.retry(body).await;
        assert_eq!((status, &problem["code"]), (422, &json!("invalid_body")));
    }
    let account = case.fixture.token(case.alice, Duration::from_secs(60));
    for (token, status, code) in [
        (String::new(), 401, "unauthorized"),
        ("garbage".into(), 401, "token_invalid"),
        (account, 403, "administrator_only"),
    ] {
        operator.token = token;
        let retry = json!({"projection": "room_events"});
        for (method, path) in [(Method::GET, "/v1/quarantine"), (Method::POST, "/v1/quarantine/retries")] {
            let (found, problem) = operator.ask(method, path, retry.clone()).await;
            assert_eq!((found.as_u16(), &problem["code"]), (status, &json!(code)), "{path}");
        }
    }
    assert!(case.quarantine.known().retries(Projection::RoomEvents).next().is_none());
}
