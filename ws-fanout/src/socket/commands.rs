//! Commands that a client gives on its socket: the same as over REST.

use std::sync::Arc;
use std::task::{Context, Poll};

use axum::http::StatusCode;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use roomlog_schemas::AccountId;
use roomlog_web::Problem;
use roomlog_web::commands::Commands;
use tracing::{Instrument, Span};

use super::Socket;
use crate::frame::Frame;
use crate::protocol::{CommandFrame, ServerFrame};

/// Commands that have no answer yet.
pub(super) type InFlight = FuturesUnordered<BoxFuture<'static, Frame>>;

impl Socket {
    pub(super) fn command(&mut self, frame: CommandFrame) {
        let in_flight = self.commands.get_or_insert_default();
        let refused = match frame.key {
            Err(()) => Some(
                Problem::bad_request("invalid_idempotency_key", "An idempotency key is a UUIDv7.")
                    .field("key"),
            ),
            Ok(_) if in_flight.len() >= self.hub.options.max_commands => Some(
                Problem::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too_many_commands",
                    "This socket has as many unanswered commands as it may have.",
                )
                .retry_after(1),
            ),
            Ok(_) => None,
        };
        match refused {
            Some(problem) => {
                self.place.queue.push(ServerFrame::Rejected { id: &frame.id, problem }.encode());
            }
            None => {
                let run = run(self.hub.deps.commands.clone(), self.place.queue.account, frame);
                in_flight.push(Box::pin(run));
            }
        }
    }

    pub(super) fn poll_commands(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(in_flight) = &mut self.commands else { return false };
        match in_flight.poll_next_unpin(cx) {
            Poll::Ready(Some(answer)) => self.place.queue.push(answer),
            Poll::Ready(None) => self.commands = None,
            Poll::Pending => return false,
        }
        true
    }
}

async fn run(commands: Arc<dyn Commands>, account: AccountId, frame: CommandFrame) -> Frame {
    let CommandFrame { id, key, command } = frame;
    // A socket lives longer than a trace: each command begins one.
    let span = match roomlog_telemetry::is_on() {
        true => tracing::info_span!(parent: None, "request", method = "SOCKET", route = "/v1/stream"),
        false => Span::none(),
    };
    let answered = commands.run(account, key.unwrap_or_default(), command).instrument(span).await;
    match answered {
        Ok(answer) => ServerFrame::Accepted { id: &id, answer }.encode(),
        Err(problem) => ServerFrame::Rejected { id: &id, problem }.encode(),
    }
}
