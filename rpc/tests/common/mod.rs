//! Servers with writers and commands that do what a test wants.

// Each test binary uses some of it; clippy knows the tests themselves, not what they share.
#![allow(dead_code, clippy::unwrap_used, reason = "shared by tests")]

use std::path::Path;
use std::process::Command as Process;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use roomlog_command_api::forward::{LocalWriters, PeerAnswer};
use roomlog_command_api::writer::Request;
use roomlog_command_api::writer::driver::clock_ms;
use roomlog_domain::{Command, Context};
use roomlog_eventlog::TopicPartition;
use roomlog_rpc::{GrpcPeers, Pool, Services, TlsConfig, Transport, TransportOptions, serve};
use roomlog_schemas::{AccountId, RoomId};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// No step of a test takes nearly as long.
pub const DEADLINE: Duration = Duration::from_secs(20);

pub const ROOMS_3: TopicPartition = TopicPartition::rooms(3);

pub fn plain() -> Transport {
    Transport::new(&TransportOptions { tls: None, allow_plain: true }).unwrap()
}

pub fn plain_peers() -> GrpcPeers {
    GrpcPeers::new(Pool::new(plain()))
}

/// A CA of its own, with a certificate for this machine.
pub fn certificates() -> (TempDir, TlsConfig) {
    let folder = TempDir::new().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/tls/make-dev-certs.sh");
    let made = Process::new("sh").arg(script).arg(folder.path()).output().expect("a shell");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let [cert_file, key_file, ca_file] =
        ["process.pem", "process.key", "ca.pem"].map(|name| folder.path().join(name));
    (folder, TlsConfig { cert_file, key_file, ca_file, server_name: None })
}

pub fn tls(config: &TlsConfig) -> Transport {
    Transport::new(&TransportOptions { tls: Some(config.clone()), allow_plain: false }).unwrap()
}

/// A process: a server with a runtime of its own, so that it can die.
pub struct Server {
    pub address: String,
    runtime: Option<Runtime>,
    stop: CancellationToken,
}

impl Server {
    pub async fn start(services: Services) -> Self {
        Self::start_with(plain(), services).await
    }

    pub async fn start_with(transport: Transport, services: Services) -> Self {
        Self::start_at("127.0.0.1:0", transport, services).await
    }

    pub async fn start_at(at: &str, transport: Transport, services: Services) -> Self {
        let listener = std::net::TcpListener::bind(at).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = format!("{}://{}", transport.scheme(), listener.local_addr().unwrap());
        let runtime = Runtime::new().unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            serve(listener, &transport, services, stopped).await.unwrap();
        });
        Self { address, runtime: Some(runtime), stop }
    }

    /// Ends properly, with the calls under way.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Ends at once: connections break.
    pub fn die(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.die();
    }
}

type Answering = Box<dyn Fn(Request) -> BoxFuture<'static, PeerAnswer> + Send + Sync>;

/// Writers that keep what they were asked.
pub struct FakeWriters {
    pub asked: Mutex<Vec<(TopicPartition, Request, u8)>>,
    answering: Answering,
}

impl FakeWriters {
    pub fn new(
        answering: impl Fn(Request) -> BoxFuture<'static, PeerAnswer> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { asked: Mutex::default(), answering: Box::new(answering) })
    }

    pub fn answering(answer: PeerAnswer) -> Arc<Self> {
        Self::new(move |_| Box::pin(std::future::ready(answer.clone())))
    }

    /// Never answers.
    pub fn hanging() -> Arc<Self> {
        Self::new(|_| Box::pin(std::future::pending()))
    }

    pub fn services(self: &Arc<Self>) -> Services {
        Services { writers: Some(self.clone()), ..Services::default() }
    }

    pub async fn wait_until_asked(&self) {
        until(|| !self.asked.lock().unwrap().is_empty()).await;
    }
}

#[async_trait]
impl LocalWriters for FakeWriters {
    async fn run_local(&self, partition: TopicPartition, request: Request, hops_left: u8) -> PeerAnswer {
        self.asked.lock().unwrap().push((partition, request.clone(), hops_left));
        (self.answering)(request).await
    }

    async fn imported_local(&self, partition: TopicPartition, room: RoomId, source: String) -> Option<u64> {
        (partition == ROOMS_3 && room == RoomId(Uuid::from_u128(5)) && source == "irc").then_some(77)
    }
}

pub fn request(within: Duration) -> Request {
    let account = AccountId(Uuid::from_u128(1));
    Request {
        actor: Some(account),
        key: None,
        command: Command::JoinRoom { room_id: RoomId(Uuid::from_u128(2)), account_id: account },
        context: Context::default(),
        deadline: clock_ms() + within.as_millis() as i64,
        traceparent: None,
    }
}

pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(done) => done,
        Err(_) => panic!("{what}: not within {DEADLINE:?}"),
    }
}

pub async fn until(condition: impl Fn() -> bool) {
    let reached = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within("a condition", reached).await;
}
