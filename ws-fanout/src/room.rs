//! A room with sockets or newest events: where the tail hands events over and sockets take part.

use std::cmp::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};

use roomlog_eventlog::TopicPartition;
use roomlog_eventlog::chaos_mutation::{self, Mutation};
use roomlog_schemas::RoomId;
use roomlog_schemas::event::Seq;
use slab::Slab;

use crate::Options;
use crate::queue::{Notice, SocketQueue};
use crate::ring::{Entry, Ring};
use crate::trace::Writes;

/// Most entries that are looked at in one go.
const LOOK: usize = 64;

pub(crate) struct Room {
    pub id: RoomId,
    pub partition: TopicPartition,
    /// The tail had processed everything below when this was made: later events have come here,
    /// earlier ones are in the store.
    pub known_from: u64,
    inner: Mutex<Inner>,
}

struct Inner {
    /// Not in the partition's map any more: nobody may use it.
    is_gone: bool,
    last: Option<Last>,
    ring: Ring,
    attachments: Slab<Attachment>,
    live: usize,
    /// The tail's clock at the last event.
    touched: u64,
}

/// The last event of a room that is known to exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Last {
    /// 0 before the first.
    pub seq: Seq,
    pub offset: u64,
}

/// A socket in a room.
struct Attachment {
    queue: Arc<SocketQueue>,
    /// For a live one: the only seq that it is sent next.
    next: Seq,
    /// Of a live one: its account's joining.
    joined: Seq,
    is_live: bool,
}

/// Where a socket that is behind finds its next event.
#[derive(Debug)]
pub(crate) enum Look {
    /// Nowhere yet: there is none.
    End,
    Ring(Vec<Arc<Entry>>),
    /// In the store, or soon there.
    Store {
        last: Last,
        /// What the ring begins with.
        ring: Option<Seq>,
    },
    /// The last seq has to be told first, by [`Room::resolve`].
    Unknown,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Delivered {
    /// The ring's bytes have changed by so many.
    Done(isize),
    /// Somebody listens: to be called again once the entry has its frame, or cannot have it.
    NeedsFrame,
    /// To be called on the room's successor.
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Lazy,
    /// Live sockets have to get the event themselves, later.
    Failed,
}

impl Room {
    pub fn new(id: RoomId, partition: TopicPartition, known_from: u64) -> Self {
        let inner = Inner {
            is_gone: false,
            last: None,
            ring: Ring::default(),
            attachments: Slab::new(),
            live: 0,
            touched: 0,
        };
        Self { id, partition, known_from, inner: Mutex::new(inner) }
    }

    /// Adds a socket, not live at first. `None` if the room is gone.
    pub fn attach(&self, queue: &Arc<SocketQueue>) -> Option<usize> {
        let mut inner = self.lock();
        let attachment = Attachment { queue: queue.clone(), next: 0, joined: 0, is_live: false };
        (!inner.is_gone).then(|| inner.attachments.insert(attachment))
    }

    /// Removes a socket, if the room has not removed it itself; true if nothing is left here.
    pub fn detach(&self, key: usize, queue: &Arc<SocketQueue>) -> bool {
        let mut inner = self.lock();
        if inner.attachments.get(key).is_some_and(|attachment| Arc::ptr_eq(&attachment.queue, queue)) {
            inner.remove(key);
        }
        inner.is_unused()
    }

    /// Marks the room as gone if nothing is left in it.
    pub fn retire(&self) -> bool {
        let mut inner = self.lock();
        inner.is_gone |= inner.is_unused();
        inner.is_gone
    }

    /// Called by the tail alone, in the order of the log.
    pub fn deliver(
        &self,
        entry: &Arc<Entry>,
        encoding: Encoding,
        clock: u64,
        options: &Options,
    ) -> Delivered {
        let mut inner = self.lock();
        if inner.is_gone {
            return Delivered::Gone;
        }
        if inner.live > 0 && entry.frame.get().is_none() && encoding == Encoding::Lazy {
            return Delivered::NeedsFrame;
        }
        let before = inner.ring.bytes() as isize;
        inner.ring.push(entry.clone(), options.ring_events, options.ring_bytes);
        if inner.last.is_none_or(|last| last.seq < entry.seq) {
            inner.last = Some(Last { seq: entry.seq, offset: entry.offset });
        }
        inner.touched = clock;
        if inner.live > 0 {
            inner.fan_out(entry);
        }
        Delivered::Done(inner.ring.bytes() as isize - before)
    }

