//! Shares the partitions with other processes: hears heartbeats, tells each writer its duty, and says
//! in the own heartbeats what it owns.

use std::collections::HashMap;
use std::time::Duration;

use roomlog_eventlog::TopicPartition;
use roomlog_members as members;
use tokio_util::sync::CancellationToken;

use super::driver::Handle;
use super::ownership::{Options, Ownership, Status};

/// What has been heard is looked at this often, or when a heartbeat says something new.
const TICK: Duration = Duration::from_millis(50);
/// A process that stops gives up handing over after this long.
const HAND_OVER_LIMIT: Duration = Duration::from_secs(8);

/// Runs until `stop`, and then until everything has been handed over to others, if there are any.
pub async fn share(
    members: members::Handle,
    writers: Vec<Handle>,
    options: Options,
    stop: CancellationToken,
) {
    let writers: HashMap<TopicPartition, Handle> =
        writers.into_iter().map(|writer| (writer.partition(), writer)).collect();
    let mut ownership = Ownership::new(writers.keys().copied(), options);
    let mut heard = members.heard();
    let mut until: Option<tokio::time::Instant> = None;
    loop {
        let now = members.now();
        let status = |partition| writers.get(&partition).map_or(Status::default(), Handle::status);
        let duties = ownership.plan(now, &members.roster(), status);
        for (partition, duty) in duties {
            if let Some(writer) = writers.get(&partition) {
                writer.set_duty(duty);
            }
        }
        let mut urgent = false;
        members.update(|own| urgent = ownership.describe(now, own));
        if urgent {
            members.beat();
        }
        let owned = writers.values().filter(|writer| writer.status().owns).count();
        metrics::gauge!("roomlog_writer_owned_partitions").set(owned as f64);
        if until.is_some_and(|until| ownership.is_handed_over() || tokio::time::Instant::now() >= until) {
            return;
        }
        tokio::select! {
            _ = tokio::time::timeout(TICK, heard.changed()) => {}
            () = stop.cancelled(), if until.is_none() => {
                ownership.stop();
                let others = members.roster().with_role(members.now(), members::Role::CommandApi).count() > 1;
                let limit = if others { HAND_OVER_LIMIT } else { Duration::ZERO };
                until = Some(tokio::time::Instant::now() + limit);
            }
        }
    }
}
