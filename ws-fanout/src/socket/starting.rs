//! The client's first frame: where each room begins.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use roomlog_domain::visibility::Interval;
use roomlog_eventlog::TopicPartition;
use roomlog_schemas::RoomId;
use roomlog_schemas::event::Seq;
use roomlog_stores::StoreError;
use roomlog_web::view;
use tokio::time::Instant;
use uuid::Uuid;

use super::rooms::{Started, Starts};
use super::{Phase, Socket};
use crate::CloseReason;
use crate::hub::Hub;
use crate::partition::Lease;
use crate::protocol::{self, ServerFrame, Start};
use crate::queue::{Notice, SocketQueue};
use crate::room::Room;
use crate::stored::resolve;

/// Rooms that are asked for in the store at the same time.
const AT_ONCE: usize = 8;
/// Rows that are read back at a time.
const BACK: u64 = 16;

impl Socket {
    pub(super) fn start(&mut self, start: Start) {
        let log_id = self.hub.deps.identity.log_id;
        if start.log_id.as_ref().is_some_and(|id| id.parse::<Uuid>() != Ok(log_id)) {
            let error = ServerFrame::Error {
                code: protocol::OTHER_LOG,
                title: "These positions are of another log: sync afresh.",
                detail: None,
            };
            return self.close(CloseReason::OtherLog, Some(error));
        }
        let Phase::Opened { ends, .. } = &mut self.phase else { return };
        let ends = std::mem::take(ends);
        let absent = self.rooms.parked(|room| !start.since.contains_key(&room));
        let unknown = start.since.keys().copied().filter(|&room| !self.rooms.knows(room)).collect();
        let (hub, queue) = (self.hub.clone(), self.place.queue.clone());
        let starts = async move {
            let deadline = Instant::now() + hub.options.open_timeout;
            let quarantined = look_up(&hub, &queue, unknown, deadline).await?;
            let firsts = firsts(hub, ends, absent, deadline).await?;
            Some(Starts { firsts, quarantined })
        };
        self.phase = Phase::Starting(Box::new(start), starts.boxed());
    }

    pub(super) fn poll_start(&mut self, cx: &mut Context<'_>) -> bool {
        let Phase::Starting(start, starting) = &mut self.phase else { return false };
        let Poll::Ready(starts) = starting.poll_unpin(cx) else { return false };
        let Some(starts) = starts else {
            let error = ServerFrame::Error {
                code: protocol::NOT_CAUGHT_UP,
                title: "The stream cannot start now: try again.",
                detail: None,
            };
            self.close(CloseReason::TryLater, Some(error));
            return true;
        };
        let since = std::mem::take(&mut start.since);
        self.phase = Phase::Running;
        // Memberships that changed meanwhile.
        self.take_inbox();
        let Phase::Running = self.phase else { return true };
        let Started { firsts, not_member, quarantined } = self.rooms.start(&since, &starts);
        let log_id = view::log_id(self.hub.deps.identity);
        let started = ServerFrame::Started { log_id: &log_id, rooms: firsts, not_member };
        self.place.queue.push(started.encode());
        for (room, from) in quarantined {
            self.place.queue.push(ServerFrame::quarantined(room, from).encode());
        }
        self.rooms.settle_all();
        true
    }
}

/// Finds out which rooms of `since` the account has joined, though the store did not know when the
/// socket opened, and tells the socket; of those in quarantine, which it answers, that cannot be found
/// out. `None` if nothing can be told now.
async fn look_up(
    hub: &Hub,
    queue: &SocketQueue,
    rooms: Vec<RoomId>,
    deadline: Instant,
) -> Option<Vec<RoomId>> {
    let mut quarantined = Vec::new();
    let mut by_partition: HashMap<TopicPartition, Vec<RoomId>> = HashMap::new();
    for room in rooms {
        by_partition.entry(hub.partition_of(room).id).or_default().push(room);
    }
    for (id, rooms) in by_partition {
        let lease = hub.room_partitions()[id.partition as usize].lease();
        // Joinings that the tail delivers from here on come as notices. What a tail had delivered that
        // ran when the socket opened, the store has had since then; what one did not that began later,
        // the store had when it began.
        if !lease.has_begun(deadline).await
            || !lease.has_processed(hub.end(&lease, deadline).await, deadline).await
        {
            return None;
        }
        let of_partition = joinings(hub, queue, &lease, rooms)
            .await
            .inspect_err(|error| {
                tracing::warn!(error = error as &dyn std::error::Error, "a stream cannot start");
            })
            .ok()?;
        quarantined.extend(of_partition);
    }
    Some(quarantined)
}

