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
    assert!(!keys(&server, &["revoke", &first]).await.0, "it signs");

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

    assert!(keys(&server, &["revoke", &first]).await.0);
    assert!(!keys(&server, &["revoke", &first]).await.0, "it is gone");
    assert_eq!(keys(&server, &["list", "--json"]).await.1.len(), 2);
}
