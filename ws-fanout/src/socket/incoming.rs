//! What the client sends.

use std::task::{Context, Poll};

use futures::StreamExt;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{Phase, Socket};
use crate::CloseReason;
use crate::protocol::{self, ClientFrame, ServerFrame};

impl Socket {
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> bool {
        match &self.phase {
            // The client's next frame is for when the stream has started.
            Phase::Starting(..) | Phase::Done => return false,
            Phase::Closing(closing) if closing.is_deaf => return self.poll_hang_up(cx),
            Phase::Opened { .. } | Phase::Running | Phase::Closing(_) => {}
        }
        // What comes next may rest on the fresh token.
        if self.refreshing.is_some() {
            return false;
        }
        // Who doesn't read its answers is not asked for more.
        if !self.inbox.frames.is_empty() && self.place.queue.bytes() > self.hub.options.queue_bytes {
            return false;
        }
        match self.stream.poll_next_unpin(cx) {
            Poll::Pending => return false,
            // The answer to the client's close frame may still have to be flushed.
            Poll::Ready(None) => self.hang_up(),
            Poll::Ready(Some(Ok(message))) => self.message(message),
            Poll::Ready(Some(Err(error))) => self.unreadable(&error),
        }
        true
    }

    fn message(&mut self, message: Message) {
        self.last_heard = Instant::now();
        match message {
            Message::Close(_) => self.closed_by_client(),
            _ if matches!(self.phase, Phase::Closing(_)) => {}
            Message::Text(text) => match protocol::parse(&text, self.hub.options.max_since_rooms) {
                Ok(frame) => self.frame(frame),
                Err(detail) => self.malformed(&detail),
            },
            Message::Binary(_) => self.malformed("a binary frame"),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }

    fn frame(&mut self, frame: ClientFrame) {
        let has_started = matches!(self.phase, Phase::Running);
        match frame {
            ClientFrame::Start(start) if !has_started => self.start(start),
            ClientFrame::Start(_) => self.malformed("`start` was sent before"),
            _ if !has_started => self.malformed("the first frame has to be `start`"),
            ClientFrame::Command(command) => self.command(*command),
            ClientFrame::Refresh { access_token } => self.refresh(&access_token),
        }
    }

    fn malformed(&mut self, detail: &str) {
        let error = ServerFrame::Error {
            code: protocol::MALFORMED,
            title: "The frame is not understood.",
            detail: Some(detail),
        };
        self.close(CloseReason::Malformed, Some(error));
    }

    fn unreadable(&mut self, error: &Error) {
        let reason = match error {
            Error::Capacity(_) => CloseReason::TooLarge,
            Error::Utf8(_) => CloseReason::InvalidText,
            Error::Protocol(
                tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            )
            | Error::Io(_) => {
                self.done();
                return;
            }
            _ => CloseReason::ProtocolError,
        };
        self.close(reason, None);
        self.go_deaf(true);
    }
}
