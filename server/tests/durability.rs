//! What was acknowledged is there exactly once, whatever happened to the process.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeMap;

use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection};
use support::{Server, kafka, on_kafka};
use uuid::Uuid;

const WRITERS: usize = 4;
const KILLS: usize = 3;
const MESSAGES: usize = 40;

/// Several clients send while the process is killed again and again; each repeats with the same key
/// until it has an answer.
async fn kill_and_repeat(mut server: Server) {
    let mut accounts = Vec::new();
    for n in 0..WRITERS {
        accounts.push(server.account(&format!("writer{n}")).await);
    }
    let room = server.room(&accounts[0], "Lounge").await;
    for account in &accounts[1..] {
        server.join(account, &room).await;
    }
    let (sent, mut progress) = tokio::sync::mpsc::unbounded_channel();
    let mut writers = tokio::task::JoinSet::new();
    for (n, account) in accounts.iter().cloned().enumerate() {
        let (api, room, sent) = (server.api.clone(), room.clone(), sent.clone());
        writers.spawn(async move {
            let mut acknowledged = Vec::new();
            for i in 0..MESSAGES {
                let (text, key) = (format!("{n}.{i}"), Uuid::now_v7());
                let answer = loop {
                    let answer = api.try_send(&account, &room, &text, key).await;
                    match answer {
                        Some(answer) if answer.status.is_success() => break answer.body,
                        Some(answer) => assert_eq!(answer.status.as_u16(), 503, "{}", answer.body),
                        None => {}
                    }
                };
                // A repeat gets the very same answer.
                if i % 8 == 0 {
                    let repeat = api.try_send(&account, &room, &text, key).await;
                    if let Some(repeat) = repeat.filter(|repeat| repeat.status.is_success()) {
                        assert_eq!(repeat.body, answer);
                    }
                }
                acknowledged.push((text, answer));
                sent.send(()).unwrap();
            }
            acknowledged
        });
    }
    for _ in 0..KILLS {
        for _ in 0..WRITERS * MESSAGES / (KILLS + 1) {
            progress.recv().await.unwrap();
        }
        server.kill().await;
        server.start_again().await;
    }
    let mut acknowledged: BTreeMap<u64, (String, Value)> = BTreeMap::new();
    while let Some(writer) = writers.join_next().await {
        for (text, answer) in writer.unwrap() {
            let seq = answer["seq"].as_u64().unwrap();
            assert!(acknowledged.insert(seq, (text, answer)).is_none(), "one seq for two messages");
        }
    }
    let (_, last) = acknowledged.values().last().unwrap();
    let position = last["position"].as_str().unwrap();
    let history = server.history(&accounts[0], &room, 50, position).await;
    let found: Vec<(u64, &str, &Value)> = history
        .iter()
        .map(|message| {
            (message["seq"].as_u64().unwrap(), message["text"].as_str().unwrap(), &message["message_id"])
        })
        .collect();
    let expected: Vec<(u64, &str, &Value)> = acknowledged
        .iter()
        .map(|(seq, (text, answer))| (*seq, text.as_str(), &answer["message_id"]))
        .collect();
    assert_eq!(found, expected, "every acknowledged message once, in the order of its seq");
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_messages_survive_kills_on_sqlite() {
    kill_and_repeat(Server::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_messages_survive_kills_on_kafka() {
    let Some(brokers) = kafka() else { return };
    let settings = on_kafka(&brokers);
    let settings: Vec<(&str, &str)> =
        settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    kill_and_repeat(Server::start_with(&settings).await).await;
}

/// A clock that was ahead, and has been put right since, stops nobody.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_wrong_clock_the_next_start_decides_at_once() {
    let mut server = Server::start().await;
    let account = server.account("ada").await;
    let room = server.room(&account, "Lounge").await;
    server.kill().await;
    let mut log = SqliteConnection::connect(server.data().join("log.db").to_str().unwrap()).await.unwrap();
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE name GLOB '*_[0-9]*' AND type = 'table'")
            .fetch_all(&mut log)
            .await
            .unwrap();
    assert!(tables.len() > 1, "{tables:?}");
    for table in tables {
        // Every record was appended an hour from now.
        let ahead = format!("UPDATE {table} SET append_time_ms = append_time_ms + 3600000");
        sqlx::query(sqlx::AssertSqlSafe(ahead)).execute(&mut log).await.unwrap();
    }
    log.close().await.unwrap();
    server.start_again().await;
    server.send(&account, &room, "on time").await;
}
