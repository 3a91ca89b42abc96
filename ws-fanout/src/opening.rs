//! What is looked up before a socket opens: the account's rooms, and the log's end.

use std::sync::Arc;

use axum::http::StatusCode;
use futures::future::join_all;
use roomlog_eventlog::TopicPartition;
use roomlog_schemas::RoomId;
use roomlog_schemas::event::Seq;
use roomlog_web::{Authenticated, Problem};
use tokio::time::{Instant, timeout_at};

use crate::accounts::Refused;
use crate::hub::Hub;
use crate::queue::SocketQueue;

/// A socket's place; given back when this goes.
pub(crate) struct Place {
    pub hub: Arc<Hub>,
    pub queue: Arc<SocketQueue>,
}

/// Everything that a socket starts from.
pub(crate) struct Opened {
    pub place: Place,
    /// The account's rooms with the seq of its joining, as of the store. What changes after that
    /// comes as a notice.
    pub rooms: Vec<(RoomId, Seq)>,
    /// The end of each partition with such rooms when the socket opened: what was accepted before
    /// lies below.
    pub ends: Vec<(TopicPartition, u64)>,
}

impl Place {
    pub fn take(hub: &Arc<Hub>, who: Authenticated) -> Result<Self, Problem> {
        let options = &hub.options;
        let queue = Arc::new(SocketQueue::new(who.account_id, who.session_id, options.queue_bytes));
        hub.accounts.add(queue.clone(), options.max_connections, options.max_per_account).map_err(
            |refused| match refused {
                Refused::Process => Problem::unavailable(
                    "too_many_connections",
                    "This process has as many sockets as it takes.",
                ),
                Refused::Account => Problem::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too_many_sockets",
                    "This account has as many sockets open as it may have.",
                )
                .retry_after(1),
            },
        )?;
        hub.telemetry.sockets.increment(1.0);
        let place = Self { hub: hub.clone(), queue };
        // Looked at after the socket can be told to close.
        if hub.is_closing() { Err(closing()) } else { Ok(place) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.hub.accounts.remove(&self.queue);
        self.hub.telemetry.sockets.decrement(1.0);
    }
}

pub(crate) async fn open(place: Place) -> Result<Opened, Problem> {
    let hub = place.hub.clone();
    let deadline = Instant::now() + hub.options.open_timeout;
    // The socket hears of changes from now on; the store has to know those before.
    for partition in hub.partitions() {
        if !hub.store_covers(partition.id, partition.processed(), deadline).await? {
            return Err(not_caught_up());
        }
    }
    let rooms: Vec<(RoomId, Seq)> = hub
        .deps
        .rooms
        .rooms_of(place.queue.account)
        .await?
        .into_iter()
        .filter_map(|(room, intervals)| Some((room, intervals.last()?.joined)))
        .collect();
    let ends = ends(&hub, &rooms, deadline).await;
    Ok(Opened { place, rooms, ends })
}

/// Where the log ends now, in the partitions of these rooms. While the log is away nothing is
/// accepted: then it ends where the tail is, as far as anybody can tell.
async fn ends(hub: &Hub, rooms: &[(RoomId, Seq)], deadline: Instant) -> Vec<(TopicPartition, u64)> {
    let mut partitions: Vec<TopicPartition> =
        rooms.iter().map(|(room, _)| hub.partition_of(*room).id).collect();
    partitions.sort_unstable();
    partitions.dedup();
    join_all(partitions.into_iter().map(|id| async move {
        let end = match timeout_at(deadline, hub.deps.log.end(id)).await {
            Ok(Ok(end)) => end,
            Ok(Err(_)) | Err(_) => hub.partitions()[id.partition as usize].processed(),
        };
        (id, end)
    }))
    .await
}

pub(crate) fn closing() -> Problem {
    Problem::unavailable("stream_not_ready", "This process is ending: connect again, to another one.")
}

pub(crate) fn not_caught_up() -> Problem {
    Problem::unavailable("stream_not_ready", "The stream cannot start yet.")
}