/// Tells the socket of those of the rooms that the store knows; answers those in quarantine.
async fn joinings(
    hub: &Hub,
    queue: &SocketQueue,
    lease: &Lease,
    rooms: Vec<RoomId>,
) -> Result<Vec<RoomId>, StoreError> {
    let visibilities = stream::iter(rooms).map(|room| async move {
        match hub.deps.rooms.visibility(room, queue.account).await {
            Err(StoreError::Quarantined { .. }) => Ok((room, Err(()))),
            known => known.map(|visibility| (room, Ok(visibility))),
        }
    });
    let mut quarantined = Vec::new();
    for (room, visibility) in visibilities.buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await? {
        let Ok(visibility) = visibility else {
            quarantined.push(room);
            continue;
        };
        let last = visibility.and_then(|visibility| visibility.intervals.last().copied());
        if let Some(Interval { joined: seq, left: None }) = last {
            queue.notify(Notice::Joined { room, seq, left: None, offset: 0, lease: lease.clone() });
        }
    }
    Ok(quarantined)
}

/// `None` if tail or store are not as far as the log was when the socket opened, and don't get there.
async fn firsts(
    hub: Arc<Hub>,
    ends: Vec<(Lease, u64)>,
    rooms: Vec<Arc<Room>>,
    deadline: Instant,
) -> Option<HashMap<RoomId, Seq>> {
    for (lease, end) in &ends {
        if !lease.has_processed(*end, deadline).await {
            return None;
        }
    }
    let end_of: HashMap<TopicPartition, u64> = ends.iter().map(|(lease, end)| (lease.id, *end)).collect();
    let firsts = stream::iter(rooms).map(|room| {
        let (hub, end) = (&hub, end_of.get(&room.partition).copied().unwrap_or(room.known_from));
        async move {
            Ok::<_, StoreError>(first_at_or_after(hub, &room, end, deadline).await?.map(|seq| (room.id, seq)))
        }
    });
    firsts
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<_>>()
        .await
        .inspect_err(|error| {
            tracing::warn!(error = error as &dyn std::error::Error, "a stream cannot start");
        })
        .ok()?
        .into_iter()
        .collect()
}

/// The first seq of a room whose record is at this offset or later, present or to come.
async fn first_at_or_after(
    hub: &Hub,
    room: &Room,
    end: u64,
    deadline: Instant,
) -> Result<Option<Seq>, StoreError> {
    if let Some(seq) = room.first_at_or_after(end) {
        return Ok(Some(seq));
    }
    if !hub.store_covers(room.partition, end.max(room.known_from), deadline).await? {
        return Ok(None);
    }
    resolve(hub, room).await?;
    if let Some(seq) = room.first_at_or_after(end) {
        return Ok(Some(seq));
    }
    // The store is ahead: back to the last event before the end.
    let store = &hub.deps.rooms;
    let mut after = store.seq_range(room.id).await?.map_or(1, |(_, last)| last + 1);
    while after > 1 {
        let from = after.saturating_sub(BACK).max(1);
        let rows = store.events(room.id, from, BACK as usize).await?;
        if let Some(row) = rows.iter().rev().find(|row| row.offset < end) {
            return Ok(Some(row.seq + 1));
        }
        after = from;
    }
    Ok(Some(1))
}
