//! What this process does for others.

mod commands;
mod writers;

use std::sync::Arc;
use std::time::{Duration, Instant};

use roomlog_command_api::forward::LocalWriters;
use roomlog_web::commands::Commands;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Response, Status};
use tracing::Span;

use crate::measure::{self, Method, Side};
use crate::pool::{CALLS_AT_ONCE, PING_EVERY, PING_TIMEOUT};
use crate::proto::commands_server::CommandsServer;
use crate::proto::writers_server::WritersServer;
use crate::{MAX_MESSAGE_BYTES, Transport};

/// How long a stopping server waits for the calls under way. A command's own time is 10 s.
const DRAIN: Duration = Duration::from_secs(12);

/// Handlers that were dropped with their caller; each costs nothing here.
const RESETS: usize = 4 * CALLS_AT_ONCE;

/// What a process offers. What it does not is answered with `UNIMPLEMENTED`.
#[derive(Clone, Default)]
pub struct Services {
    pub writers: Option<Arc<dyn LocalWriters>>,
    pub commands: Option<Arc<dyn Commands>>,
    /// Puts a call's span below the span that a `traceparent` names.
    pub parent_of: Option<fn(&Span, &str)>,
}

#[derive(Debug, thiserror::Error)]
#[error("other processes cannot be served")]
pub struct ServeError(#[from] tonic::transport::Error);

/// Serves until `shutdown`; then takes no more connections or calls, and ends with the calls under
/// way or after 12 s.
pub async fn serve(
    listener: TcpListener,
    transport: &Transport,
    services: Services,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let mut server = Server::builder()
        .http2_keepalive_interval(Some(PING_EVERY))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
        // More than a client lets under way, so that none waits without knowing it.
        .max_concurrent_streams(2 * CALLS_AT_ONCE as u32)
        .http2_max_pending_accept_reset_streams(Some(RESETS))
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(4 * 1024 * 1024);
    if let Some(tls) = transport.server() {
        server = server.tls_config(tls)?;
    }
    let writers = services.writers.map(|writers| {
        WritersServer::new(writers::Handler { writers, parent_of: services.parent_of })
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
    });
    let commands = services.commands.map(|commands| {
        CommandsServer::new(commands::Handler { commands, parent_of: services.parent_of })
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
    });
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let serving = server
        .add_optional_service(writers)
        .add_optional_service(commands)
        .serve_with_incoming_shutdown(incoming, shutdown.clone().cancelled_owned());
    let out_of_time = async {
        shutdown.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = serving => Ok(served?),
        () = out_of_time => {
            tracing::warn!("calls of other processes were cut off");
            Ok(())
        }
    }
}

/// Counts the call and makes the answer of it.
fn ended<T>(method: Method, since: Instant, result: Result<T, Status>) -> Result<Response<T>, Status> {
    let code = result.as_ref().err().map_or(Code::Ok, Status::code);
    measure::ended(Side::Server, method, code, since);
    result.map(Response::new)
}

fn unreadable(error: crate::codec::Unreadable) -> Status {
    Status::invalid_argument(error.to_string())
}
