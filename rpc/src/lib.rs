//! Commands between the processes of the platform, over gRPC with mutual TLS.
//!
//! * [`GrpcPeers`]: the writers of other processes, for command-api.
//! * [`RemoteCommands`]: the port that clients' commands go through, for a process that has no
//!   command-api of its own.
//! * [`serve`]: both for others.
//!
//! What a call may have done decides what its caller may do next, so each failure says whether the
//! request can have reached the other process: [`PeerError`](roomlog_command_api::forward::PeerError).
//! A connection that stops answering counts as broken after 3 s.

mod codec;
mod measure;
mod peers;
mod pool;
mod remote_commands;
mod server;
mod transport;

/// Generated from `proto/roomlog/internal/v1/internal.proto`.
mod proto {
    #![allow(clippy::all, clippy::unwrap_used, reason = "generated")]
    tonic::include_proto!("roomlog.internal.v1");
}

pub use peers::GrpcPeers;
pub use pool::Pool;
pub use remote_commands::{RemoteCommands, RemoteCommandsOptions};
pub use server::{ServeError, Services, serve};
pub use transport::{TlsConfig, Transport, TransportError, TransportOptions};

/// The largest message: a command is at most 900 KiB, an import's batch holds several.
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;
