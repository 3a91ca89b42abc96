//! How far the projections are behind the log.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use roomlog_eventlog::{EventLog, TopicPartition};
use roomlog_stores::progress::Projection;
use tokio::time::MissedTickBehavior;

use crate::batch::Batch;
use crate::status::Cell;

/// Longest that the oldest record which is not projected is waited for.
const READ_LIMIT: Duration = Duration::from_secs(2);

/// Sets `roomlog_projection_lag_records`, by offsets, and `roomlog_projection_lag_seconds` at every
/// interval: also of what has stopped. While the log is away the last values stay.
pub(crate) async fn report(log: &Arc<dyn EventLog>, cells: &[Arc<Cell>], interval: Duration) -> Infallible {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Where each stood when it was behind, and when the record that comes next there was appended.
    let mut oldest: Vec<Option<(u64, i64)>> = vec![None; cells.len()];
    loop {
        ticks.tick().await;
        let mut ends = HashMap::new();
        for (cell, oldest) in cells.iter().zip(&mut oldest) {
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
            let lag = match *oldest {
                _ if next_offset >= end => Duration::ZERO,
                Some((offset, appended_ms)) if offset == next_offset => age(appended_ms),
                _ => {
                    let appended_ms = append_time(log, cell.partition, next_offset).await;
                    *oldest = appended_ms.map(|appended_ms| (next_offset, appended_ms));
                    let Some(appended_ms) = appended_ms else { continue };
                    age(appended_ms)
                }
            };
            cell.gauge("roomlog_projection_lag_seconds").set(lag);
        }
    }
}

/// When the first record at or after `from` was appended, by the log's clock; read from the log, which
/// costs something only where a projection is behind.
async fn append_time(log: &Arc<dyn EventLog>, partition: TopicPartition, from: u64) -> Option<i64> {
    let first = async { log.read(partition, from).await?.next().await };
    let records = tokio::time::timeout(READ_LIMIT, first).await.ok()?.ok()?;
    records.first().map(|record| record.append_time_ms)
}

/// From a time by the log's clock until now by this one; the two may differ a little.
fn age(appended_ms: i64) -> Duration {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    Duration::from_millis(now_ms.saturating_sub(appended_ms).max(0) as u64)
}

/// Records `roomlog_projection_delay_seconds`: from the append of the batch's first record, by the
/// log's clock, until it can be read.
pub(crate) fn record_delay(projection: Projection, batch: &Batch) {
    let Some(first) = batch.records.first() else { return };
    metrics::histogram!("roomlog_projection_delay_seconds", "projection" => projection.name())
        .record(age(first.append_time_ms));
}

#[cfg(test)]
mod tests {
    use roomlog_eventlog::memory::MemoryLog;
    use roomlog_eventlog::{NewRecord, PartitionCounts};

    use super::*;

    /// What is reported of a projection in `rooms/0` that stands at this offset, of 5.
    fn reported(next_offset: u64) -> String {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let log: Arc<dyn EventLog> =
                    Arc::new(MemoryLog::new(PartitionCounts { accounts: 1, rooms: 1 }));
                let partition = TopicPartition::rooms(0);
                for _ in 0..5 {
                    log.append(partition, NewRecord::default()).await.unwrap();
                }
                let cell = Arc::new(Cell::new(Projection::Directory, 1, partition));
                cell.reached(next_offset);
                let cells = [cell];
                let report = report(&log, &cells, Duration::from_millis(1));
                let _ = tokio::time::timeout(Duration::from_millis(20), report).await;
            });
        });
        recorder.handle().render()
    }

    fn value(text: &str, name: &str) -> f64 {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    }

    #[test]
    fn lag_is_told_in_records_and_by_the_age_of_the_oldest() {
        let behind = reported(2);
        assert_eq!(value(&behind, "roomlog_projection_lag_records"), 3.0);
        // This log's records are as old as 1970, to the millisecond of their offset.
        let seconds = value(&behind, "roomlog_projection_lag_seconds");
        assert!((age(2).as_secs_f64() - seconds).abs() < 60.0, "{seconds}");
        let current = reported(5);
        assert_eq!(value(&current, "roomlog_projection_lag_records"), 0.0);
        assert_eq!(value(&current, "roomlog_projection_lag_seconds"), 0.0);
    }
}
