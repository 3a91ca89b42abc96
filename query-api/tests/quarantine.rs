//! A room that a projection lacks part of is refused, not shown with holes.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::{Fixture, fields, items};
use roomlog_projectors::testing::sqlite_quarantine;
use roomlog_query_api::Limits;
use roomlog_schemas::{AccountId, History, RoomId};
use roomlog_stores::progress::Projection;
use roomlog_stores::quarantine::{Entry, Quarantine, Scope, Subject};
use serde_json::json;
use tempfile::TempDir;

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
