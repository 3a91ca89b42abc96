//! Writing: all that waits in one go, then one flush.

use std::task::{Context, Poll};

use futures::{Sink, SinkExt};
use tokio_tungstenite::tungstenite::Message;

use super::{Phase, Socket};
use crate::queue::cost;

/// Handed to the WebSocket and not yet to the network.
#[derive(Default)]
pub(super) struct Unflushed {
    frames: u64,
    bytes: u64,
    /// Bytes that compression has saved.
    saved: u64,
    /// As the queue counts them.
    cost: usize,
    needs_flush: bool,
}

impl Socket {
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> bool {
        if matches!(self.phase, Phase::Done) {
            return false;
        }
        let mut has_moved = false;
        while !self.inbox.frames.is_empty() {
            match self.stream.poll_ready_unpin(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return self.done(),
                Poll::Pending => return has_moved,
            }
            let Some(frame) = self.inbox.frames.pop_front() else { break };
            let message = frame.message(self.compress_from);
            self.unflushed.frames += 1;
            self.unflushed.bytes += message.len() as u64;
            self.unflushed.saved += frame.text().len().saturating_sub(message.len()) as u64;
            self.unflushed.cost += cost(&frame);
            if !self.send(message) {
                return self.done();
            }
            has_moved = true;
        }
        if self.inbox.frames.capacity() > 0 {
            // Nothing is kept for a socket that may be quiet for hours.
            self.inbox.frames = Default::default();
        }
        match self.poll_close_frame(cx) {
            Poll::Ready(true) => return self.done(),
            Poll::Ready(false) => {}
            Poll::Pending => return has_moved,
        }
        if !self.unflushed.needs_flush {
            return has_moved;
        }
        match std::pin::Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Ready(Ok(())) => self.flushed(),
            Poll::Ready(Err(_)) => return self.done(),
            Poll::Pending => return has_moved,
        }
        true
    }

    /// Hands over one message; the sink has to be ready. False if the socket is broken.
    pub(super) fn send(&mut self, message: Message) -> bool {
        self.unflushed.needs_flush = true;
        self.stream.start_send_unpin(message).is_ok()
    }

    /// A ping goes out unless writing is stuck: then its answer would be late anyway.
    pub(super) fn ping(&mut self, cx: &mut Context<'_>) {
        if self.stream.poll_ready_unpin(cx).is_ready() && !self.send(Message::Ping(Default::default())) {
            self.done();
        }
    }

    fn flushed(&mut self) {
        let Unflushed { frames, bytes, saved, cost, .. } = std::mem::take(&mut self.unflushed);
        // Nothing is kept for a quiet socket, here as well.
        self.inbox.writes = Vec::new();
        self.hub.telemetry.frames.increment(frames);
        self.hub.telemetry.bytes.increment(bytes);
        self.hub.telemetry.saved.increment(saved);
        if cost > 0 {
            self.place.queue.written(cost);
        }
    }
}
