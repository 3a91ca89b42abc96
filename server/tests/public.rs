//! What everybody may read, and what answers say to browsers and caches.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use support::{PASSWORD, Server, roomlog};

async fn get(server: &Server, path: &str, known: Option<&str>) -> (u16, HeaderMap, String) {
    let mut request = server.http.get(format!("{}{path}", server.url));
    if let Some(known) = known {
        request = request.header("if-none-match", known);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.headers().clone(), response.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn public_documents_may_be_kept() {
    let server = Server::start().await;
    for (path, content_type) in [
        ("/.well-known/jwks.json", "application/jwk-set+json"),
        ("/v1/openapi.json", "application/json"),
        ("/docs/", "text/html; charset=utf-8"),
        ("/docs/swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
    ] {
        let (status, headers, body) = get(&server, path, None).await;
        assert_eq!((status, headers["content-type"].to_str().unwrap()), (200, content_type), "{path}");
        assert!(headers["cache-control"].to_str().unwrap().starts_with("public, "), "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert!(!body.is_empty());
        let (status, again, body) = get(&server, path, headers["etag"].to_str().ok()).await;
        assert_eq!((status, body.as_str()), (304, ""), "{path}");
        assert_eq!(again["etag"], headers["etag"]);
    }
    // The address that a person opens leads to the page.
    let (status, headers, page) = get(&server, "/", None).await;
    assert!(status == 200 && page.contains("<title>Roomlog API</title>"), "{page}");
    assert!(headers["content-security-policy"].to_str().unwrap().contains("script-src 'self';"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_words_are_kept_by_nobody() {
    let server = Server::start().await;
    let ada = server.account("ada").await;
    let room = server.room(&ada, "Lounge").await;
    let session = server.log_in("ada").await;
    assert_eq!(session.status.as_u16(), 201);
    let refreshed = json!({"refresh_token": session.body["refresh_token"]});
    let refreshed = server.post("/v1/sessions/refresh", "", refreshed).await;
    assert_eq!(refreshed.status.as_u16(), 201);
    let wrong = json!({"login": "ada", "password": format!("not {PASSWORD}")});
    let refused = server.post("/v1/sessions", "", wrong).await;
    assert_eq!(refused.status.as_u16(), 401);
    let sent = server.post(&format!("/v1/rooms/{room}/messages"), &ada.token, json!({"text": "a"})).await;
    let nowhere = server.get("/v1/nothing", &ada.token).await;
    for answer in [session, refreshed, refused, sent, nowhere] {
        assert_eq!(answer.headers["cache-control"], "no-store", "{}", answer.body);
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["referrer-policy"], "no-referrer");
        assert!(answer.headers.contains_key("content-security-policy"));
    }
    // A query's answer is its reader's alone, and asked for anew.
    let rooms = server.get("/v1/rooms", &ada.token).await;
    assert_eq!(rooms.headers["cache-control"], "private, no-cache");
    assert_eq!(rooms.headers["vary"], "Authorization");
    assert!(rooms.headers.contains_key("etag"));
}

/// The lines of `roomlog keys list --json`.
async fn keys(server: &Server, arguments: &[&str]) -> (bool, Vec<Value>, String) {
    let output =
        roomlog().arg("keys").args(arguments).env("ROOMLOG_DATA", server.data()).output().await.unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let parsed = lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    (output.status.success(), parsed, String::from_utf8(output.stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_listed_added_and_destroyed_beside_a_running_server() {
    let server = Server::start().await;
    let (_, _, published) = get(&server, "/.well-known/jwks.json", None).await;
    let published: Value = serde_json::from_str(&published).unwrap();
    let first = published["keys"][0]["kid"].as_str().unwrap().to_owned();
    assert_eq!(published["keys"].as_array().unwrap().len(), 1);
    assert!(published["keys"][0].get("d").is_none(), "only the public half");

    let (_, listed, _) = keys(&server, &["list", "--json"]).await;
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0]["kid"], &listed[0]["standing"]), (&json!(first), &json!("signs")));
    assert!(!keys(&server, &["revoke", "--", &first]).await.0, "it signs");

    assert!(keys(&server, &["rotate"]).await.0);
    let (_, listed, _) = keys(&server, &["list", "--json"]).await;
    let standings: Vec<&Value> = listed.iter().map(|key| &key["standing"]).collect();
    assert_eq!(standings, ["signs", "announced"]);

    let (rotated, _, warning) = keys(&server, &["rotate", "--after", "0"]).await;
    assert!(rotated && warning.contains("less than"), "{warning}");
    let (_, listed, _) = keys(&server, &["list", "--json"]).await;
    let standings: Vec<&Value> = listed.iter().map(|key| &key["standing"]).collect();
    assert_eq!(standings, ["accepted", "signs", "announced"]);
    assert_eq!(listed[0]["kid"], first);

    let (revoked, _, why) = keys(&server, &["revoke", "--", &first]).await;
    assert!(revoked, "{why}");
    assert!(!keys(&server, &["revoke", "--", &first]).await.0, "it is gone");
    assert_eq!(keys(&server, &["list", "--json"]).await.1.len(), 2);
}

/// How many of so many requests are let through; the others are told when to come again.
async fn passed(requests: usize, ask: impl AsyncFn() -> support::Answer) -> usize {
    let mut passed = 0;
    for _ in 0..requests {
        let answer = ask().await;
        match answer.status.as_u16() {
            429 => {
                let wait: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
                assert!((1..=60).contains(&wait));
                answer.problem(429, "rate_limited");
            }
            _ => passed += 1,
        }
    }
    passed
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_settings() {
    let server = Server::start_with(&[
        ("ROOMLOG_RATE_LOG_INS_ADDRESS", "5"),
        ("ROOMLOG_RATE_LOG_INS_NAME", "7"),
        ("ROOMLOG_RATE_SOCKETS", "3"),
        ("ROOMLOG_TRUSTED_PROXIES", "127.0.0.1"),
    ])
    .await;
    let ada = server.account("ada").await;
    // Through a proxy on this machine, from an address that the client cannot choose.
    let log_in = async |client: &str, login: &str| {
        let request = server.http.post(format!("{}/v1/sessions", server.url));
        let request = request.header("x-forwarded-for", format!("198.51.100.99, {client}"));
        support::Answer::of(request.json(&json!({"login": login, "password": "wrong"}))).await
    };
    assert_eq!(passed(20, async || log_in("203.0.113.1", "nobody").await).await, 5);
    assert_eq!(passed(20, async || log_in("203.0.113.2", "Ada").await).await, 5);
    assert_eq!(passed(20, async || log_in("203.0.113.3", "ada").await).await, 1, "the name's, folded, is up");

    let mut opened = 0;
    for _ in 0..6 {
        let bearer = format!("Bearer {}", ada.token);
        opened += usize::from(support::stream::connect(&server, &[("authorization", &bearer)]).await.is_ok());
    }
    assert_eq!(opened, 3);
    let metrics = get(&server, "/metrics", None).await.2;
    for limit in ["log_ins_address", "log_ins_name", "sockets"] {
        let counted = metrics.contains(&format!("roomlog_rate_limited_total{{limit=\"{limit}\"}}"));
        assert!(counted, "{limit}: {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_on_the_socket_and_over_rest_share_a_limit() {
    let server = Server::start_with(&[("ROOMLOG_RATE_COMMANDS", "1")]).await;
    let ada = server.account("ada").await;
    let room = server.room(&ada, "Lounge").await;
    let mut stream = support::stream::Stream::open(&server, &ada, json!({})).await;
    for id in 0..20 {
        let text = format!("{id}");
        stream
            .send(json!({"type": "command", "id": text, "command": "send_message", "room_id": room, "text": text}))
            .await;
    }
    let mut refused = None;
    while refused.is_none() {
        refused = Some(stream.next().await.unwrap()).filter(|frame| frame["type"] == "rejected");
    }
    let problem = &refused.unwrap()["problem"];
    // A socket may only have so many unanswered commands, too.
    assert!(["rate_limited", "too_many_commands"].contains(&problem["code"].as_str().unwrap()), "{problem}");
    let path = format!("/v1/rooms/{room}/messages");
    let sent = passed(20, async || server.post(&path, &ada.token, json!({"text": "a"})).await).await;
    assert!(sent < 20, "{sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_takes_up_a_key_that_was_added() {
    let mut server = Server::start().await;
    let ada = server.account("ada").await;
    // The header names the key, and nothing else that differs.
    let id_of = |token: &str| token.split('.').next().unwrap().to_owned();
    server.kill().await;
    assert!(keys(&server, &["rotate", "--after", "0"]).await.0);
    server.start_again().await;
    let session = server.log_in("ada").await.created();
    let token = session["access_token"].as_str().unwrap();
    assert_ne!(id_of(token), id_of(&ada.token), "the new key signs");
    for token in [token, &ada.token] {
        server.get("/v1/rooms", token).await.ok();
    }
    let (_, _, published) = get(&server, "/.well-known/jwks.json", None).await;
    let published: Value = serde_json::from_str(&published).unwrap();
    assert_eq!(published["keys"].as_array().unwrap().len(), 2);
}