    /// Where the event `next` is.
    pub fn look(&self, next: Seq) -> Look {
        let inner = self.lock();
        match inner.last {
            None => Look::Unknown,
            Some(last) if last.seq < next => Look::End,
            Some(last) => {
                let ring = inner.ring.first().map(|entry| entry.seq).filter(|&first| first > next);
                inner.ring.from(next, LOOK).map_or(Look::Store { last, ring }, Look::Ring)
            }
        }
    }

    /// The last event below `known_from`, as the store tells it.
    pub fn resolve(&self, last: Last) {
        self.lock().last.get_or_insert(last);
    }

    /// Makes a socket live whose account joined with this event, unless `next` exists already: then it
    /// has to be read first.
    pub fn go_live(&self, key: usize, next: Seq, joined: Seq) -> bool {
        let mut inner = self.lock();
        if inner.last.is_none_or(|last| last.seq >= next) {
            return false;
        }
        let Some(attachment) = inner.attachments.get_mut(key) else { return false };
        attachment.next = next;
        attachment.joined = joined;
        if !std::mem::replace(&mut attachment.is_live, true) {
            inner.live += 1;
        }
        true
    }

    /// The seq that a live socket is sent next.
    pub fn next_of(&self, key: usize) -> Option<Seq> {
        self.lock().attachments.get(key).filter(|attachment| attachment.is_live).map(|live| live.next)
    }

    /// The first seq whose record is at this offset or later, present or to come; `None` where only
    /// the store can tell. The tail has to have processed everything below the offset.
    pub fn first_at_or_after(&self, offset: u64) -> Option<Seq> {
        let inner = self.lock();
        match inner.last {
            Some(last) if last.seq == 0 || last.offset < offset => Some(last.seq + 1),
            _ => inner.ring.first_at_or_after(offset),
        }
    }

    /// When the last event came, and the bytes of the ring.
    pub fn usage(&self) -> (u64, usize) {
        let inner = self.lock();
        (inner.touched, inner.ring.bytes())
    }

    /// Drops the ring; its bytes.
    pub fn evict(&self) -> usize {
        let mut inner = self.lock();
        let bytes = inner.ring.bytes();
        inner.ring.clear();
        bytes
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder panics")
    }
}

impl Inner {
    /// Hands an event to the live sockets. Without a frame none of them can stay live.
    fn fan_out(&mut self, entry: &Entry) {
        let (room, seq) = (entry.room, entry.seq);
        let leaver = entry.leaver();
        let frame = entry.frame.get();
        let mut ended = Vec::new();
        let mut writes = Writes::of(entry, self.live);
        for (key, attachment) in self.attachments.iter_mut().filter(|(_, attachment)| attachment.is_live) {
            let next = attachment.next;
            let leaves = leaver == Some(attachment.queue.account)
                && seq > attachment.joined
                && !chaos_mutation::is_on(Mutation::Authorization);
            let is_sent = match seq.cmp(&next) {
                // Its `since` is ahead of this instance. So it has the removal, or pretends to.
                Ordering::Less if leaves => {
                    attachment.queue.notify(Notice::Ended { room, next });
                    ended.push(key);
                    continue;
                }
                Ordering::Less => continue,
                Ordering::Equal => {
                    frame.is_some_and(|frame| attachment.queue.push_live(frame, writes.next()))
                }
                Ordering::Greater => false,
            };
            if !is_sent {
                attachment.is_live = false;
                self.live -= 1;
                attachment.queue.notify(Notice::Behind { room, next });
            } else if leaves {
                attachment.queue.notify(Notice::Ended { room, next: seq + 1 });
                ended.push(key);
            } else {
                attachment.next = seq + 1;
            }
        }
        for key in ended {
            self.remove(key);
        }
    }

    fn remove(&mut self, key: usize) {
        if self.attachments.remove(key).is_live {
            self.live -= 1;
        }
        if self.attachments.is_empty() {
            self.attachments = Slab::new();
        }
    }

    fn is_unused(&self) -> bool {
        self.attachments.is_empty() && self.ring.is_empty()
    }
}

#[cfg(test)]
#[path = "room_tests.rs"]
mod tests;
