//! Every kind of bad input has its answer, and none is a 500.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::stream::{self, Stream};
use support::{Account, Answer, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite;

const NOBODY: &str = "00000000-0000-8000-8000-000000000000";

struct Scene {
    server: Server,
    ada: Account,
    room: String,
}

async fn scene() -> Scene {
    let server = Server::start().await;
    let ada = server.account("ada").await;
    let room = server.room(&ada, "Lounge").await;
    Scene { server, ada, room }
}

impl Scene {
    fn messages(&self) -> String {
        format!("/v1/rooms/{}/messages", self.room)
    }

    /// A body as it is, whatever it is.
    async fn raw(&self, path: &str, content_type: &str, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.server.http.post(format!("{}{path}", self.server.url));
        Answer::of(request.bearer_auth(&self.ada.token).header("content-type", content_type).body(body)).await
    }

    async fn with_key(&self, key: &str, text: &str) -> Answer {
        let request = self.server.http.post(format!("{}{}", self.server.url, self.messages()));
        let request = request.bearer_auth(&self.ada.token).header("Idempotency-Key", key);
        Answer::of(request.json(&json!({ "text": text }))).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies() {
    let s = scene().await;
    let json = "application/json";
    s.raw(&s.messages(), json, "{").await.problem(400, "malformed_json");
    s.raw(&s.messages(), json, "").await.problem(400, "malformed_json");
    s.raw(&s.messages(), json, vec![b'"', 0xff, b'"']).await.problem(400, "malformed_json");
    s.raw(&s.messages(), json, "[]").await.problem(422, "invalid_body");
    s.raw(&s.messages(), json, r#"{"text":7}"#).await.problem(422, "invalid_body");
    s.raw(&s.messages(), json, r#"{}"#).await.problem(422, "invalid_body");
    s.raw(&s.messages(), json, r#"{"text":"a","colour":"red"}"#).await.problem(422, "invalid_body");
    s.raw(&s.messages(), json, r#"{"text":"a","reply_to":"nonsense"}"#).await.problem(422, "invalid_body");
    s.raw(&s.messages(), "text/plain", r#"{"text":"a"}"#).await.problem(415, "unsupported_media_type");
    s.raw(&s.messages(), json, vec![b' '; 600 * 1024]).await.problem(413, "body_too_large");
    s.raw(&s.messages(), json, format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)))
        .await
        .problem(422, "invalid_body");
    let long = json!({"text": "a".repeat(64 * 1024 + 1)});
    s.server.post(&s.messages(), &s.ada.token, long).await.problem(422, "text_too_long");
    let longest = json!({"text": "\u{1}".repeat(64 * 1024)});
    s.server.post(&s.messages(), &s.ada.token, longest).await.created();
    s.server.post(&s.messages(), &s.ada.token, json!({"text": " \n"})).await.problem(422, "text_empty");
    let unknown_reply = json!({"text": "a", "reply_to": NOBODY});
    s.server.post(&s.messages(), &s.ada.token, unknown_reply).await.problem(422, "reply_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_queries_and_methods() {
    let s = scene().await;
    // What is asked about below is in the stores.
    let sent = s.server.send(&s.ada, &s.room, "hello").await;
    s.server.history(&s.ada, &s.room, 10, sent["position"].as_str().unwrap()).await;
    let get = async |path: &str| s.server.get(path, &s.ada.token).await;
    get("/v1/rooms/nonsense").await.problem(400, "invalid_path");
    get("/v1/rooms/%ff").await.problem(400, "invalid_path");
    get(&format!("/v1/rooms/{NOBODY}")).await.problem(404, "room_not_found");
    get(&format!("/v1/rooms/{NOBODY}/messages")).await.problem(404, "room_not_found");
    get(&format!("{}/{NOBODY}", s.messages())).await.problem(404, "message_not_found");
    get(&format!("{}?limit=0", s.messages())).await.problem(400, "invalid_query");
    get(&format!("{}?limit=many", s.messages())).await.problem(400, "invalid_query");
    get(&format!("{}?before_seq=-1", s.messages())).await.problem(400, "invalid_query");
    for seq in ["before_seq", "after_seq"] {
        get(&format!("{}?{seq}=9223372036854775807", s.messages())).await.ok();
        get(&format!("{}?{seq}=9223372036854775808", s.messages())).await.problem(400, "invalid_query");
    }
    get(&format!("/v1/rooms/{}/events?from_seq=9223372036854775808", s.room))
        .await
        .problem(400, "invalid_query");
    get(&format!("{}?wait_ms=18446744073709551616", s.messages())).await.ok();
    get(&format!("{}?min_position=r+0-0", s.messages())).await.problem(400, "invalid_query");
    get(&format!("{}?before_seq=1&after_seq=1", s.messages())).await.problem(400, "invalid_query");
    get(&format!("{}?min_position=nonsense", s.messages())).await.problem(400, "invalid_query");
    let far = get(&format!("{}?min_position=r0-ffffffff&wait_ms=1", s.messages())).await;
    assert!(far.headers.contains_key("retry-after"));
    far.problem(503, "not_up_to_position");
    get("/v1/rooms?cursor=nonsense").await.problem(400, "invalid_query");
    get("/v1/nothing").await.problem(404, "route_not_found");
    s.server
        .request(Method::PATCH, "/v1/rooms", Some(&s.ada.token), None)
        .await
        .problem(405, "method_not_allowed");
    s.server
        .post(&format!("/v1/rooms/{NOBODY}/messages"), &s.ada.token, json!({"text": "a"}))
        .await
        .problem(404, "room_not_found");
    let parent = json!({"name": "a", "parent_id": NOBODY});
    s.server.post("/v1/rooms", &s.ada.token, parent).await.problem(404, "parent_not_found");
    for (name, code) in [("", "invalid_name"), ("a\u{7}", "invalid_name")] {
        s.server.post("/v1/rooms", &s.ada.token, json!({ "name": name })).await.problem(422, code);
    }
    let direct = json!({"name": "a", "kind": "direct"});
    s.server.post("/v1/rooms", &s.ada.token, direct).await.problem(422, "kind_not_available");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens() {
    let s = scene().await;
    s.server.request(Method::GET, "/v1/rooms", None, None).await.problem(401, "unauthorized");
    s.server.get("/v1/rooms", "nonsense").await.problem(401, "token_invalid");
    let mut altered = s.ada.token.clone();
    altered.pop();
    altered.push(if s.ada.token.ends_with('A') { 'B' } else { 'A' });
    s.server.get("/v1/rooms", &altered[..altered.len() - 4]).await.problem(401, "token_invalid");
    let basic = s.server.http.get(format!("{}/v1/rooms", s.server.url)).basic_auth("ada", Some("a"));
    Answer::of(basic).await.problem(401, "unauthorized");
    s.server
        .post("/v1/imports/x/lines", &s.ada.token, json!({"room": "a", "lines": []}))
        .await
        .problem(403, "administrator_only");

    // Refresh tokens are good once; one that comes again ends the session.
    let refresh = async |token: &str| {
        s.server
            .request(Method::POST, "/v1/sessions/refresh", None, Some(json!({"refresh_token": token})))
            .await
    };
    let next = refresh(&s.ada.refresh_token).await.created();
    s.server.get("/v1/rooms", next["access_token"].as_str().unwrap()).await.ok();
    refresh(&s.ada.refresh_token).await.problem(401, "refresh_token_reused");
    let ended = refresh(next["refresh_token"].as_str().unwrap()).await;
    assert_eq!(ended.status, StatusCode::UNAUTHORIZED);
    refresh("nonsense").await.problem(401, "refresh_token_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts() {
    let s = scene().await;
    let register = async |email: &str, username: &str, password: &str| {
        let body = json!({"email": email, "username": username, "password": password});
        s.server.request(Method::POST, "/v1/accounts", None, Some(body)).await
    };
    register("a@b", "", "correct horse").await.problem(422, "invalid_username");
    register("nonsense", "a", "correct horse").await.problem(422, "invalid_email");
    register("a@b", "a", "short").await.problem(422, "invalid_password");
    register("new@example.org", "ADA", "correct horse").await.problem(409, "username_taken");
    register("ADA@example.org", "new", "correct horse").await.problem(409, "email_taken");
    s.server.log_in("nobody").await.problem(401, "wrong_credentials");
    let wrong = json!({"login": "ada", "password": "wrong horse battery"});
    s.server.request(Method::POST, "/v1/sessions", None, Some(wrong)).await.problem(401, "wrong_credentials");
    assert_eq!(s.server.log_in("ADA@Example.org").await.created()["account_id"], s.ada.id);

    // A registration with a key is repeatable; with another body it is refused.
    let key = uuid::Uuid::now_v7().to_string();
    let keyed = async |username: &str| {
        let body = json!({"email": "c@example.org", "username": username, "password": "correct horse"});
        Answer::of(
            s.server
                .http
                .post(format!("{}/v1/accounts", s.server.url))
                .header("Idempotency-Key", &key)
                .json(&body),
        )
        .await
    };
    let first = keyed("carl").await.created();
    assert_eq!(keyed("carl").await.created()["account_id"], first["account_id"]);
    keyed("other").await.problem(422, "key_reused");
}

#[tokio::test(flavor = "multi_thread")]
async fn idempotency_keys() {
    let s = scene().await;
    s.with_key("nonsense", "a").await.problem(400, "invalid_idempotency_key");
    s.with_key("0190163d-8694-439b-aea5-966c26f8ad91", "a").await.problem(400, "invalid_idempotency_key");
    s.with_key("0190163d-8694-739b-aea5-966c26f8ad91", "a").await.problem(409, "key_expired");
    s.with_key("ffffffff-ffff-7fff-bfff-ffffffffffff", "a").await.problem(409, "key_expired");
    let key = uuid::Uuid::now_v7().to_string();
    let first = s.with_key(&key, "a").await.created();
    assert_eq!(s.with_key(&key, "a").await.created(), first);
    s.with_key(&key, "b").await.problem(422, "key_reused");
    let history = s.server.history(&s.ada, &s.room, 10, first["position"].as_str().unwrap()).await;
    assert_eq!(history.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_member() {
    let s = scene().await;
    let bob = s.server.account("bob").await;
    s.server.post(&s.messages(), &bob.token, json!({"text": "a"})).await.problem(403, "not_a_member");
    s.server.get(&s.messages(), &bob.token).await.problem(404, "room_not_found");
    let vip = json!({"name": "Vault", "access": "vip"});
    let vip = s.server.post("/v1/rooms", &s.ada.token, vip).await.created();
    let vip = vip["room_id"].as_str().unwrap();
    let join = format!("/v1/rooms/{vip}/members/me");
    s.server.request(Method::PUT, &join, Some(&bob.token), None).await.problem(403, "invitation_required");
    s.server
        .post(&format!("/v1/rooms/{vip}/messages"), &bob.token, json!({"text": "a"}))
        .await
        .problem(404, "room_not_found");
    s.server.request(Method::DELETE, &join, Some(&bob.token), None).await.problem(404, "room_not_found");
    let leave = format!("/v1/rooms/{}/members/me", s.room);
    s.server.request(Method::DELETE, &leave, Some(&s.ada.token), None).await.problem(409, "last_owner");
    let sub = json!({"name": "Sub", "parent_id": s.room});
    s.server.post("/v1/rooms", &bob.token, sub.clone()).await.problem(403, "not_a_member");
    s.server.join(&bob, &s.room).await;
    s.server.post("/v1/rooms", &bob.token, sub.clone()).await.problem(403, "not_allowed");
    let sub = s.server.post("/v1/rooms", &s.ada.token, sub).await.created();
    let carl = s.server.account("carl").await;
    let join = format!("/v1/rooms/{}/members/me", sub["room_id"].as_str().unwrap());
    s.server
        .request(Method::PUT, &join, Some(&carl.token), None)
        .await
        .problem(403, "parent_membership_required");
    s.server.request(Method::PUT, &join, Some(&bob.token), None).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream() {
    let s = scene().await;
    let bearer = format!("Bearer {}", s.ada.token);
    let refused = async |headers: &[(&'static str, &str)]| match stream::connect(&s.server, headers).await {
        Err(tungstenite::Error::Http(response)) => {
            let body: Value = serde_json::from_slice(response.body().as_ref().unwrap()).unwrap();
            (response.status().as_u16(), body["code"].as_str().unwrap().to_owned())
        }
        other => panic!("not refused: {other:?}"),
    };
    assert_eq!(refused(&[]).await, (401, "unauthorized".into()));
    assert_eq!(refused(&[("authorization", "Bearer nonsense")]).await, (401, "token_invalid".into()));
    let foreign = [("authorization", bearer.as_str()), ("origin", "https://evil.example")];
    assert_eq!(refused(&foreign).await, (403, "origin_not_allowed".into()));
    s.server.get("/v1/stream", &s.ada.token).await;
    let mut stream = Stream::open(&s.server, &s.ada, json!({})).await;
    stream.send(json!({"type": "nonsense"})).await;
    assert_eq!(stream.next().await.unwrap()["code"], "malformed");
    assert_eq!(stream.next().await, None);
    s.server.send(&s.ada, &s.room, "still there").await;
}

/// Bytes that are no HTTP, slow and broken requests: the process goes on.
#[tokio::test(flavor = "multi_thread")]
async fn broken_connections() {
    let s = scene().await;
    let address = s.server.url.strip_prefix("http://").unwrap();
    for bytes in [
        &b"\x16\x03\x01 nonsense\r\n\r\n"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/rooms HTTP/1.1\r\ncontent-length: 10\r\n\r\nabc",
    ] {
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(bytes).await.unwrap();
        connection.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = connection.read_to_end(&mut answer).await;
        assert!(!String::from_utf8_lossy(&answer).contains(" 500 "));
    }
    let huge = format!("GET /livez HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(100_000));
    let mut connection = TcpStream::connect(address).await.unwrap();
    let _ = connection.write_all(huge.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer).await;
    s.server.send(&s.ada, &s.room, "still there").await;
    let metrics =
        s.server.http.get(format!("{}/metrics", s.server.url)).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("roomlog_commands_total"), "{metrics}");
    assert!(!metrics.contains("status=\"500\""));
}
