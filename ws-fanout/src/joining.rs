//! Rooms that an account with open sockets joins in a partition that is not followed here.
//!
//! A tail tells its sockets of every joining. Where none runs, or where it began behind the joining,
//! two others do: signals, which may be lost, and a slow poll. Both only make the socket look: it
//! begins with the joining, reads from the store what lies before the tail, and passes over what it
//! knows, so that it does not matter how often and by whom it is told.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use roomlog_eventlog::{Broadcast, LogError};
use roomlog_schemas::AccountId;
use roomlog_stores::StoreError;
use roomlog_stores::signal::{Joining, Signal};
use tokio::time::{Instant, sleep};

use crate::hub::Hub;
use crate::queue::Notice;

/// Signals that are looked into at the same time. More wait, and become old: the poll finds the rest.
const LOOKS: usize = 64;
/// Between attempts to listen to a topic that cannot be reached.
const RETRY: Duration = Duration::from_millis(500);
/// The poll's rounds, in each interval: accounts are spread over them.
const ROUNDS: u32 = 8;

/// Never ends.
pub(crate) async fn run(hub: &Arc<Hub>) {
    tokio::join!(listen(hub), poll(hub));
}

async fn listen(hub: &Arc<Hub>) {
    let Some(signals) = &hub.deps.signals else { return };
    loop {
        if let Err(error) = hear(hub, &**signals).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "signals cannot be heard");
        }
        sleep(RETRY).await;
    }
}

async fn hear(hub: &Arc<Hub>, signals: &dyn Broadcast) -> Result<(), LogError> {
    let mut messages = signals.subscribe().await?;
    let mut looks = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(()) = looks.next() => {}
            message = messages.next(), if looks.len() < LOOKS => {
                let Some(message) = message else { return Ok(()) };
                let Some(Signal::Joined { joinings }) = Signal::decode(&message) else { continue };
                let ours = joinings.into_iter().filter(|joining| hub.accounts.has(joining.account_id));
                looks.extend(ours.map(|joining| look(hub, joining)));
            }
        }
    }
}

/// Tells the account's sockets of a joining, unless the tail does.
async fn look(hub: &Hub, joining: Joining) {
    metrics::counter!("roomlog_fanout_joinings_signalled_total").increment(1);
    if let Err(error) = look_into(hub, joining).await {
        tracing::warn!(
            room = %joining.room_id,
            error = &error as &dyn std::error::Error,
            "a joining has to be found by the poll"
        );
    }
}

async fn look_into(hub: &Hub, joining: Joining) -> Result<(), StoreError> {
    let Joining { account_id, room_id, seq, offset } = joining;
    let deadline = Instant::now() + hub.options.open_timeout;
    let lease = hub.partition_of(room_id).lease();
    if !lease.has_begun(deadline).await {
        return Ok(());
    }
    if lease.began().is_some_and(|began| began.offset <= offset) {
        // The tail comes to it; it must not be stopped before.
        lease.has_processed(offset + 1, deadline).await;
        return Ok(());
    }
    // The tail began behind it, so the store has it: also the end of this membership, if it has ended
    // before the tail began.
    let visibility = hub.deps.rooms.visibility(room_id, account_id).await?.unwrap_or_default();
    let interval = visibility.intervals.into_iter().find(|interval| interval.joined == seq);
    if let Some(interval) = interval {
        hub.accounts.notify(account_id, || Notice::Joined {
            room: room_id,
            seq,
            left: interval.left,
            offset: 0,
            lease: lease.clone(),
        });
    }
    Ok(())
}

/// Looks up the rooms of every account that may have joined one unheard, once in an interval or so.
async fn poll(hub: &Arc<Hub>) {
    let round = hub.options.poll_interval / ROUNDS;
    loop {
        let started = Instant::now();
        let due = due(hub, started);
        let pause = round.checked_div(due.len() as u32 + 1).unwrap_or_default();
        for account in due {
            match ask(hub, account).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "the poll for joinings waits");
                    break;
                }
            }
            sleep(pause).await;
        }
        // Processes that were started together drift apart, for each has its own accounts.
        sleep(round.saturating_sub(started.elapsed()).max(Duration::from_millis(1))).await;
    }
}

/// Those that were not asked for within the interval, if they may have missed anything: a partition
/// is not followed, or only since then.
fn due(hub: &Hub, now: Instant) -> Vec<AccountId> {
    let Some(long_ago) = now.checked_sub(hub.options.poll_interval) else { return Vec::new() };
    let began: Option<Vec<Instant>> =
        hub.room_partitions().iter().map(|partition| Some(partition.began()?.at)).collect();
    let time = match began.map(|began| began.into_iter().max()) {
        None => long_ago,
        Some(newest) => newest.map_or(long_ago, |newest| newest.min(long_ago)),
    };
    hub.accounts.looked_before(Some(time))
}

/// False if a tail does not begin now.
async fn ask(hub: &Hub, account: AccountId) -> Result<bool, StoreError> {
    metrics::counter!("roomlog_fanout_polls_total").increment(1);
    let at = Instant::now();
    let deadline = at + hub.options.open_timeout;
    for (room, intervals) in hub.deps.rooms.rooms_of(account).await? {
        let Some(interval) = intervals.last().copied() else { continue };
        let lease = hub.partition_of(room).lease();
        if !lease.has_begun(deadline).await {
            return Ok(false);
        }
        hub.accounts.notify(account, || Notice::Joined {
            room,
            seq: interval.joined,
            left: None,
            offset: 0,
            lease: lease.clone(),
        });
    }
    hub.accounts.looked(account, at);
    Ok(true)
}
