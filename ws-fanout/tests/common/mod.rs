//! What the tests of the stream share: a log, stores, the stream behind a real listener, and clients.

#![allow(dead_code, reason = "each test file uses some of it")]
#![allow(clippy::unwrap_used, reason = "tests")]

pub mod client;
pub mod commands;
pub mod faults;
pub mod secrets;
pub mod signals;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use roomlog_eventlog::{EventLog, PartitionCounts};
use roomlog_projectors::Stores;
use roomlog_projectors::testing::{Running, World, sqlite_stores, start_signalling};
use roomlog_schemas::{AccountId, RoomId, SessionEnded, SessionId};
use roomlog_stores::progress::Progress;
use roomlog_stores::secrets::Session;
use roomlog_stores::sqlite::SqliteSecretsStore;
use roomlog_stores::{MasterKey, RoomStore, Sealer, SecretsStore};
use roomlog_web::Auth;
use roomlog_web::token::Tokens;
use roomlog_ws_fanout::{Fanout, FanoutDeps, Handle, Options, State};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::client::{Client, Handshake};
use self::commands::StubCommands;
use self::secrets::FaultySecrets;
use self::signals::FaultySignals;

pub const PARTITIONS: PartitionCounts = PartitionCounts { accounts: 1, rooms: 2 };
/// Longest that a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);
pub const SESSION: SessionId = SessionId::from_u128(0x5e55);

/// A log with its stores, and what writes and reads them.
pub struct Fixture {
    pub world: World,
    pub stores: Stores,
    pub tokens: Tokens,
    pub commands: Arc<StubCommands>,
    pub secrets: Arc<FaultySecrets>,
    pub signals: Arc<FaultySignals>,
    projectors: Option<Running>,
    folder: TempDir,
}

impl Fixture {
    /// Without projectors.
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stores = sqlite_stores(folder.path()).await;
        let world = World::new(1, PARTITIONS, stores.sealer.clone()).await;
        let tokens = Tokens::new(&[3; 32]);
        let inner = SqliteSecretsStore::open(folder.path()).await.unwrap();
        let secrets = Arc::new(FaultySecrets { inner: Arc::new(inner), is_away: false.into() });
        let (commands, signals) = (Arc::default(), Arc::default());
        let this = Self { world, stores, tokens, commands, secrets, signals, projectors: None, folder };
        // Whose it is makes no difference here.
        this.log_in(AccountId::from_u128(0), SESSION).await;
        this
    }

    pub async fn log_in(&self, account: AccountId, session: SessionId) {
        let session = Session {
            session_id: session,
            account_id: account,
            refresh_hash: hash_of(session),
            created_at_ms: 0,
            expires_at_ms: i64::MAX,
        };
        self.secrets.create_session(&session).await.unwrap();
    }

    /// As a log-out does it: first in the store, then in the log.
    pub async fn end_session(&mut self, account: AccountId, session: SessionId) {
        assert!(self.secrets.revoke_session(account, session, 0).await.unwrap());
        let partition = self.world.log.account_partition(account);
        let event = SessionEnded { account_id: account, session_id: session }.into();
        self.world.log.command(partition, "end_session", &[event]).await;
    }

    /// With projectors at work.
    pub async fn running() -> Self {
        let mut this = Self::new().await;
        this.start_projectors();
        this
    }

    pub fn log(&self) -> Arc<dyn EventLog> {
        self.world.log.log()
    }

    pub fn start_projectors(&mut self) {
        self.projectors = Some(start_signalling(self.log(), self.stores.clone(), self.signals.clone()));
    }

    /// What is written from now on stays out of the stores.
    pub async fn stop_projectors(&mut self) {
        self.projected().await;
        if let Some(projectors) = self.projectors.take() {
            projectors.stop().await.unwrap();
        }
    }

    /// Waits until the stores hold everything.
    pub async fn projected(&self) {
        if let Some(projectors) = &self.projectors {
            projectors.caught_up(&self.log()).await;
        }
    }

    /// The same keys through another store, which can go away, and without a memory of them.
    pub async fn keys_that_can_go_away(&self) -> (Sealer, Arc<FaultySecrets>) {
        let inner = SqliteSecretsStore::open(&self.folder.path().join("secrets.sqlite")).await.unwrap();
        let secrets = Arc::new(FaultySecrets { inner: Arc::new(inner), is_away: false.into() });
        let master = MasterKey::from_hex(&"07".repeat(32)).unwrap();
        (Sealer::new(secrets.clone(), master, 1), secrets)
    }

    pub fn token(&self, account: AccountId) -> String {
        self.token_of(account, SESSION)
    }

    pub fn token_of(&self, account: AccountId, session: SessionId) -> String {
        self.tokens.issue(account, session, Duration::from_secs(900))
    }

    pub fn deps(&self) -> FanoutDeps {
        FanoutDeps {
            log: self.log(),
            identity: self.world.log.identity(),
            rooms: self.stores.rooms.clone(),
            directory: self.stores.directory.clone(),
            secrets: self.secrets.clone(),
            signals: Some(self.signals.clone()),
            sealer: self.stores.sealer.clone(),
            progress: self.projectors.as_ref().map_or_else(Arc::<Progress>::default, |p| p.progress.clone()),
            auth: Auth::new(self.tokens.clone(), "administrator"),
            commands: self.commands.clone(),
        }
    }

    pub async fn serve(&self) -> Server {
        self.serve_with(Options::default()).await
    }

    pub async fn serve_with(&self, options: Options) -> Server {
        Server::start(self.deps(), options).await
    }

    /// The stream over another room store.
    pub async fn serve_over(&self, rooms: Arc<dyn RoomStore>, options: Options) -> Server {
        Server::start(FanoutDeps { rooms, ..self.deps() }, options).await
    }

    /// A socket that has not started.
    pub async fn open(&self, server: &Server, account: AccountId) -> Client {
        Handshake::new(server.address).token(&self.token(account)).open().await.unwrap()
    }

    /// A socket that has started from here; with what it was told.
    pub async fn start(
        &self,
        server: &Server,
        account: AccountId,
        since: &[(RoomId, u64)],
    ) -> (Client, serde_json::Value) {
        let mut client = self.open(server, account).await;
        let started = client.start(since).await;
        (client, started)
    }

    /// Sends so many messages with numbered texts.
    pub async fn send(&mut self, room: RoomId, author: AccountId, count: usize) {
        for _ in 0..count {
            let text = format!("text {}", self.world.rooms[&room].timeline.len() + 1);
            self.world.send(room, author, &text).await;
        }
    }

    pub fn last_seq(&self, room: RoomId) -> u64 {
        self.world.rooms[&room].timeline.len() as u64
    }
}

