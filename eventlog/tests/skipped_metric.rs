//! Records that do not count are counted by reason.

// Clippy knows the tests themselves, not what they share.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use metrics::{Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use roomlog_eventlog::frame::encode_claim;
use roomlog_eventlog::memory::MemoryLog;
use roomlog_eventlog::{
    AcceptedReader, Claim, Cursor, EventLog, LogIdentity, NewRecord, PartitionCounts, TopicPartition,
};
use uuid::Uuid;

/// Counters by name and labels.
#[derive(Default, Clone)]
struct Counted(Arc<Mutex<HashMap<String, u64>>>);

struct One(Counted, String);

impl CounterFn for One {
    fn increment(&self, by: u64) {
        *self.0.0.lock().unwrap().entry(self.1.clone()).or_default() += by;
    }

    fn absolute(&self, _: u64) {}
}

impl Recorder for Counted {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let labels: Vec<String> =
            key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = format!("{}{{{}}}", key.name(), labels.join(","));
        Counter::from_arc(Arc::new(One(self.clone(), name)))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[tokio::test]
async fn skipped_records_are_counted_by_reason() {
    let counted = Counted::default();
    let _installed = metrics::set_default_local_recorder(&counted);
    let partitions = PartitionCounts { accounts: 1, rooms: 1 };
    let identity = LogIdentity { log_id: Uuid::from_u128(1), partitions };
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(partitions));
    let partition = TopicPartition::rooms(0);
    let claim = encode_claim(&Claim { epoch: 1, claim_id: Uuid::from_u128(2), identity, address: "" });
    for value in [Bytes::from_static(b"foreign"), claim.clone(), claim.clone(), claim, Bytes::new()] {
        log.append(partition, NewRecord { value, ..NewRecord::default() }).await.unwrap();
    }
    let mut reader = AcceptedReader::open(&log, &Cursor::start(identity, partition), "a-role").await.unwrap();
    while reader.next_offset() < 5 {
        reader.next().await.unwrap();
    }
    let counts = counted.0.lock().unwrap().clone();
    let expected = [
        ("roomlog_log_skipped_records_total{reader=a-role,reason=no_magic}".to_owned(), 2),
        ("roomlog_log_skipped_records_total{reader=a-role,reason=stale_epoch}".to_owned(), 2),
    ];
    assert_eq!(counts, HashMap::from(expected));
}
