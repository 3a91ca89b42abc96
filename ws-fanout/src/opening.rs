//! What is looked up before a socket opens: whether its session lives, the account's rooms, and the
//! log's end.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::StatusCode;
use futures::future::{join_all, try_join_all};
use roomlog_eventlog::TopicPartition;
use roomlog_schemas::event::Seq;
use roomlog_schemas::{RoomId, SessionId};
use roomlog_stores::StoreError;
use roomlog_web::{Authenticated, Problem};
use tokio::time::Instant;

use crate::accounts::Refused;
use crate::hub::Hub;
use crate::partition::Lease;
use crate::queue::SocketQueue;

/// A socket's place; given back when this goes.
pub(crate) struct Place {
    pub hub: Arc<Hub>,
    pub queue: Arc<SocketQueue>,
    /// Of the account's partition, whose tail tells when a session has ended.
    account: Lease,
}

/// Everything that a socket starts from.
pub(crate) struct Opened {
    pub place: Place,
    /// The account's rooms with the seq of its joining, as of the store. What changes after that
    /// comes as a notice.
    pub rooms: Vec<(RoomId, Seq)>,
    /// The partitions with such rooms, whose tails have begun, and the end of each when the socket
    /// opened: what was accepted before lies below.
    pub ends: Vec<(Lease, u64)>,
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
        let account = hub.partition_of_account(who.account_id).lease();
        let place = Self { hub: hub.clone(), queue, account };
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
    // An end of the session from here on closes the socket; one before is in the secrets store, which
    // is told before the log.
    if !place.account.has_begun(deadline).await {
        return Err(not_caught_up());
    }
    if !session_is_live(&hub, place.queue.session()).await? {
        return Err(Problem::session_ended());
    }
    let (rooms, leases) = rooms(&place, deadline).await?;
    let ends = leases.into_values().map(|lease| async {
        let end = hub.end(&lease, deadline).await;
        (lease, end)
    });
    let ends = join_all(ends).await;
    Ok(Opened { place, rooms, ends })
}

pub(crate) async fn session_is_live(hub: &Hub, session: SessionId) -> Result<bool, StoreError> {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    hub.deps.secrets.session_is_live(session, since_1970.as_millis() as i64).await
}

/// The account's rooms with the seqs of its joinings, and leases of their partitions.
///
/// The socket hears already of what the tails deliver; the store has to know what they delivered
/// before. A tail that begins only now might begin behind what was looked up: then the rooms are
/// looked up again.
async fn rooms(
    place: &Place,
    deadline: Instant,
) -> Result<(Vec<(RoomId, Seq)>, HashMap<TopicPartition, Lease>), Problem> {
    let hub = &*place.hub;
    let mut leases = HashMap::<TopicPartition, Lease>::new();
    loop {
        let began: Vec<_> = hub.room_partitions().iter().map(|partition| partition.began()).collect();
        let running = hub.room_partitions().iter().filter(|partition| partition.began().is_some());
        let covered = try_join_all(
            running.map(|partition| hub.store_covers(partition.id, partition.processed(), deadline)),
        );
        if covered.await?.contains(&false) {
            return Err(not_caught_up());
        }
        let rooms: Vec<(RoomId, Seq)> = hub
            .deps
            .rooms
            .rooms_of(place.queue.account)
            .await?
            .into_iter()
            .filter_map(|(room, intervals)| Some((room, intervals.last()?.joined)))
            .collect();
        for (room, _) in &rooms {
            let partition = hub.partition_of(*room);
            leases.entry(partition.id).or_insert_with(|| partition.lease());
        }
        let mut has_run_all_along = true;
        for lease in leases.values() {
            if !lease.has_begun(deadline).await {
                return Err(not_caught_up());
            }
            has_run_all_along &= lease.began() == began[lease.id.partition as usize];
        }
        if has_run_all_along {
            return Ok((rooms, leases));
        }
    }
}

pub(crate) fn closing() -> Problem {
    Problem::unavailable("stream_not_ready", "This process is ending: connect again, to another one.")
}

pub(crate) fn not_caught_up() -> Problem {
    Problem::unavailable("stream_not_ready", "The stream cannot start yet.")
}