/// The stream behind a listener of its own.
pub struct Server {
    pub address: SocketAddr,
    pub handle: Handle,
    shutdown: CancellationToken,
    fanout: JoinHandle<()>,
    http: JoinHandle<()>,
}

impl Server {
    pub async fn start(deps: FanoutDeps, options: Options) -> Self {
        let this = Self::start_unready(deps, options).await;
        eventually("the stream is ready", || this.handle.is_ready()).await;
        this
    }

    pub async fn start_unready(deps: FanoutDeps, options: Options) -> Self {
        let fanout = Fanout::new(deps, options);
        let (router, handle) = (fanout.router(), fanout.handle());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let http = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let shutdown = CancellationToken::new();
        let fanout = tokio::spawn(fanout.run(shutdown.clone()));
        Self { address, handle, shutdown, fanout, http }
    }

    /// Everything below has been delivered, where anybody wants it.
    pub async fn has_processed(&self, log: &Arc<dyn EventLog>) {
        for status in self.handle.statuses() {
            let end = log.end(status.partition).await.unwrap();
            eventually("the tail is at the end", || {
                self.handle.statuses().iter().any(|now| {
                    now.partition == status.partition && (now.next_offset >= end || now.state == State::Idle)
                })
            })
            .await;
        }
    }

    /// Asks it to end; the answer waits until it has.
    pub fn stop(self) -> JoinHandle<()> {
        self.shutdown.cancel();
        tokio::spawn(async move {
            self.fanout.await.unwrap();
            self.http.abort();
        })
    }

    /// As if the process had died.
    pub fn kill(self) {
        self.fanout.abort();
        self.http.abort();
    }
}

/// One that no other session has.
fn hash_of(session: SessionId) -> [u8; 32] {
    let mut hash = [0; 32];
    hash[..16].copy_from_slice(session.0.as_bytes());
    hash
}

/// Waits until this holds.
pub async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
