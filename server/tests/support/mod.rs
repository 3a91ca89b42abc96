//! The real binary as a process of its own, and clients of it.
#![allow(dead_code, reason = "each test file uses a part")]

pub mod shared;
pub mod stream;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

/// Nothing in a test may take longer.
pub const DEADLINE: Duration = Duration::from_secs(30);
pub const PASSWORD: &str = "correct horse battery";

pub fn roomlog() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roomlog"));
    command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .env_remove("ROOMLOG_LOG")
        .env_remove("ROOMLOG_ROOM_STORE")
        .env_remove("ROOMLOG_SQL_STORE")
        .env("ROOMLOG_LOG_LEVEL", "warn");
    command
}

/// A server on a data folder and an address that outlive it.
pub struct Server {
    child: Option<Child>,
    pub data: TempDir,
    settings: Vec<(String, String)>,
    pub api: Api,
}

impl std::ops::Deref for Server {
    type Target = Api;

    fn deref(&self) -> &Api {
        &self.api
    }
}

/// A client over REST.
#[derive(Debug, Clone)]
pub struct Api {
    pub url: String,
    pub http: Client,
}

impl Server {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        let settings =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut server = Self {
            child: None,
            data: TempDir::new().unwrap(),
            settings,
            api: Api { url: String::new(), http: Client::builder().timeout(DEADLINE).build().unwrap() },
        };
        server.start_again().await;
        server
    }

    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Starts on the same data; ready when this returns.
    pub async fn start_again(&mut self) {
        assert!(self.child.is_none(), "already running");
        let address = self.url.strip_prefix("http://").unwrap_or("127.0.0.1:0");
        let mut child = roomlog()
            .env("ROOMLOG_LISTEN", address)
            .env("ROOMLOG_DATA", self.data())
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some((_, url)) = line.split_once("listening on ") {
                    return url.to_owned();
                }
            }
            panic!("the server ended before it listened");
        };
        self.api.url = timeout(DEADLINE, listening).await.expect("the server listens in time");
        // What it prints later must not block it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        self.child = Some(child);
        let until = Instant::now() + DEADLINE;
        while self
            .http
            .get(format!("{}/readyz", self.url))
            .send()
            .await
            .is_ok_and(|r| !r.status().is_success())
        {
            assert!(Instant::now() < until, "the server is ready in time");
            tokio::task::yield_now().await;
        }
    }

    /// `kill -9`.
    pub async fn kill(&mut self) {
        self.child.take().expect("running").kill().await.unwrap();
    }

    /// SIGTERM; returns when the process has ended by itself.
    pub async fn stop(&mut self) -> std::process::ExitStatus {
        let mut child = self.child.take().expect("running");
        let pid = child.id().expect("running").to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        timeout(DEADLINE, child.wait()).await.expect("the server stops in time").unwrap()
    }
}

