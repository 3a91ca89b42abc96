//! What holds for every query, taken from the OpenAPI document so that none is forgotten.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::Fixture;
use roomlog_eventlog::TopicPartition;
use roomlog_projectors::testing::start;
use roomlog_schemas::{AccountId, History};
use roomlog_web::Position;
use serde_json::{Value, json};

/// Every path of the document, with the ids of a room and a message that are there.
struct Every {
    fixture: Fixture,
    alice: AccountId,
    eve: AccountId,
    paths: Vec<String>,
}

impl Every {
    async fn query() -> Self {
        let mut fixture = Fixture::new().await;
        let alice = fixture.world.register(Some("alice")).await;
        let eve = fixture.world.register(Some("eve")).await;
        let room = fixture.world.create_room(alice, None, History::FromBeginning, "Room").await;
        let message = fixture.world.send(room, alice, "text").await;
        fixture.project().await;
        let fill = |path: &String| {
            path.replace("{room_id}", &room.to_string())
                .replace("{message_id}", &message.to_string())
                .replace("{account_id}", &alice.to_string())
        };
        let paths = fixture.document.paths.paths.keys().map(fill).collect();
        Self { fixture, alice, eve, paths }
    }

    /// Whether the query's answer rests on records of rooms, not only of accounts.
    fn rooms(&self) -> impl Iterator<Item = &String> {
        self.paths.iter().filter(|path| path.contains("/rooms"))
    }
}

#[tokio::test]
async fn a_member_may_ask_each_of_them() {
    let every = Every::query().await;
    assert_eq!(every.paths.len(), 11);
    for path in &every.paths {
        every.fixture.get(every.alice, path).await.ok();
    }
}

#[tokio::test]
async fn without_a_valid_token_there_is_no_answer() {
    let every = Every::query().await;
    let expired = format!("Bearer {}", every.fixture.expired_token(every.alice).await);
    let basic = format!("Basic {}", every.fixture.token(every.alice, Duration::from_secs(60)));
    for path in &every.paths {
        for (authorization, code) in [
            ("", "unauthorized"),
            (&basic, "unauthorized"),
            ("Bearer garbage", "token_invalid"),
            ("Bearer ", "token_invalid"),
            ("Bearer administrator", "token_invalid"),
            (&expired, "token_expired"),
        ] {
            let reply = every.fixture.get_with(path, authorization).await;
            let challenge = reply.headers.get("www-authenticate").cloned();
            reply.problem(401, code);
            assert_eq!(challenge.unwrap(), "Bearer");
        }
    }
}

#[tokio::test]
async fn a_session_that_has_ended_has_no_answer_although_its_token_is_valid() {
    let every = Every::query().await;
    let valid = format!("Bearer {}", every.fixture.token(every.alice, Duration::from_secs(60)));
    every.fixture.end_session();
    for path in &every.paths {
        every.fixture.get_with(path, &valid).await.problem(401, "session_ended");
    }
}

#[tokio::test]
async fn a_room_of_others_is_like_one_that_does_not_exist() {
    let every = Every::query().await;
    let unknown = "00000000-0000-8000-8000-000000000000";
    for path in every.rooms().filter(|path| path.as_str() != "/v1/rooms") {
        let mut of_others = every.fixture.get(every.eve, path).await.problem(404, "room_not_found");
        let id: Vec<&str> = path.split('/').collect();
        let not_there = every.fixture.get(every.eve, &path.replace(id[3], unknown)).await;
        assert_eq!(of_others.take(), not_there.problem(404, "room_not_found"));
        every.fixture.get(every.alice, &path.replace(id[3], "nonsense")).await.problem(400, "invalid_path");
    }
}

#[tokio::test]
async fn a_position_is_waited_for_or_said_to_be_missing() {
    let mut every = Every::query().await;
    let room = *every.fixture.world.rooms.keys().next().unwrap();
    every.fixture.world.send(room, every.alice, "not projected yet").await;
    let position = every.fixture.position();
    for path in every.rooms() {
        let reply =
            every.fixture.get(every.alice, &format!("{path}?min_position={position}&wait_ms=0")).await;
        assert_eq!(reply.headers["retry-after"], "1", "{path}");
        reply.problem(503, "not_up_to_position");
    }
    // The wait ends when a projector gets there.
    let waiting: Vec<String> =
        every.paths.iter().map(|path| format!("{path}?min_position={position}&wait_ms=30000")).collect();
    let log = every.fixture.world.log.log();
    let (answers, running) = tokio::join!(
        async {
            let mut answers = Vec::new();
            for path in &waiting {
                answers.push(every.fixture.get(every.alice, path).await);
            }
            answers
        },
        async {
            tokio::task::yield_now().await;
            start(log.clone(), every.fixture.stores.clone())
        },
    );
    running.stop().await.unwrap();
    for answer in answers {
        answer.ok();
    }
}

#[tokio::test]
async fn positions_are_checked() {
    let every = Every::query().await;
    for path in &every.paths {
        for query in ["min_position=nonsense", "wait_ms=soon"] {
            every.fixture.get(every.alice, &format!("{path}?{query}")).await.problem(400, "invalid_query");
        }
    }
    let nowhere = Position { partition: TopicPartition::rooms(999), offset: 0 };
    let path = format!("/v1/rooms?min_position={nowhere}&wait_ms=0");
    every.fixture.get(every.alice, &path).await.problem(503, "not_up_to_position");
}

#[tokio::test]
async fn each_is_described() {
    let every = Every::query().await;
    let document = serde_json::to_value(&every.fixture.document).unwrap();
    let alone = roomlog_query_api::description().into_openapi();
    assert_eq!(document, serde_json::to_value(alone).unwrap());
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let operation = &item["get"];
        assert_eq!(operation["tags"], json!(["query-api"]), "{path}");
        assert!(operation["summary"].is_string() && operation["description"].is_string(), "{path}");
        assert!(operation["description"].as_str().unwrap().contains("projection"), "{path}");
        assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{path}");
        let names: Vec<&Value> =
            operation["parameters"].as_array().unwrap().iter().map(|p| &p["name"]).collect();
        let unique: BTreeSet<String> = names.iter().map(|name| name.to_string()).collect();
        assert_eq!(unique.len(), names.len(), "{path}: {names:?}");
        let sources = operation["parameters"].as_array().unwrap().iter().map(|p| (&p["name"], &p["in"]));
        for (name, source) in sources {
            let is_in_path = path.contains(&format!("{{{}}}", name.as_str().unwrap()));
            assert_eq!(source, if is_in_path { "path" } else { "query" }, "{path}: {name}");
        }
        for name in ["min_position", "wait_ms"] {
            assert!(names.contains(&&json!(name)), "{path}: {name}");
        }
        for name in path.split(['{', '}']).skip(1).step_by(2) {
            assert!(names.contains(&&json!(name)), "{path}: {name}");
        }
        for status in ["200", "400", "401", "503"] {
            assert!(operation["responses"][status].is_object(), "{path}: {status}");
        }
        assert_eq!(operation["security"], json!([{"access_token": []}]), "{path}");
    }
    assert_references_resolve(&document, &document);
}

fn assert_references_resolve(part: &Value, document: &Value) {
    match part {
        Value::Object(fields) => {
            if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                let pointer = reference.trim_start_matches('#');
                assert!(document.pointer(pointer).is_some(), "{reference} is not described");
            }
            fields.values().for_each(|value| assert_references_resolve(value, document));
        }
        Value::Array(values) => values.iter().for_each(|value| assert_references_resolve(value, document)),
        _ => {}
    }
}
