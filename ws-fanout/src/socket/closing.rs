//! Ending a socket: what waits is sent, then the close frame, then the client has a moment to answer.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::SinkExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use super::{Phase, Socket};
use crate::CloseReason;
use crate::protocol::ServerFrame;

pub(super) struct Closing {
    /// `None` if the client closes.
    reason: Option<CloseReason>,
    pub deadline: Instant,
    is_sent: bool,
    /// Nothing that the client sends is understood any more.
    pub is_deaf: bool,
    is_shut: bool,
    /// The client may still be sending.
    lingers: bool,
}

impl Socket {
    /// Begins to close, after an error frame where there is one to send.
    pub(super) fn close(&mut self, reason: CloseReason, error: Option<ServerFrame<'_>>) {
        if matches!(self.phase, Phase::Closing(_) | Phase::Done) {
            return;
        }
        self.rooms.leave_all();
        let options = &self.hub.options;
        let limit = match reason {
            CloseReason::Restart => options.drain_timeout,
            _ => options.close_timeout,
        };
        if reason != CloseReason::Restart {
            self.commands = None;
        }
        if is_at_once(reason) {
            self.inbox.frames.clear();
            self.place.queue.drop_frames();
        }
        if let Some(error) = error {
            self.place.queue.push(error.encode());
        }
        self.hub.telemetry.closed(reason);
        self.phase = Phase::Closing(Closing {
            reason: Some(reason),
            deadline: Instant::now() + limit,
            is_sent: false,
            is_deaf: false,
            is_shut: false,
            lingers: false,
        });
    }

    /// The client has sent its close frame, or the answer to ours.
    pub(super) fn closed_by_client(&mut self) {
        self.rooms.leave_all();
        self.commands = None;
        self.inbox.frames.clear();
        let deadline = Instant::now() + self.hub.options.close_timeout;
        match &mut self.phase {
            Phase::Closing(closing) => {
                closing.reason = None;
                closing.is_sent = true;
            }
            Phase::Done => {}
            phase => {
                *phase = Phase::Closing(Closing {
                    reason: None,
                    deadline,
                    is_sent: true,
                    is_deaf: false,
                    is_shut: false,
                    lingers: false,
                });
            }
        }
    }

    /// Both close frames have been exchanged.
    pub(super) fn hang_up(&mut self) {
        self.closed_by_client();
        self.go_deaf(false);
    }

    /// From here on nothing that the client sends is looked at.
    pub(super) fn go_deaf(&mut self, lingers: bool) {
        if let Phase::Closing(closing) = &mut self.phase {
            closing.is_deaf = true;
            closing.lingers = lingers;
        }
    }

    /// Sends the close frame once its turn has come; true if the socket is broken.
    pub(super) fn poll_close_frame(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let is_draining = self.commands.as_ref().is_some_and(|commands| !commands.is_empty());
        let Phase::Closing(Closing { reason: Some(reason), is_sent: false, .. }) = self.phase else {
            return Poll::Ready(false);
        };
        // An error frame may still be in the queue.
        if is_draining || self.place.queue.has_frames() {
            return Poll::Ready(false);
        }
        match ready!(self.stream.poll_ready_unpin(cx)) {
            Ok(()) => {}
            Err(_) => return Poll::Ready(true),
        }
        let is_broken = !self.send(Message::Close(Some(reason.frame())));
        let soonest = Instant::now() + self.hub.options.close_timeout;
        if let Phase::Closing(closing) = &mut self.phase {
            closing.is_sent = true;
            closing.deadline = closing.deadline.min(soonest);
        }
        Poll::Ready(is_broken)
    }

    /// Ends our side of the connection, and reads on what the client still sends until it hangs up: a
    /// connection that is dropped with unread bytes is reset, and the close frame lost with it.
    pub(super) fn poll_hang_up(&mut self, cx: &mut Context<'_>) -> bool {
        let Phase::Closing(closing) = &mut self.phase else { return false };
        if !closing.is_sent {
            return false;
        }
        let io = self.stream.get_mut();
        if !closing.is_shut {
            match Pin::new(&mut *io).poll_shutdown(cx) {
                Poll::Ready(Ok(())) => closing.is_shut = true,
                Poll::Ready(Err(_)) => return self.done(),
                Poll::Pending => return false,
            }
        }
        if !closing.lingers {
            return self.done();
        }
        let mut bytes = [0; 1024];
        let mut buffer = ReadBuf::new(&mut bytes);
        match Pin::new(io).poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => true,
            Poll::Ready(_) => self.done(),
            Poll::Pending => false,
        }
    }

    /// Nothing more can be done with this socket.
    pub(super) fn done(&mut self) -> bool {
        self.phase = Phase::Done;
        true
    }
}

/// Whether what waits to be sent is dropped.
fn is_at_once(reason: CloseReason) -> bool {
    matches!(reason, CloseReason::Unauthorized | CloseReason::TimeOut | CloseReason::SlowConsumer)
}
