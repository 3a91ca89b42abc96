//! Connections to other processes, one for each address.

use std::collections::HashMap;
use std::error::Error;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use roomlog_command_api::forward::PeerError;
use tokio::sync::Semaphore;
use tokio::time::timeout_at;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, ConnectError, Response, Status};

use crate::Transport;
use crate::measure::{self, Method, Side};

/// For TCP, and again for TLS.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection that leaves a ping, sent this often, unanswered for the second duration is broken.
pub(crate) const PING_EVERY: Duration = Duration::from_secs(1);
pub(crate) const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// Calls that may be under way on one connection; further ones wait for one of them to end.
pub(crate) const CALLS_AT_ONCE: usize = 1024;
/// How long after its time an answer may still arrive.
const GRACE: Duration = Duration::from_millis(250);
/// Of an address that nobody has called for this long nothing is kept.
const KEPT_FOR: Duration = Duration::from_secs(600);

/// Connections that are made with the first call to an address, and again after they broke; cheap to
/// clone.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    transport: Transport,
    peers: Mutex<HashMap<String, Peer>>,
}

#[derive(Clone)]
struct Peer {
    channel: Channel,
    calls: Arc<Semaphore>,
    used: Instant,
}

impl Pool {
    pub fn new(transport: Transport) -> Self {
        Self { shared: Arc::new(Shared { transport, peers: Mutex::default() }) }
    }

    /// Makes one call and waits for its answer, little longer than `within`.
    pub(crate) async fn call<T, F>(
        &self,
        address: &str,
        method: Method,
        within: Duration,
        send: impl FnOnce(Channel) -> F,
    ) -> Result<T, PeerError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let since = Instant::now();
        let deadline = tokio::time::Instant::now() + within;
        let peer = self.peer(address)?;
        let Ok(Ok(_call)) = timeout_at(deadline, peer.calls.acquire()).await else {
            measure::ended(Side::Client, method, Code::ResourceExhausted, since);
            return Err(PeerError::NotSent(format!("too many calls to {address} are under way")));
        };
        let (code, result) = match timeout_at(deadline + GRACE, send(peer.channel)).await {
            Ok(Ok(response)) => (Code::Ok, Ok(response.into_inner())),
            Ok(Err(status)) => (status.code(), Err(failed(address, &status))),
            Err(_) => (
                Code::DeadlineExceeded,
                Err(PeerError::MaybeSent(format!("{address} did not answer in time"))),
            ),
        };
        measure::ended(Side::Client, method, code, since);
        result
    }

    fn peer(&self, address: &str) -> Result<Peer, PeerError> {
        let mut peers = self.shared.peers.lock().expect("no holder panics");
        if let Some(peer) = peers.get_mut(address) {
            peer.used = Instant::now();
            return Ok(peer.clone());
        }
        let channel = self.shared.endpoint(address)?.connect_lazy();
        let peer = Peer { channel, calls: Arc::new(Semaphore::new(CALLS_AT_ONCE)), used: Instant::now() };
        peers.retain(|_, peer| peer.used.elapsed() < KEPT_FOR);
        peers.insert(address.to_owned(), peer.clone());
        Ok(peer)
    }
}

impl Shared {
    fn endpoint(&self, address: &str) -> Result<Endpoint, PeerError> {
        let refused = |reason: &dyn std::fmt::Display| PeerError::NotSent(format!("{address}: {reason}"));
        let endpoint = Endpoint::from_shared(address.to_owned()).map_err(|error| refused(&error))?;
        // Addresses are hints that others give: none may talk this process out of TLS.
        let scheme = self.transport.scheme();
        if endpoint.uri().scheme_str() != Some(scheme) {
            return Err(refused(&format_args!("not an address that begins with {scheme}")));
        }
        let endpoint = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true)
            // Commands are small and their answers smaller; an import's batch must not wait for windows.
            .initial_stream_window_size(1024 * 1024)
            .initial_connection_window_size(4 * 1024 * 1024);
        match self.transport.client() {
            Some(tls) => endpoint.tls_config(tls).map_err(|error| refused(&error)),
            None => Ok(endpoint),
        }
    }
}

/// Whether the request can have reached the process, as far as that is certain.
fn failed(address: &str, status: &Status) -> PeerError {
    let reason = format!("{address}: {}", describe(status));
    // Said by the process itself before it did anything. It says these about nothing else.
    let was_refused = status.source().is_none()
        && matches!(
            status.code(),
            Code::InvalidArgument | Code::Unimplemented | Code::Unauthenticated | Code::PermissionDenied
        );
    if was_refused || never_connected(status) {
        PeerError::NotSent(reason)
    } else {
        PeerError::MaybeSent(reason)
    }
}

fn never_connected(status: &Status) -> bool {
    causes(status).any(|cause| cause.is::<ConnectError>())
}

fn causes(status: &Status) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let mut next = status.source();
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

/// With its innermost cause, which is the one that says something.
fn describe(status: &Status) -> String {
    let cause = causes(status).last().map(|cause| format!(" ({cause})")).unwrap_or_default();
    format!("{:?}: {}{cause}", status.code(), status.message())
}
