//! Ending sessions, through the whole server.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::time::Duration;

use futures::StreamExt;
use reqwest::{Method, StatusCode};
use roomlog_eventlog::PartitionCounts;
use serde_json::{Value, json};
use support::shared::Shared;
use support::stream::{Stream, connect};
use support::{Account, Answer, DEADLINE, Server};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

/// What is waited for is looked at this often.
const POLL: Duration = Duration::from_millis(20);

/// Another log-in of an account that is there.
async fn log_in(server: &Server, name: &str) -> (Account, String) {
    let session = server.log_in(name).await.created();
    let text = |field: &str| session[field].as_str().unwrap().to_owned();
    let account =
        Account { id: text("account_id"), token: text("access_token"), refresh_token: text("refresh_token") };
    (account, text("session_id"))
}

async fn end(server: &Server, who: &Account, session: &str) -> Answer {
    server.request(Method::DELETE, &format!("/v1/sessions/{session}"), Some(&who.token), None).await
}

async fn refresh(server: &Server, token: &str) -> Answer {
    let body = json!({"refresh_token": token});
    server.request(Method::POST, "/v1/sessions/refresh", None, Some(body)).await
}

/// The code with which the server closes the socket.
async fn closed(stream: &mut Stream) -> u16 {
    loop {
        match timeout(DEADLINE, stream.socket.next()).await.expect("the socket closes in time") {
            Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
            Some(Ok(_)) => {}
            other => panic!("no close frame: {other:?}"),
        }
    }
}

async fn listed(server: &Server, who: &Account) -> Vec<(String, bool)> {
    let sessions = server.get("/v1/sessions", &who.token).await.ok();
    let items = sessions["items"].as_array().unwrap().iter();
    items
        .map(|item| {
            assert!(item["created_at"].as_str().unwrap() < item["expires_at"].as_str().unwrap());
            (item["session_id"].as_str().unwrap().to_owned(), item["current"].as_bool().unwrap())
        })
        .collect()
}

#[tokio::test]
async fn a_session_that_is_ended_loses_its_sockets_and_its_tokens_and_the_other_stays() {
    let server = Server::start().await;
    server.account("ada").await;
    let (phone, phone_id) = log_in(&server, "ada").await;
    let (laptop, laptop_id) = log_in(&server, "ada").await;
    let room = server.room(&laptop, "Lounge").await;
    let mut on_phone = Stream::open(&server, &phone, json!({})).await;
    let mut on_laptop = Stream::open(&server, &laptop, json!({})).await;
    let sessions = listed(&server, &laptop).await;
    assert_eq!(sessions.len(), 3);
    assert!(sessions.contains(&(phone_id.clone(), false)) && sessions.contains(&(laptop_id.clone(), true)));

    let ended = end(&server, &laptop, &phone_id).await.ok();
    assert_eq!(ended["session_id"], phone_id);
    assert_eq!(closed(&mut on_phone).await, 4401);
    refresh(&server, &phone.refresh_token).await.problem(401, "refresh_token_invalid");
    let opened = connect(&server, &[("authorization", &format!("Bearer {}", phone.token))]).await;
    assert!(opened.is_err(), "no socket opens with it");
    // A token of it that has not expired is good for nothing.
    end(&server, &phone, &laptop_id).await.problem(401, "session_ended");
    for path in ["/v1/sessions", "/v1/rooms", &format!("/v1/rooms/{room}/messages")] {
        server.get(path, &phone.token).await.problem(401, "session_ended");
    }
    server.post("/v1/rooms", &phone.token, json!({"name": "Mine"})).await.problem(401, "session_ended");
    // Again is the same, also by itself.
    assert_eq!(end(&server, &laptop, &phone_id).await.ok()["session_id"], phone_id);
    assert_eq!(end(&server, &phone, "me").await.ok()["session_id"], phone_id);
    end(&server, &phone, &phone_id).await.problem(401, "session_ended");

    server.send(&laptop, &room, "still here").await;
    on_laptop.until_text("still here").await;
    assert_eq!(listed(&server, &laptop).await.len(), 2);
    assert_eq!(end(&server, &laptop, "me").await.ok()["session_id"], laptop_id);
    assert_eq!(closed(&mut on_laptop).await, 4401);
}

#[tokio::test]
async fn nobody_ends_the_session_of_another_account() {
    let server = Server::start().await;
    let bob = server.account("bob").await;
    server.account("ada").await;
    let (ada, ada_id) = log_in(&server, "ada").await;
    let mut stream = Stream::open(&server, &ada, json!({})).await;
    end(&server, &bob, &ada_id).await.problem(404, "session_not_found");
    end(&server, &bob, "nonsense").await.problem(400, "invalid_path");
    let room = server.room(&ada, "Lounge").await;
    server.send(&ada, &room, "still here").await;
    stream.until_text("still here").await;
    refresh(&server, &ada.refresh_token).await.created();
}

#[tokio::test]
async fn a_refresh_token_that_comes_again_ends_its_session() {
    let server = Server::start().await;
    let ada = server.account("ada").await;
    let mut stream = Stream::open(&server, &ada, json!({})).await;
    let fresh: Value = refresh(&server, &ada.refresh_token).await.created();
    refresh(&server, &ada.refresh_token).await.problem(401, "refresh_token_reused");
    assert_eq!(closed(&mut stream).await, 4401);
    let fresh_access = fresh["access_token"].as_str().unwrap();
    server.get("/v1/rooms", fresh_access).await.problem(401, "session_ended");
    let fresh = fresh["refresh_token"].as_str().unwrap();
    refresh(&server, fresh).await.problem(401, "refresh_token_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_in_one_process_is_refused_by_the_others_and_after_a_restart() {
    let Some(shared) = Shared::new(PartitionCounts { accounts: 1, rooms: 1 }) else { return };
    let one = shared.start("command-api,projectors", &[]).await;
    let mut other = shared.start("query-api", &[]).await;
    one.account("ada").await;
    let (phone, phone_id) = log_in(&one, "ada").await;
    let (laptop, _) = log_in(&one, "ada").await;
    other.get("/v1/rooms", &phone.token).await.ok();

    end(&one, &laptop, &phone_id).await.ok();
    one.get("/v1/sessions", &phone.token).await.problem(401, "session_ended");
    let until = Instant::now() + DEADLINE;
    let refused = loop {
        let answer = other.get("/v1/rooms", &phone.token).await;
        if answer.status != StatusCode::OK {
            break answer;
        }
        assert!(Instant::now() < until, "the other process learns of it");
        sleep(POLL).await;
    };
    refused.problem(401, "session_ended");
    other.get("/v1/rooms", &laptop.token).await.ok();

    other.kill().await;
    other.start_again().await;
    other.get("/v1/rooms", &phone.token).await.problem(401, "session_ended");
    other.get("/v1/rooms", &laptop.token).await.ok();
}
