//! One step of a socket that is behind in a room: reads what it has to send next, from the room's
//! ring or from the store.

use std::sync::Arc;
use std::time::Duration;

use roomlog_domain::visibility::Visibility;
use roomlog_schemas::event::Seq;
use roomlog_schemas::{Event, RoomId};
use roomlog_stores::rooms::StoredEvent;
use roomlog_stores::{SealError, StoreError};
use tokio::time::Instant;

use crate::encode::{entry_frame, event_frame};
use crate::frame::Frame;
use crate::hub::Hub;
use crate::protocol::{GapReason, ServerFrame};
use crate::queue::{SocketQueue, cost};
use crate::ring::{Entry, leaver};
use crate::room::{Last, Look, Room};
use crate::sight::{Run, Sight};
use crate::stored::{decode, resolve};

/// A step ends when it has read so many bytes.
const STEP_BYTES: usize = 64 * 1024;
/// Rows of the store that are read at once.
const PAGE: usize = 64;
/// Longest that a step waits for the store to be as far as the tail; other rooms wait for it.
const STORE_PATIENCE: Duration = Duration::from_millis(250);

/// A membership of the socket's account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Joined {
    pub seq: Seq,
    /// The tail has read its event if it has processed everything up to here; 0 where it has.
    pub offset: u64,
}

pub(crate) struct Step {
    pub hub: Arc<Hub>,
    pub queue: Arc<SocketQueue>,
    pub room: Arc<Room>,
    /// In the room's attachments.
    pub key: usize,
    /// The next seq to send.
    pub next: Seq,
    pub joined: Joined,
}

/// Where the socket stands after a step. Frames are in its queue by then.
#[derive(Debug)]
pub(crate) struct Stepped {
    pub room: RoomId,
    pub next: Seq,
    pub joined: Joined,
    pub outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The tail hands over what comes next.
    Live { from_store: bool },
    /// There is more to read.
    More,
    /// The membership ended with what was sent last.
    Left,
    /// Something is away: to be tried again.
    Retry,
    /// The room is in quarantine, and the client has been told.
    Quarantined,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Whether there is more to do within a step.
type Flow = std::ops::ControlFlow<Outcome>;
const GO_ON: Flow = Flow::Continue(());

impl Step {
    pub async fn run(self) -> Stepped {
        let room = self.room.id;
        let mut reading = Reading { sent: 0, before: None, from_store: false, step: self };
        let outcome = match reading.run().await {
            Ok(outcome) => outcome,
            Err(Error::Store(StoreError::Quarantined { .. })) => {
                let next = reading.step.next;
                reading.push(ServerFrame::quarantined(room, next).encode());
                Outcome::Quarantined
            }
            Err(error) => {
                tracing::warn!(%room, error = &error as &dyn std::error::Error, "a resume has to wait");
                Outcome::Retry
            }
        };
        Stepped { room, next: reading.step.next, joined: reading.step.joined, outcome }
    }
}

struct Reading {
    step: Step,
    sent: usize,
    /// Loaded where it is needed.
    before: Option<Visibility>,
    from_store: bool,
}

impl Reading {
    async fn run(&mut self) -> Result<Outcome, Error> {
        loop {
            if self.sent >= STEP_BYTES {
                return Ok(Outcome::More);
            }
            if self.step.next < self.step.joined.seq {
                if self.before.is_none() && !self.load_visibility().await? {
                    return Ok(Outcome::Retry);
                }
                if self.hide() {
                    continue;
                }
            }
            let flow = match self.step.room.look(self.step.next) {
                Look::Unknown => self.resolve().await?,
                Look::Ring(entries) => self.send_entries(&entries).await?,
                Look::Store { last, ring } => self.send_page(last, ring).await?,
                // The store knows of a joining that the tail has still to read.
                Look::End if self.step.next < self.step.joined.seq => Flow::Break(Outcome::Retry),
                // Nothing may be awaited from here on: the socket's task has to hear of it at once.
                Look::End if self.go_live() => Flow::Break(Outcome::Live { from_store: self.from_store }),
                Look::End => GO_ON,
            };
            if let Flow::Break(outcome) = flow {
                return Ok(outcome);
            }
        }
    }

    fn go_live(&self) -> bool {
        let Step { room, key, next, joined, .. } = &self.step;
        room.go_live(*key, *next, joined.seq)
    }

    /// Passes over what is hidden; false if the next event is shown.
    fn hide(&mut self) -> bool {
        let Run { is_shown: false, to } = self.sight_run() else { return false };
        let (room_id, from) = (self.step.room.id, self.step.next);
        self.push(ServerFrame::Hidden { room_id, from, to }.encode());
        self.step.hub.telemetry.hidden.increment(1);
        self.step.next = to + 1;
        true
    }

    fn sight_run(&self) -> Run {
        match &self.before {
            Some(before) => Sight { joined: self.step.joined.seq, before }.run(self.step.next),
            None => Run { is_shown: true, to: Seq::MAX },
        }
    }

    async fn send_entries(&mut self, entries: &[Arc<Entry>]) -> Result<Flow, Error> {
        let shown = self.sight_run();
        for entry in entries {
            if entry.seq > shown.to || self.sent >= STEP_BYTES {
                break;
            }
            let frame = entry_frame(&self.step.hub.deps.sealer, entry).await?;
            if self.send(entry.seq, &entry.event, frame) {
                return Ok(Flow::Break(Outcome::Left));
            }
        }
        Ok(GO_ON)
    }

