//! What waits for one socket: frames to be written, and what its task has to know.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::task::Waker;

use futures::task::AtomicWaker;
use roomlog_schemas::event::Seq;
use roomlog_schemas::{AccountId, RoomId, SessionId};
use tokio::time::Instant;
use tracing::Span;

use crate::CloseReason;
use crate::frame::Frame;
use crate::partition::Lease;

/// What one frame costs besides its bytes, which are shared.
const FRAME_OVERHEAD: usize = 32;

/// Everyone who has something for a socket puts it here and wakes the socket's task.
pub(crate) struct SocketQueue {
    pub account: AccountId,
    limit: usize,
    waker: AtomicWaker,
    inner: Mutex<Inner>,
}

#[derive(Default)]
pub(crate) struct Inbox {
    pub frames: VecDeque<Frame>,
    /// Each ends when all frames that are in front of it have been written.
    pub writes: Vec<Span>,
    pub notices: Vec<Notice>,
    pub close: Option<CloseReason>,
    /// Since when frames had no room.
    pub overflowed: Option<Instant>,
}

struct Inner {
    inbox: Inbox,
    /// Of frames that are not yet written, also of those already taken.
    bytes: usize,
    session: SessionId,
}

/// What happened to a room of the socket. Those of the tail are in the order of the log.
#[derive(Debug)]
pub(crate) enum Notice {
    /// The account became a member by this event. From the tail, or where that had not begun, from
    /// the store: then it may come late, and again.
    Joined {
        room: RoomId,
        seq: Seq,
        /// The end of this membership, if the store knew it already.
        left: Option<Seq>,
        /// The tail has read the event if it has processed everything up to here; 0 where it has.
        offset: u64,
        /// Of the room's partition; its tail has begun.
        lease: Lease,
    },
    /// The account's membership ended with this event.
    Left { room: RoomId, seq: Seq },
    /// The socket was live in this room and is not any more: this seq is the next to send.
    Behind { room: RoomId, next: Seq },
    /// The socket was live in this room and has been sent its removal, the seq before this one.
    Ended { room: RoomId, next: Seq },
}

impl SocketQueue {
    pub fn new(account: AccountId, session: SessionId, limit: usize) -> Self {
        let inner = Mutex::new(Inner { inbox: Inbox::default(), bytes: 0, session });
        Self { account, limit, waker: AtomicWaker::new(), inner }
    }

    /// A live event, with the span of its writing; false if there is no room for it.
    pub fn push_live(&self, frame: &Frame, write: Option<Span>) -> bool {
        let mut inner = self.lock();
        if inner.bytes > 0 && inner.bytes + cost(frame) > self.limit {
            inner.inbox.overflowed.get_or_insert_with(Instant::now);
            return false;
        }
        inner.push(frame.clone());
        inner.inbox.writes.extend(write);
        drop(inner);
        self.waker.wake();
        true
    }

    /// A frame that the socket's own task made, which looks after the bound itself.
    pub fn push(&self, frame: Frame) {
        self.lock().push(frame);
        self.waker.wake();
    }

    pub fn notify(&self, notice: Notice) {
        self.lock().inbox.notices.push(notice);
        self.waker.wake();
    }

    /// Asks for the socket to be closed; the first reason counts.
    pub fn close(&self, reason: CloseReason) {
        self.lock().inbox.close.get_or_insert(reason);
        self.waker.wake();
    }

    pub fn session(&self) -> SessionId {
        self.lock().session
    }

    pub fn set_session(&self, session: SessionId) {
        self.lock().session = session;
    }

    pub fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Moves what has come to `inbox`; false if nothing has.
    pub fn take(&self, inbox: &mut Inbox) -> bool {
        let mut inner = self.lock();
        let new = &mut inner.inbox;
        inbox.overflowed = new.overflowed;
        if new.frames.is_empty() && new.notices.is_empty() && new.close.is_none() {
            return false;
        }
        if inbox.frames.is_empty() {
            std::mem::swap(&mut inbox.frames, &mut new.frames);
        } else {
            inbox.frames.append(&mut new.frames);
        }
        inbox.writes.append(&mut new.writes);
        inbox.notices.append(&mut new.notices);
        if let Some(reason) = new.close.take() {
            inbox.close.get_or_insert(reason);
        }
        true
    }

    /// Frames of so many bytes have been written.
    pub fn written(&self, bytes: usize) {
        let mut inner = self.lock();
        inner.bytes = inner.bytes.saturating_sub(bytes);
    }

    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    pub fn has_frames(&self) -> bool {
        !self.lock().inbox.frames.is_empty()
    }

    /// Everything that had no room has been made up for.
    pub fn caught_up(&self) {
        self.lock().inbox.overflowed = None;
    }

    /// Drops the frames that are not yet taken.
    pub fn drop_frames(&self) {
        let mut inner = self.lock();
        inner.inbox.frames.clear();
        inner.inbox.writes.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder panics")
    }
}

impl Inner {
    fn push(&mut self, frame: Frame) {
        self.bytes += cost(&frame);
        self.inbox.frames.push_back(frame);
    }
}

/// What a frame counts for until it is written.
pub(crate) fn cost(frame: &Frame) -> usize {
    frame.text().len() + FRAME_OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_counts_until_it_is_written() {
        let frame = Frame::plain(&"01234567");
        let queue = SocketQueue::new(AccountId::from_u128(1), SessionId::from_u128(2), 2 * cost(&frame));
        let mut inbox = Inbox::default();
        assert!(!queue.take(&mut inbox));
        assert!(queue.push_live(&frame, None) && queue.push_live(&frame, None));
        assert!(queue.take(&mut inbox));
        assert_eq!(inbox.frames.len(), 2);
        assert!(!queue.push_live(&frame, None));
        assert!(!queue.take(&mut inbox) && inbox.overflowed.is_some());
        queue.written(2 * cost(&frame));
        assert!(queue.push_live(&frame, None));
        queue.caught_up();
        assert!(queue.take(&mut inbox) && inbox.overflowed.is_none());
    }

    #[test]
    fn a_frame_larger_than_the_queue_goes_out_alone() {
        let frame = Frame::plain(&"01234567");
        let queue = SocketQueue::new(AccountId::from_u128(1), SessionId::from_u128(2), 1);
        assert!(queue.push_live(&frame, None));
        assert!(!queue.push_live(&frame, None));
    }
}
