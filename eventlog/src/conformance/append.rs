//! What a confirmed append promises.

use bytes::Bytes;
use futures::future::join_all;

use super::*;
use crate::frame::MAX_RECORD_LEN;

pub async fn a_confirmed_append_survives_a_restart(backend: &impl Backend) {
    let log = backend.open().await;
    let mut appended = Vec::new();
    for partition in COUNTS.all() {
        for n in 0..10 {
            let value = Bytes::from(format!("{partition} {n}"));
            let at = append(&log, partition, value.clone()).await;
            let Appended { offset, append_time_ms } = at;
            appended.push((partition, LogRecord { offset, value, append_time_ms, trace: None }));
        }
    }
    drop(log);
    let log = backend.open().await;
    assert_eq!(log.partitions(), COUNTS);
    for partition in COUNTS.all() {
        let expected: Vec<LogRecord> =
            appended.iter().filter(|(of, _)| *of == partition).map(|(_, record)| record.clone()).collect();
        let end = log.end(partition).await.expect("an end");
        assert_eq!(end, expected.last().map_or(0, |last| last.offset + 1));
        assert_eq!(read(&log, partition, 0, end).await, expected, "{partition}");
    }
}

pub async fn appends_keep_the_order_of_their_calls(backend: &impl Backend) {
    let log = backend.open().await;
    let called: Vec<_> = (0..1_000).map(|n: u32| log.append(ROOMS_0, record(n.to_string()))).collect();
    // Waited for in another order than called.
    let mut outcomes = within("the appends", join_all(called.into_iter().rev())).await;
    outcomes.reverse();
    let offsets: Vec<u64> = outcomes.into_iter().map(|outcome| outcome.expect("appended").offset).collect();
    assert!(offsets.is_sorted_by(|a, b| a < b));
    let records = read(&log, ROOMS_0, 0, offsets[999] + 1).await;
    assert_eq!(values(&records), (0..1_000).map(|n: u32| Bytes::from(n.to_string())).collect::<Vec<_>>());
}

pub async fn concurrent_appenders_each_keep_their_order(backend: &impl Backend) {
    let log = backend.open().await;
    let appenders = (0..8).map(|appender| {
        let log = log.clone();
        tokio::spawn(async move {
            let mut last = None;
            for n in 0..50 {
                let at = append(&log, ROOMS_0, format!("{appender} {n}")).await.offset;
                assert!(last < Some(at), "each append comes after the one before it");
                last = Some(at);
            }
        })
    });
    within("the appenders", join_all(appenders))
        .await
        .into_iter()
        .for_each(|joined| joined.expect("no panic"));
    let end = log.end(ROOMS_0).await.expect("an end");
    let records = read(&log, ROOMS_0, 0, end).await;
    assert_eq!(records.len(), 400);
    for appender in 0..8 {
        let prefix = format!("{appender} ");
        let own: Vec<Bytes> =
            values(&records).into_iter().filter(|v| v.starts_with(prefix.as_bytes())).collect();
        assert_eq!(own, (0..50).map(|n| Bytes::from(format!("{appender} {n}"))).collect::<Vec<_>>());
    }
}

pub async fn the_end_lies_behind_every_confirmed_append(backend: &impl Backend) {
    let log = backend.open().await;
    assert_eq!(within("an end", log.end(ROOMS_0)).await.expect("an end"), 0, "of an empty partition");
    for n in 0..100 {
        let at = append(&log, ROOMS_0, n.to_string()).await;
        let end = within("an end", log.end(ROOMS_0)).await.expect("an end");
        assert!(end > at.offset, "the append at {} was confirmed, the end is {end}", at.offset);
    }
    assert_eq!(log.end(ROOMS_1).await.expect("an end"), 0, "of the partition beside it");
}

pub async fn the_largest_record_is_taken_and_a_larger_one_refused(backend: &impl Backend) {
    let log = backend.open().await;
    // Not compressible: what a backend sends is as long as what it was given.
    let noise: Bytes =
        (0..=MAX_RECORD_LEN / 32).flat_map(|n| *blake3::hash(&n.to_le_bytes()).as_bytes()).collect();
    let largest = noise.slice(..MAX_RECORD_LEN);
    let new = NewRecord {
        value: largest.clone(),
        key: noise.slice(..1_000),
        headers: vec![("event_type", "x".repeat(10_000))],
    };
    for _ in 0..5 {
        within("a large append", log.append(ROOMS_0, new.clone())).await.expect("900 KiB are taken");
    }
    let larger = log.append(ROOMS_0, record(noise.slice(..MAX_RECORD_LEN + 1)));
    let refused = within("a larger append", larger).await.expect_err("more is refused");
    assert!(matches!(refused, LogError::Fatal(_)), "{refused}");
    let after = append(&log, ROOMS_0, "after").await.offset;
    let mut expected = vec![largest; 5];
    expected.push(Bytes::from_static(b"after"));
    assert!(values(&read(&log, ROOMS_0, 0, after + 1).await) == expected);
    drop(log);
    let log = backend.open().await;
    assert!(values(&read(&log, ROOMS_0, 0, after + 1).await) == expected, "after a restart");
}

pub async fn an_empty_value_stays_a_record(backend: &impl Backend) {
    let log = backend.open().await;
    append(&log, ROOMS_0, "").await;
    let after = append(&log, ROOMS_0, "after").await.offset;
    assert_eq!(values(&read(&log, ROOMS_0, 0, after + 1).await), ["", "after"]);
}

pub async fn a_partition_that_does_not_exist_is_refused(backend: &impl Backend) {
    let log = backend.open().await;
    let nowhere = TopicPartition::rooms(COUNTS.rooms);
    assert!(matches!(refused(log.append(nowhere, record("x")).await), LogError::Fatal(_)));
    assert!(matches!(refused(log.end(nowhere).await), LogError::Fatal(_)));
    assert!(matches!(refused(log.read(nowhere, 0).await), LogError::Fatal(_)));
}

pub async fn append_times_are_read_as_they_were_told(backend: &impl Backend) {
    let log = backend.open().await;
    let mut told = Vec::new();
    for n in 0..50 {
        told.push(append(&log, ROOMS_0, n.to_string()).await.append_time_ms);
    }
    let records = read(&log, ROOMS_0, 0, log.end(ROOMS_0).await.expect("an end")).await;
    assert_eq!(records.iter().map(|record| record.append_time_ms).collect::<Vec<_>>(), told);
}
