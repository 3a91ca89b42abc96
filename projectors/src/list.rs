//! How far each projection is.

use std::sync::Arc;

use roomlog_eventlog::{EventLog, Head, TopicPartition};
use roomlog_stores::progress::Projection;
use serde::Serialize;

use crate::projector::projector;
use crate::{Error, Stores};

/// One projection in one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listing {
    pub projection: &'static str,
    pub version: u32,
    pub partition: TopicPartition,
    /// Everything below is stored; 0 before the first batch.
    pub next_offset: u64,
    /// The offset that the next record will get.
    pub log_end: u64,
    /// Offsets between the two.
    pub lag: u64,
    /// Of the last claim read; 0 before the first.
    pub epoch: u64,
    /// Of the hash chain at `next_offset`; absent before the first batch.
    pub head: Option<Head>,
    /// Of the last command read, milliseconds since 1970.
    pub record_time_ms: Option<i64>,
}

/// Asks stores and log where every projection stands in every partition.
pub async fn list(log: &Arc<dyn EventLog>, stores: &Stores) -> Result<Vec<Listing>, Error> {
    let mut listings = Vec::new();
    for projection in Projection::ALL {
        let projector = projector(projection, stores);
        for partition in
            log.partitions().all().filter(|partition| projector.topics().contains(&partition.topic))
        {
            let cursor = projector.cursor(partition).await?;
            let next_offset = cursor.as_ref().map_or(0, |cursor| cursor.next_offset);
            let log_end = log.end(partition).await?;
            listings.push(Listing {
                projection: projection.name(),
                version: projector.version(),
                partition,
                next_offset,
                log_end,
                lag: log_end.saturating_sub(next_offset),
                epoch: cursor.as_ref().map_or(0, |cursor| cursor.epoch),
                head: cursor.as_ref().map(|cursor| cursor.head),
                record_time_ms: cursor
                    .filter(|cursor| cursor.record_time_ms > 0)
                    .map(|cursor| cursor.record_time_ms),
            });
        }
    }
    Ok(listings)
}