impl Api {
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        who: Option<&str>,
        body: Option<Value>,
    ) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(token) = who {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        Answer::of(request).await
    }

    pub async fn get(&self, path: &str, who: &str) -> Answer {
        self.request(Method::GET, path, Some(who), None).await
    }

    pub async fn post(&self, path: &str, who: &str, body: Value) -> Answer {
        self.request(Method::POST, path, Some(who), Some(body)).await
    }

    /// Registers an account and logs it in.
    pub async fn account(&self, name: &str) -> Account {
        let body = json!({"email": format!("{name}@example.org"), "username": name, "password": PASSWORD});
        let registered = self.request(Method::POST, "/v1/accounts", None, Some(body)).await.created();
        let session = self.log_in(name).await.created();
        assert_eq!(session["account_id"], registered["account_id"]);
        Account {
            id: session["account_id"].as_str().unwrap().to_owned(),
            token: session["access_token"].as_str().unwrap().to_owned(),
            refresh_token: session["refresh_token"].as_str().unwrap().to_owned(),
        }
    }

    pub async fn log_in(&self, login: &str) -> Answer {
        self.request(Method::POST, "/v1/sessions", None, Some(json!({"login": login, "password": PASSWORD})))
            .await
    }

    pub async fn room(&self, owner: &Account, name: &str) -> String {
        let room = self.post("/v1/rooms", &owner.token, json!({"name": name})).await.created();
        room["room_id"].as_str().unwrap().to_owned()
    }

    pub async fn join(&self, who: &Account, room: &str) -> Value {
        self.request(Method::PUT, &format!("/v1/rooms/{room}/members/me"), Some(&who.token), None).await.ok()
    }

    pub async fn leave(&self, who: &Account, room: &str) -> Value {
        self.request(Method::DELETE, &format!("/v1/rooms/{room}/members/me"), Some(&who.token), None)
            .await
            .ok()
    }

    pub async fn send(&self, who: &Account, room: &str, text: &str) -> Value {
        self.post(&format!("/v1/rooms/{room}/messages"), &who.token, json!({"text": text})).await.created()
    }

    /// Sends with a key until there is an answer, whatever happens to the server meanwhile.
    pub async fn try_send(&self, who: &Account, room: &str, text: &str, key: Uuid) -> Option<Answer> {
        let request = self
            .http
            .post(format!("{}/v1/rooms/{room}/messages", self.url))
            .bearer_auth(&who.token)
            .header("Idempotency-Key", key.to_string())
            .json(&json!({ "text": text }));
        Answer::try_of(request).await
    }

    /// The whole history of a room, oldest first, by pages of this size.
    pub async fn history(&self, who: &Account, room: &str, page: usize, position: &str) -> Vec<Value> {
        let mut all: Vec<Value> = Vec::new();
        let mut after = 0;
        loop {
            let path = format!(
                "/v1/rooms/{room}/messages?after_seq={after}&limit={page}&min_position={position}&wait_ms=20000"
            );
            let items = self.get(&path, &who.token).await.ok()["items"].as_array().unwrap().clone();
            let Some(last) = items.last() else { return all };
            after = last["seq"].as_u64().unwrap();
            all.extend(items);
        }
    }
}

#[derive(Debug, Clone)]
pub struct Account {
    pub id: String,
    pub token: String,
    pub refresh_token: String,
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    pub async fn of(request: reqwest::RequestBuilder) -> Self {
        Self::try_of(request).await.expect("the server answers")
    }

    async fn try_of(request: reqwest::RequestBuilder) -> Option<Self> {
        let response = request.send().await.ok()?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.ok()?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Some(Self { status, headers, body })
    }

    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        self.body
    }

    #[track_caller]
    pub fn created(self) -> Value {
        assert_eq!(self.status, StatusCode::CREATED, "{}", self.body);
        self.body
    }

    /// Checks that this is a problem of that code, as every problem must look.
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) -> Value {
        assert_eq!((self.status.as_u16(), self.body["code"].as_str()), (status, Some(code)), "{}", self.body);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert!(self.headers.contains_key("x-request-id"));
        self.body
    }
}

/// The brokers of a real Kafka. `None` skips the test, which is said and fails where it may not be.
pub fn kafka() -> Option<String> {
    named("ROOMLOG_TEST_KAFKA", "ROOMLOG_TEST_REQUIRE_KAFKA")
}

/// Where a server to test with is, likewise.
fn named(setting: &str, required: &str) -> Option<String> {
    match std::env::var(setting) {
        Ok(place) if !place.is_empty() => Some(place),
        _ => {
            assert!(std::env::var_os(required).is_none(), "{required} is set and {setting} is not");
            eprintln!("skipped: {setting} is not set");
            None
        }
    }
}

/// Settings of a server on a log of its own in that Kafka.
pub fn on_kafka(brokers: &str) -> Vec<(String, String)> {
    [
        ("ROOMLOG_LOG", "kafka"),
        ("ROOMLOG_KAFKA_BROKERS", brokers),
        ("ROOMLOG_KAFKA_TOPIC_PREFIX", &format!("t{}-", Uuid::new_v4().simple())),
        ("ROOMLOG_KAFKA_ALLOW_WEAK", "true"),
        ("ROOMLOG_KAFKA_REPLICATION", "1"),
        ("ROOMLOG_KAFKA_MIN_ISR", "1"),
        ("ROOMLOG_PARTITIONS_ACCOUNTS", "2"),
        ("ROOMLOG_PARTITIONS_ROOMS", "3"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}