    /// Reads the store; the room's events go up to `last`, and from `ring` on they are in its ring.
    async fn send_page(&mut self, last: Last, ring: Option<Seq>) -> Result<Flow, Error> {
        let hub = self.step.hub.clone();
        let _reader = hub.store_readers.acquire().await;
        let Some(covered) = self.store_covers(last.offset + 1).await? else {
            return Ok(Flow::Break(Outcome::Retry));
        };
        self.from_store = true;
        let next = self.step.next;
        let (rooms, room) = (&hub.deps.rooms, self.step.room.id);
        let rows = match rooms.events(room, next, PAGE).await {
            // Those before the one that cannot be decoded, one by one; then that one is a gap.
            Err(StoreError::BadRow { .. }) => match rooms.events(room, next, 1).await {
                Err(StoreError::BadRow { .. }) => return self.gap(next, covered).await,
                rows => rows?,
            },
            rows => rows?,
        };
        match rows.first() {
            Some(row) if row.seq == next => self.send_rows(&rows, covered).await,
            row => {
                let present = row.map(|row| row.seq).into_iter().chain(ring).min();
                self.gap(present.map_or(last.seq, |present| last.seq.min(present - 1)), covered).await
            }
        }
    }

    async fn send_rows(&mut self, rows: &[StoredEvent], covered: u64) -> Result<Flow, Error> {
        let shown = self.sight_run();
        let events: Vec<Option<Event>> = rows.iter().map(decode).collect();
        // In one query what is not in memory.
        let owners = events.iter().flatten().filter_map(|event| match event {
            Event::MessageSent(e) => Some((e.author_id, e.room_id)),
            _ => None,
        });
        let sealer = self.step.hub.deps.sealer.clone();
        sealer.message_keys(&owners.collect::<Vec<_>>()).await?;
        for (row, event) in rows.iter().zip(events) {
            if row.seq > shown.to || row.seq != self.step.next || self.sent >= STEP_BYTES {
                break;
            }
            let Some(event) = event else { return self.gap(row.seq, covered).await };
            let frame = event_frame(&sealer, &event, row.record_time_ms).await?;
            if self.send(row.seq, &event, frame) {
                return Ok(Flow::Break(Outcome::Left));
            }
        }
        Ok(GO_ON)
    }

    /// Sends the next event; true if it ends the membership.
    fn send(&mut self, seq: Seq, event: &Event, frame: Frame) -> bool {
        debug_assert_eq!(seq, self.step.next, "only the next event is sent");
        self.push(frame);
        self.step.next = seq + 1;
        seq > self.step.joined.seq && leaver(event) == Some(self.step.queue.account)
    }

    /// Says that the events up to this one cannot be had, though the store covered their records. A
    /// removal may be among them, so that the membership has to be looked up again.
    async fn gap(&mut self, to: Seq, covered: u64) -> Result<Flow, Error> {
        let to = to.min(self.sight_run().to);
        let (room_id, from) = (self.step.room.id, self.step.next);
        // A store that was replaced by an older one has its rows later.
        let hub = self.step.hub.clone();
        let cursor = hub.deps.rooms.cursor(self.step.room.partition).await?;
        if cursor.map_or(0, |cursor| cursor.next_offset) < covered || !self.load_visibility().await? {
            return Ok(Flow::Break(Outcome::Retry));
        }
        let last = self.before.as_ref().and_then(|before| before.intervals.last().copied());
        let left = last.and_then(|interval| interval.left).filter(|&left| from <= left);
        let to = left.map_or(to, |left| left.min(to));
        tracing::error!(room = %room_id, from, to, "the room store lacks events");
        let reason = GapReason::Lost;
        self.push(ServerFrame::Gap { room_id, from, to: Some(to), reason }.encode());
        hub.telemetry.gaps.increment(1);
        self.step.next = to + 1;
        Ok(match last {
            Some(interval) if interval.left.is_none_or(|left| left > to) => {
                self.step.joined.seq = self.step.joined.seq.max(interval.joined);
                GO_ON
            }
            _ => Flow::Break(Outcome::Left),
        })
    }

    /// Learns the room's last event from the store.
    async fn resolve(&mut self) -> Result<Flow, Error> {
        let Step { hub, room, .. } = &self.step;
        let _reader = hub.store_readers.acquire().await;
        let deadline = Instant::now() + STORE_PATIENCE;
        if !hub.store_covers(room.partition, room.known_from, deadline).await? {
            return Ok(Flow::Break(Outcome::Retry));
        }
        resolve(hub, room).await?;
        Ok(GO_ON)
    }

    /// What the account sees, as of everything that the tail has processed; false if the store is
    /// not there yet.
    async fn load_visibility(&mut self) -> Result<bool, Error> {
        if self.store_covers(self.step.joined.offset + 1).await?.is_none() {
            return Ok(false);
        }
        let (room, account) = (self.step.room.id, self.step.queue.account);
        let visibility = self.step.hub.deps.rooms.visibility(room, account).await?;
        self.before = Some(visibility.unwrap_or_default());
        Ok(true)
    }

    /// Waits until the store holds what the tail has processed, and everything below `at_least`; how
    /// far that is, or `None` if it took too long.
    async fn store_covers(&self, at_least: u64) -> Result<Option<u64>, StoreError> {
        let Step { hub, room, .. } = &self.step;
        let needed = hub.partition_of(room.id).processed().max(at_least);
        let deadline = Instant::now() + STORE_PATIENCE;
        Ok(hub.store_covers(room.partition, needed, deadline).await?.then_some(needed))
    }

    fn push(&mut self, frame: Frame) {
        self.sent += cost(&frame);
        self.step.queue.push(frame);
    }
}
