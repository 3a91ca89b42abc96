//! The quarantine of a server that runs, on its embedded stores: seen and ended from outside.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::StatusCode;
use roomlog_eventlog::{
    Accepted, AcceptedReader, Content, Cursor, EventLog, PartitionCounts, SqliteLog, Topic, TopicPartition,
    ensure_identity,
};
use roomlog_schemas::RoomId;
use roomlog_stores::QuarantineStore;
use roomlog_stores::progress::Projection;
use roomlog_stores::quarantine::{Entry, Scope, Subject};
use roomlog_stores::sqlite::SqliteQuarantineStore;
use serde_json::{Value, json};
use support::{DEADLINE, Server, roomlog};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// Of the embedded log.
const COUNTS: PartitionCounts = PartitionCounts { accounts: 1, rooms: 4 };

/// What is waited for is looked at this often.
const POLL: Duration = Duration::from_millis(20);

/// The last record that the log of a stopped server has about a room.
async fn last_record(server: &Server, room: RoomId) -> (TopicPartition, Accepted) {
    let log: Arc<dyn EventLog> = Arc::new(SqliteLog::open(&server.data().join("log.db"), COUNTS).unwrap());
    let identity = ensure_identity(&log, Uuid::new_v4()).await.unwrap();
    let mut last = None;
    for partition in log.partitions().all().filter(|partition| partition.topic == Topic::Rooms) {
        let end = log.end(partition).await.unwrap();
        let start = Cursor::start(identity, partition);
        let mut reader = AcceptedReader::open(&log, &start, "test").await.unwrap();
        while reader.next_offset() < end {
            for record in reader.next().await.unwrap() {
                let Content::Command(command) = &record.content else { continue };
                let mut rooms = command.events.iter().filter_map(|event| event.timeline());
                if rooms.any(|(of, _)| of == room) {
                    last = Some((partition, record));
                }
            }
        }
    }
    last.expect("the log has the room")
}

/// Puts a root room into quarantine in the folder of a stopped server.
async fn put_into_quarantine(
    server: &Server,
    partition: TopicPartition,
    room: RoomId,
    offset: u64,
    record: Bytes,
) {
    let store = SqliteQuarantineStore::open(&server.data().join("projections")).await.unwrap();
    let entry = Entry {
        subject: Subject::root(room),
        partition,
        offset,
        record_time_ms: 0,
        record,
        error: Some("a test says so".into()),
        rooms: vec![],
    };
    assert!(store.put(Scope::current(Projection::RoomEvents), &[entry]).await.unwrap());
}

/// `roomlog projections …` beside the server that runs.
async fn projections(server: &Server, arguments: &[&str]) -> (Output, String) {
    let output = roomlog()
        .arg("projections")
        .args(arguments)
        .args(["--url", &server.url])
        .env("ROOMLOG_DATA", server.data())
        .output()
        .await
        .unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output, said)
}

#[tokio::test]
async fn a_quarantine_is_seen_and_retried_while_the_server_runs() {
    let mut server = Server::start().await;
    let ada = server.account("ada").await;
    let room = server.room(&ada, "Lounge").await;
    let sent = server.send(&ada, &room, "hello").await;
    let history = format!("/v1/rooms/{room}/messages");
    let position = sent["position"].as_str().unwrap().to_owned();
    assert_eq!(server.history(&ada, &room, 10, &position).await.len(), 1);
    let administrator = std::fs::read_to_string(server.data().join("administrator.token")).unwrap();
    let administrator = administrator.trim();
    let listed = server.get("/v1/quarantine", administrator).await.ok();
    assert_eq!(listed, json!({"items": []}));
    server.get("/v1/quarantine", &ada.token).await.problem(403, "administrator_only");
    let (output, said) = projections(&server, &["list"]).await;
    assert!(output.status.success() && said.contains("Nothing is in quarantine."), "{said}");

    // What is kept can be used after all.
    let id: RoomId = room.parse().unwrap();
    server.stop().await;
    let (partition, record) = last_record(&server, id).await;
    put_into_quarantine(&server, partition, id, record.offset, record.value.clone()).await;
    server.start_again().await;
    server.get(&history, &ada.token).await.problem(503, "quarantined");
    let (output, said) = projections(&server, &["list", "--json"]).await;
    assert!(output.status.success(), "{said}");
    let row: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&row["subject_id"], &row["records"]), (&json!(room), &json!(1)));
    let (output, said) = projections(&server, &["retry", "room_events", "--room", &room]).await;
    assert!(output.status.success() && said.contains("complete again"), "{said}");
    // Within a second readers have heard of it.
    let until = Instant::now() + DEADLINE;
    let messages = loop {
        let answer = server.get(&history, &ada.token).await;
        if answer.status == StatusCode::OK {
            break answer.body;
        }
        answer.problem(503, "quarantined");
        assert!(Instant::now() < until, "the room is shown again");
        sleep(POLL).await;
    };
    assert_eq!(messages["items"].as_array().unwrap().len(), 1);
    let (output, said) = projections(&server, &["retry", "room_events"]).await;
    assert!(output.status.success() && said.contains("Nothing of it is in quarantine"), "{said}");

    // What cannot be used stays.
    server.stop().await;
    put_into_quarantine(&server, partition, id, record.offset, Bytes::from_static(b"garbage")).await;
    server.start_again().await;
    let (output, said) = projections(&server, &["retry", "room_events"]).await;
    assert!(!output.status.success() && said.contains("1 stay in quarantine"), "{said}");
    assert!(said.contains("retried 1 times in vain"), "{said}");
    let listed = server.get("/v1/quarantine", administrator).await.ok();
    assert_eq!(listed["items"][0]["failed_retries"], 1);
    server.get(&history, &ada.token).await.problem(503, "quarantined");
}
