//! How far the projections are behind the log.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use roomlog_eventlog::EventLog;
use roomlog_stores::progress::Projection;
use tokio::time::MissedTickBehavior;

use crate::batch::Batch;
use crate::status::Cell;

/// Sets `roomlog_projection_lag_records`, by offsets, at every interval: also of what has stopped.
/// While the log is away the last value stays.
pub(crate) async fn report(log: &Arc<dyn EventLog>, cells: &[Arc<Cell>], interval: Duration) -> Infallible {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let mut ends = HashMap::new();
        for cell in cells {
            let next_offset = cell.status().next_offset;
            let end = match ends.get(&cell.partition) {
                Some(end) => *end,
                None => {
                    let Ok(end) = log.end(cell.partition).await else { continue };
                    ends.insert(cell.partition, end);
                    end
                }
            };
            cell.gauge("roomlog_projection_lag_records").set(end.saturating_sub(next_offset) as f64);
        }
    }
}

/// Records `roomlog_projection_delay_seconds`: from the append of the batch's first record, by the
/// log's clock, until it can be read.
pub(crate) fn record_delay(projection: Projection, batch: &Batch) {
    let Some(first) = batch.records.first() else { return };
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    let delay = Duration::from_millis(now_ms.saturating_sub(first.append_time_ms).max(0) as u64);
    metrics::histogram!("roomlog_projection_delay_seconds", "projection" => projection.name()).record(delay);
}
