//! What every backend promises, as tests: one suite, run on each by
//! [`event_log_conformance!`](crate::event_log_conformance).
//!
//! Each case gets a log of its own, empty, with [`COUNTS`] partitions.

pub mod append;
pub mod broadcast;
pub mod faults;
pub mod fence;
mod owner;
pub mod read;
pub mod stop;
pub mod traces;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::partition::{PartitionCounts, TopicPartition};
use crate::port::{Appended, EventLog, LogError, LogRecord, NewRecord};

pub const COUNTS: PartitionCounts = PartitionCounts { accounts: 1, rooms: 2 };

/// No step of a case takes nearly as long; one that does has failed.
const DEADLINE: Duration = Duration::from_secs(30);

const ROOMS_0: TopicPartition = TopicPartition::rooms(0);
const ROOMS_1: TopicPartition = TopicPartition::rooms(1);

/// One log under test, and what cannot be done through its port.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Opens the log; again with the same data after all that was opened before has been dropped.
    async fn open(&self) -> Arc<dyn EventLog>;

    /// Appends both, with at least one offset between them that no record has. No log is open.
    async fn append_around_gap(&self, partition: TopicPartition, before: NewRecord, after: NewRecord);

    /// Makes the open log unable to append until [`repair`](Self::repair); `false` if this backend
    /// has no way to.
    async fn break_it(&self) -> bool;

    async fn repair(&self);

    /// Leaves nothing behind. All that was opened has been dropped.
    async fn remove(self);
}

/// Defines one `#[tokio::test]` for each case: `event_log_conformance!(sqlite, Sqlite::new().await)`
/// where the expression gives an `Option` of a [`Backend`](crate::conformance::Backend); `None`
/// means that this backend cannot be tested here and that it has said so.
#[macro_export]
macro_rules! event_log_conformance {
    ($name:ident, $backend:expr) => {
        $crate::event_log_conformance!(@cases $name, $backend,
            append {
                a_confirmed_append_survives_a_restart,
                appends_keep_the_order_of_their_calls,
                concurrent_appenders_each_keep_their_order,
                the_end_lies_behind_every_confirmed_append,
                the_largest_record_is_taken_and_a_larger_one_refused,
                an_empty_value_stays_a_record,
                a_partition_that_does_not_exist_is_refused,
                append_times_are_read_as_they_were_told,
            }
            read {
                a_reader_begins_at_any_offset_up_to_the_end,
                a_reader_cannot_begin_beyond_the_end,
                readers_opened_before_and_after_see_the_same,
                many_readers_and_writers_at_once,
                a_reader_far_behind_meets_the_newest_records,
                a_cancelled_read_loses_nothing,
                offsets_without_a_record_are_passed_over,
                partitions_do_not_mix,
            }
            fence {
                a_replaced_owners_records_are_skipped_by_every_reader,
                of_two_claims_for_one_epoch_the_first_counts,
                a_duplicate_is_accepted_once,
                an_orphan_of_a_lost_record_is_skipped,
                a_reader_goes_on_from_a_stored_cursor_after_a_restart,
                the_first_claim_names_the_log,
                foreign_bytes_are_skipped_and_counted,
            }
            stop {
                an_accepted_record_that_cannot_be_decoded_stops_the_reader,
                an_unknown_frame_version_stops_the_reader,
                a_cursor_of_another_log_is_refused,
                a_cursor_beyond_the_end_is_refused,
            }
            traces {
                a_sampled_trace_comes_back_with_its_record,
            }
            faults {
                a_broken_log_confirms_nothing_and_works_again_when_repaired,
                readers_go_on_after_the_log_was_broken,
            }
        );
    };
    (@cases $name:ident, $backend:expr, $($group:ident { $($case:ident),+ $(,)? })+) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            $(
                mod $group {
                    #[allow(unused_imports)]
                    use super::*;
                    $(
                        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                        async fn $case() {
                            let Some(backend) = $backend else { return };
                            $crate::conformance::$group::$case(&backend).await;
                            $crate::conformance::Backend::remove(backend).await;
                        }
                    )+
                }
            )+
        }
    };
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(done) => done,
        Err(_) => panic!("{what}: not within {DEADLINE:?}"),
    }
}

fn record(value: impl Into<Bytes>) -> NewRecord {
    NewRecord { value: value.into(), ..NewRecord::default() }
}

async fn append(log: &Arc<dyn EventLog>, partition: TopicPartition, value: impl Into<Bytes>) -> Appended {
    within("an append", log.append(partition, record(value))).await.expect("the log takes the record")
}

/// Reads from `from` until `until` is passed; checks what every reader promises.
async fn read(log: &Arc<dyn EventLog>, partition: TopicPartition, from: u64, until: u64) -> Vec<LogRecord> {
    let mut reader = within("opening a reader", log.read(partition, from)).await.expect("a reader opens");
    let mut records: Vec<LogRecord> = Vec::new();
    while records.last().is_none_or(|last| last.offset + 1 < until) {
        let more = within("reading", reader.next()).await.expect("the reader reads");
        assert!(!more.is_empty(), "`next` gives at least one record");
        records.extend(more);
    }
    assert!(records[0].offset >= from, "nothing before {from}: {}", records[0].offset);
    assert!(records.is_sorted_by(|a, b| a.offset < b.offset), "in order, none twice");
    records
}

fn values(records: &[LogRecord]) -> Vec<Bytes> {
    records.iter().map(|record| record.value.clone()).collect()
}

/// The error of a result that must be one; readers have no `Debug`.
fn refused<T>(result: Result<T, LogError>) -> LogError {
    match result {
        Ok(_) => panic!("the log should have refused"),
        Err(error) => error,
    }
}
