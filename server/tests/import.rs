//! `roomlog import`: everything arrives once, in order, with its links; bad lines are reported.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::HashMap;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use support::{PASSWORD, Server, roomlog};

fn line(n: usize, room: &str, kind: &str, author: &str) -> Value {
    json!({"id": format!("s:{n}"), "time": format!("2010-01-01T00:00:{:02}Z", n % 60), "room": room, "kind": kind, "author": author})
}

fn message(n: usize, room: &str, author: &str, text: &str, reply_to: Option<usize>) -> Value {
    let mut message = line(n, room, "message", author);
    message["text"] = text.into();
    if let Some(reply_to) = reply_to {
        message["reply_to"] = format!("s:{reply_to}").into();
    }
    message
}

async fn import(server: &Server, file: &Path) -> Output {
    roomlog()
        .args(["import", file.to_str().unwrap(), "--url", &server.url])
        .env("ROOMLOG_DATA", server.data())
        .output()
        .await
        .unwrap()
}

/// Lines of two rooms, more than one batch of the larger.
fn lines() -> Vec<Value> {
    let mut lines = vec![line(0, "town/hall", "join", "ann")];
    for n in 1..1500 {
        let author = ["ann", "ben", "Ann", "c d"][n % 4];
        // Links near and far back.
        let reply_to = [None, Some(n.saturating_sub(2)).filter(|to| *to > 0), Some(1)][n % 3];
        lines.push(message(n, "town/hall", author, &format!(" text {n}\u{1}"), reply_to));
    }
    let mut rename = line(1500, "town/hall", "rename", "ben");
    rename["to"] = "benny".into();
    lines.push(rename);
    lines.push(line(1501, "town/hall", "leave", "ben"));
    lines.push(line(1502, "town/hall", "leave", "never there"));
    lines.push(message(1503, "town", "dora", "in the root", None));
    lines
}

fn write(folder: &Path, lines: &[String]) -> std::path::PathBuf {
    let file = folder.join("town.jsonl");
    std::fs::write(&file, lines.join("\n")).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_once_and_bad_lines_are_reported() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let records = lines();
    let mut text: Vec<String> = records.iter().map(Value::to_string).collect();
    text.insert(700, "{ not JSON".into());
    text.insert(900, json!({"id": "x", "kind": "message"}).to_string());
    let output = import(&server, &write(folder.path(), &text)).await;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "bad lines are told by the exit code");
    assert!(told.contains("line 701:") && told.contains("line 901:"), "{told}");

    // Ann's account is claimed by its person, who then sees the history as its member.
    let admin = std::fs::read_to_string(server.data().join("administrator.token")).unwrap();
    let code =
        server.post("/v1/imports/town/claim-codes", admin.trim(), json!({"author": "ann"})).await.created();
    let claim = json!({"claim_code": code["claim_code"], "email": "ann@example.org", "username": "ann", "password": PASSWORD});
    let path = format!("/v1/accounts/{}/claim", code["account_id"].as_str().unwrap());
    server.request(reqwest::Method::POST, &path, None, Some(claim.clone())).await.ok();
    server.request(reqwest::Method::POST, &path, None, Some(claim)).await.problem(403, "invalid_claim_code");
    let session = server.log_in("ann").await.created();
    let ann = support::Account {
        id: session["account_id"].as_str().unwrap().into(),
        token: session["access_token"].as_str().unwrap().into(),
        refresh_token: String::new(),
    };
    let last = records.iter().rev().find(|line| line["room"] == "town/hall" && line["kind"] == "message");
    let hall = imported(&server, &ann, "hall", &last.unwrap()["id"]).await;
    let history = server.history(&ann, &hall, 200, "r0-0").await;
    check(&history, &records, "town/hall");
    assert_eq!(history[0]["sent_at"], "2010-01-01T00:00:01Z");

    // Again: nothing changes.
    let seq = last_seq(&server, &ann, &hall).await;
    let again: Vec<String> = records.iter().map(Value::to_string).collect();
    let output = import(&server, &write(folder.path(), &text)).await;
    assert!(!output.status.success());
    assert_eq!(last_seq(&server, &ann, &hall).await, seq);
    assert_eq!(server.history(&ann, &hall, 200, "r0-0").await.len(), history.len());
    drop(again);
}

/// The room of this name, once its member sees its last message there: the command does not wait for the projections.
async fn imported(server: &Server, who: &support::Account, name: &str, last: &Value) -> String {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let rooms = server.get("/v1/rooms", &who.token).await.ok();
        let room = rooms["items"].as_array().unwrap().iter().find(|room| room["name"] == name);
        if let Some(room) = room {
            let room = room["room_id"].as_str().unwrap();
            let latest = server.get(&format!("/v1/rooms/{room}/messages?limit=1"), &who.token).await;
            if latest.body["items"][0]["source_id"] == *last {
                return room.to_owned();
            }
        }
        assert!(tokio::time::Instant::now() < deadline, "{name} does not become readable");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Of the room, everything in the log by now included: a member that joins again changes nothing and is told a position.
async fn last_seq(server: &Server, who: &support::Account, room: &str) -> Value {
    let joined = server.join(who, room).await;
    let position = joined["position"].as_str().unwrap();
    let path = format!("/v1/rooms/{room}?min_position={position}&wait_ms=20000");
    server.get(&path, &who.token).await.ok()["last_seq"].clone()
}

/// Count, order, authors, texts and links of a room equal the file's.
fn check(history: &[Value], records: &[Value], room: &str) {
    let expected: Vec<&Value> =
        records.iter().filter(|record| record["room"] == room && record["kind"] == "message").collect();
    assert_eq!(history.len(), expected.len());
    let ids: HashMap<&str, &Value> = history
        .iter()
        .map(|message| (message["source_id"].as_str().unwrap(), &message["message_id"]))
        .collect();
    let mut authors: HashMap<&str, &Value> = HashMap::new();
    for (found, record) in history.iter().zip(expected) {
        assert_eq!(found["source_id"], record["id"]);
        assert_eq!(found["text"], record["text"]);
        let author = authors.entry(record["author"].as_str().unwrap()).or_insert(&found["author_id"]);
        assert_eq!(*author, &found["author_id"]);
        let reply_to = record["reply_to"].as_str().map(|id| ids[id]);
        assert_eq!(found.get("reply_to"), reply_to);
    }
    let distinct: std::collections::HashSet<_> = authors.values().map(|id| id.to_string()).collect();
    assert_eq!(distinct.len(), authors.len(), "names that differ in case are different people");
}
