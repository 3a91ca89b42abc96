//! Metrics of calls, at both ends.

use std::time::Instant;

use tonic::Code;

/// A method as metrics name it.
#[derive(Debug, Clone, Copy)]
pub struct Method {
    pub service: &'static str,
    pub method: &'static str,
}

pub const WRITERS_RUN: Method = Method { service: "writers", method: "run" };
pub const WRITERS_IMPORTED: Method = Method { service: "writers", method: "imported" };
pub const COMMANDS_RUN: Method = Method { service: "commands", method: "run" };

#[derive(Debug, Clone, Copy)]
pub enum Side {
    Client,
    Server,
}

/// Counts a call that has ended.
pub fn ended(side: Side, Method { service, method }: Method, code: Code, since: Instant) {
    let side = match side {
        Side::Client => "client",
        Side::Server => "server",
    };
    metrics::counter!(
        "roomlog_rpc_requests_total",
        "side" => side, "service" => service, "method" => method, "code" => name(code)
    )
    .increment(1);
    metrics::histogram!("roomlog_rpc_seconds", "side" => side, "service" => service, "method" => method)
        .record(since.elapsed().as_secs_f64());
}

/// As gRPC's documents write it.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::Cancelled => "cancelled",
        Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
    }
}
