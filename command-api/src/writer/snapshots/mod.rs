//! Snapshots of writers, kept outside the log: a start reads on from the last one instead of from offset 0.
//!
//! ```text
//!   log   0 ──────────────── cursor of the snapshot ──────── end
//!                            └─ proved by the record before it, then read on
//! ```
//!
//! They are a cache. One that is missing, damaged, of another version, of another log or not to be had in
//! time costs a replay and nothing else. They hold ids, keys and their answers, but nothing that a person
//! wrote.

mod encoding;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use roomlog_domain::STATE_VERSION;
use roomlog_eventlog::{EventLog, LogIdentity, TopicPartition, prove};
use roomlog_stores::objects::Objects;

use self::encoding::{FORMAT, decode, encode};
use super::core::Snapshot;

/// A start does not wait longer for a snapshot: by then a replay has come far as well.
const LOAD_LIMIT: Duration = Duration::from_secs(10);

/// Where the writers of a process keep their snapshots; cheap to clone.
#[derive(Debug, Clone)]
pub struct Snapshots {
    objects: Objects,
    every: u64,
}

impl Snapshots {
    /// An owner makes one after each `every` offsets of its partition.
    pub fn new(objects: Objects, every: u64) -> Self {
        Self { objects, every: every.max(1) }
    }

    pub fn is_due(&self, since: u64, next_offset: u64) -> bool {
        next_offset.saturating_sub(since) >= self.every
    }

    /// The last snapshot of a partition of this log, if there is one to start from.
    pub async fn load(
        &self,
        log: &Arc<dyn EventLog>,
        partition: TopicPartition,
        identity: LogIdentity,
    ) -> Option<Snapshot> {
        let started = Instant::now();
        let loading = self.load_proved(log, partition, identity);
        let (outcome, snapshot) = match tokio::time::timeout(LOAD_LIMIT, loading).await {
            Ok(Ok(Some(snapshot))) => ("loaded", Some(snapshot)),
            Ok(Ok(None)) => ("absent", None),
            Ok(Err(reason)) => {
                tracing::warn!(%partition, reason, "a snapshot is of no use: the partition is replayed");
                ("refused", None)
            }
            Err(_) => {
                tracing::warn!(%partition, "a snapshot could not be had in time: the partition is replayed");
                ("late", None)
            }
        };
        metrics::counter!("roomlog_snapshot_loads_total", "outcome" => outcome).increment(1);
        if let Some(snapshot) = &snapshot {
            let next_offset = snapshot.cursor.next_offset;
            tracing::info!(%partition, next_offset, seconds = started.elapsed().as_secs_f64(), "starting from a snapshot");
        }
        snapshot
    }

    async fn load_proved(
        &self,
        log: &Arc<dyn EventLog>,
        partition: TopicPartition,
        identity: LogIdentity,
    ) -> Result<Option<Snapshot>, String> {
        let name = name(partition, identity);
        let Some(bytes) = self.objects.get(&name).await.map_err(|error| chain(&error))? else {
            return Ok(None);
        };
        let decoded = tokio::task::spawn_blocking(move || decode(&bytes)).await;
        let snapshot = decoded.map_err(|error| chain(&error))?.map_err(|error| chain(&error))?;
        if snapshot.cursor.identity != identity || snapshot.cursor.partition != partition {
            return Err("it is of another log".into());
        }
        prove(log, &snapshot.cursor).await.map_err(|error| chain(&error))?;
        Ok(Some(snapshot))
    }

    /// Keeps a snapshot in place of the one before. A failure is only counted: the next one is due soon.
    pub async fn save(&self, snapshot: Snapshot) {
        let started = Instant::now();
        let (partition, identity) = (snapshot.cursor.partition, snapshot.cursor.identity);
        let saved = async {
            let encoded = tokio::task::spawn_blocking(move || encode(&snapshot)).await;
            let bytes = encoded.map_err(|error| chain(&error))?.map_err(|error| chain(&error))?;
            let length = bytes.len();
            let put = self.objects.put(&name(partition, identity), Bytes::from(bytes)).await;
            put.map(|()| length).map_err(|error| chain(&error))
        };
        let outcome = match saved.await {
            Ok(bytes) => {
                tracing::debug!(%partition, bytes, "a snapshot has been saved");
                "saved"
            }
            Err(reason) => {
                tracing::warn!(%partition, reason, "a snapshot could not be saved");
                "failed"
            }
        };
        metrics::counter!("roomlog_snapshot_saves_total", "outcome" => outcome).increment(1);
        metrics::histogram!("roomlog_snapshot_save_seconds").record(started.elapsed().as_secs_f64());
    }
}

/// Of another version of the state there are other objects: processes of two builds leave each other's
/// alone.
fn name(partition: TopicPartition, identity: LogIdentity) -> String {
    let TopicPartition { topic, partition: number } = partition;
    format!("snapshots/{}/{}-{number}.{STATE_VERSION}-{FORMAT}", identity.log_id, topic.name())
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
