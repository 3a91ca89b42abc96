//! The real router over SQLite stores that the real projectors fill from a log in memory.

#![allow(dead_code, reason = "each test file uses some of it")]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::{Router, http};
use http_body_util::BodyExt;
use roomlog_eventlog::PartitionCounts;
use roomlog_projectors::Stores;
use roomlog_projectors::testing::{World, project, sqlite_stores};
use roomlog_query_api::{Limits, QueryApi, router};
use roomlog_schemas::{AccountId, SessionId};
use roomlog_stores::progress::Progress;
use roomlog_stores::quarantine::Quarantine;
use roomlog_stores::{DirectoryStore, RoomStore};
use roomlog_web::token::Tokens;
use roomlog_web::{Auth, EndedSessions, Position};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;
use utoipa::openapi::OpenApi;

/// That every token is for.
const SESSION: SessionId = SessionId::from_u128(7);

pub struct Fixture {
    pub world: World,
    pub stores: Stores,
    pub router: Router,
    pub document: OpenApi,
    pub progress: Arc<Progress>,
    tokens: Tokens,
    ended: EndedSessions,
    _folder: TempDir,
}

pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Fixture {
    /// An empty platform.
    pub async fn new() -> Self {
        Self::with_limits(Limits::default()).await
    }

    pub async fn with_limits(limits: Limits) -> Self {
        Self::with_rooms(limits, |stores| stores.rooms.clone()).await
    }

    /// With another room store before the real one, for the queries only.
    pub async fn with_rooms(limits: Limits, rooms: impl FnOnce(&Stores) -> Arc<dyn RoomStore>) -> Self {
        Self::with_stores(limits, |stores| (rooms(stores), stores.directory.clone())).await
    }

    /// With stores that know of a quarantine.
    pub async fn guarded(limits: Limits, quarantine: &Quarantine) -> Self {
        Self::with_stores(limits, |stores| {
            let rooms = quarantine.guard_rooms(stores.rooms.clone());
            (rooms, quarantine.guard_directory(stores.directory.clone()))
        })
        .await
    }

    async fn with_stores(
        limits: Limits,
        before: impl FnOnce(&Stores) -> (Arc<dyn RoomStore>, Arc<dyn DirectoryStore>),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stores = sqlite_stores(folder.path()).await;
        let world = World::new(1, PartitionCounts { accounts: 1, rooms: 2 }, stores.sealer.clone()).await;
        let (tokens, ended) = (Tokens::new(&[3; 32]), EndedSessions::default());
        let progress = Arc::new(Progress::default());
        let (rooms, directory) = before(&stores);
        let api = QueryApi {
            auth: Auth::new(tokens.clone(), "administrator").refusing(ended.clone()),
            rooms,
            directory,
            sealer: stores.sealer.clone(),
            progress: progress.clone(),
            limits,
        };
        let (router, document) = router(api).split_for_parts();
        Self { world, stores, router, document, progress, tokens, ended, _folder: folder }
    }

    /// Brings the stores up to date with the world.
    pub async fn project(&self) {
        project(&self.world.log.log(), &self.stores).await;
    }

    /// The world's last command.
    pub fn position(&self) -> Position {
        let (partition, offset) = self.world.last;
        Position { partition, offset }
    }

    pub fn token(&self, account: AccountId, lifetime: Duration) -> String {
        self.tokens.issue(account, SESSION, lifetime)
    }

    /// Ends the session that every token is for.
    pub fn end_session(&self) {
        self.ended.insert(SESSION);
    }

    /// One whose time is over.
    pub async fn expired_token(&self, account: AccountId) -> String {
        let token = self.token(account, Duration::ZERO);
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.tokens.verify(&token).is_ok() {
            assert!(Instant::now() < deadline, "a token without lifetime expires");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        token
    }

    pub async fn get(&self, account: AccountId, path: &str) -> Reply {
        self.get_with(path, &format!("Bearer {}", self.token(account, Duration::from_secs(60)))).await
    }

    pub async fn get_with(&self, path: &str, authorization: &str) -> Reply {
        let mut request = Request::get(path);
        if !authorization.is_empty() {
            request = request.header(http::header::AUTHORIZATION, authorization);
        }
        let response = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Reply { status: parts.status, headers: parts.headers, body }
    }
}

impl Reply {
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        self.body
    }

    /// It is a problem with this status and code.
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) -> Value {
        assert_eq!((self.status.as_u16(), self.body["code"].as_str()), (status, Some(code)), "{}", self.body);
        assert_eq!(self.headers[http::header::CONTENT_TYPE], "application/problem+json");
        self.body
    }
}

pub fn items(page: &Value) -> &[Value] {
    page["items"].as_array().map_or(&[], Vec::as_slice)
}

/// One field of every item.
pub fn fields<'a>(page: &'a Value, name: &str) -> Vec<&'a Value> {
    items(page).iter().map(|item| &item[name]).collect()
}
