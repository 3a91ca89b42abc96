//! What a reader promises, whatever the records hold.

use futures::future::join_all;

use super::*;
use crate::tail::RING_BYTES;

pub async fn a_reader_begins_at_any_offset_up_to_the_end(backend: &impl Backend) {
    let log = backend.open().await;
    for n in 0..10 {
        append(&log, ROOMS_0, n.to_string()).await;
    }
    begins_anywhere(&log).await;
    drop(log);
    // Now nothing is in memory.
    begins_anywhere(&backend.open().await).await;
}

async fn begins_anywhere(log: &Arc<dyn EventLog>) {
    let end = log.end(ROOMS_0).await.expect("an end");
    let all = read(log, ROOMS_0, 0, end).await;
    assert_eq!(all.len(), 10);
    for from in 0..end {
        let expected: Vec<_> = all.iter().filter(|record| record.offset >= from).cloned().collect();
        assert_eq!(read(log, ROOMS_0, from, end).await, expected, "from {from}");
    }
}

pub async fn a_reader_cannot_begin_beyond_the_end(backend: &impl Backend) {
    let log = backend.open().await;
    for partition in [ROOMS_0, ROOMS_1] {
        let end = log.end(partition).await.expect("an end");
        let error = refused(within("opening a reader", log.read(partition, end + 1)).await);
        assert!(matches!(error, LogError::OutOfRange { offset, .. } if offset == end + 1), "{error}");
        let mut at_the_end = log.read(partition, end).await.expect("the end itself is a place to begin");
        append(&log, partition, "next").await;
        let next = within("reading", at_the_end.next()).await.expect("read");
        assert_eq!(values(&next), ["next"]);
    }
}

pub async fn readers_opened_before_and_after_see_the_same(backend: &impl Backend) {
    let log = backend.open().await;
    let before = {
        let log = log.clone();
        tokio::spawn(async move { read(&log, ROOMS_0, 0, 20).await })
    };
    for n in 0..10 {
        append(&log, ROOMS_0, n.to_string()).await;
    }
    let between = {
        let log = log.clone();
        tokio::spawn(async move { read(&log, ROOMS_0, 0, 20).await })
    };
    for n in 10..20 {
        append(&log, ROOMS_0, n.to_string()).await;
    }
    let after = read(&log, ROOMS_0, 0, 20).await;
    assert_eq!(values(&after), (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(before.await.expect("no panic"), after);
    assert_eq!(between.await.expect("no panic"), after);
}

pub async fn many_readers_and_writers_at_once(backend: &impl Backend) {
    const EACH: u64 = 100;
    let log = backend.open().await;
    for n in 0..EACH {
        append(&log, ROOMS_0, format!("old {n}")).await;
    }
    drop(log);
    let log = backend.open().await;
    let old = log.end(ROOMS_0).await.expect("an end");
    let readers: Vec<_> = (0..24)
        .map(|n| {
            let log = log.clone();
            // Some begin in the old records, some at the end.
            let from = (n * 5).min(old);
            tokio::spawn(async move { (from, read(&log, ROOMS_0, from, old + 4 * EACH).await) })
        })
        .collect();
    let writers = (0..4).map(|writer| {
        let log = log.clone();
        tokio::spawn(async move {
            for n in 0..EACH {
                append(&log, ROOMS_0, format!("{writer} {n}")).await;
            }
        })
    });
    within("the writers", join_all(writers)).await;
    let all = read(&log, ROOMS_0, 0, old + 4 * EACH).await;
    assert_eq!(all.len() as u64, 5 * EACH);
    for reader in readers {
        let (from, seen) = reader.await.expect("no panic");
        let expected: Vec<_> = all.iter().filter(|record| record.offset >= from).cloned().collect();
        assert_eq!(seen, expected, "from {from}");
    }
}

pub async fn a_reader_far_behind_meets_the_newest_records(backend: &impl Backend) {
    let log = backend.open().await;
    let value = |n: usize| {
        let mut value = vec![b'x'; 50_000];
        value[..8].copy_from_slice(&n.to_le_bytes());
        Bytes::from(value)
    };
    // Twice what is kept in memory, and the same again while the reader reads.
    let half = 2 * RING_BYTES / 50_000;
    let writing = |range: std::ops::Range<usize>| {
        let appends: Vec<_> = range.map(|n| log.append(ROOMS_0, record(value(n)))).collect();
        async move {
            for outcome in within("the appends", join_all(appends)).await {
                outcome.expect("appended");
            }
        }
    };
    writing(0..half).await;
    let mut slow = log.read(ROOMS_0, 0).await.expect("a reader");
    let mut seen = values(&within("reading", slow.next()).await.expect("read"));
    writing(half..2 * half).await;
    while seen.len() < 2 * half {
        seen.extend(values(&within("reading", slow.next()).await.expect("read")));
    }
    assert!(seen.iter().enumerate().all(|(n, seen)| *seen == value(n)), "each once and in order");
}

pub async fn a_cancelled_read_loses_nothing(backend: &impl Backend) {
    let log = backend.open().await;
    for n in 0..50 {
        append(&log, ROOMS_0, n.to_string()).await;
    }
    drop(log);
    let log = backend.open().await;
    let mut reader = log.read(ROOMS_0, 0).await.expect("a reader");
    let writer = {
        let log = log.clone();
        tokio::spawn(async move {
            for n in 50..100 {
                append(&log, ROOMS_0, n.to_string()).await;
            }
        })
    };
    let mut seen = Vec::new();
    let reading = async {
        while seen.len() < 100 {
            // Given up again and again at different points on its way.
            let patience = Duration::from_micros(seen.len() as u64 * 20);
            if let Ok(next) = tokio::time::timeout(patience, reader.next()).await {
                seen.extend(values(&next.expect("read")));
            }
            tokio::task::yield_now().await;
        }
    };
    within("reading", reading).await;
    writer.await.expect("no panic");
    assert_eq!(seen, (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
}

pub async fn offsets_without_a_record_are_passed_over(backend: &impl Backend) {
    backend.append_around_gap(ROOMS_0, record("before"), record("after")).await;
    let log = backend.open().await;
    let end = log.end(ROOMS_0).await.expect("an end");
    let records = read(&log, ROOMS_0, 0, end).await;
    assert_eq!(values(&records), ["before", "after"]);
    let [before, after] = [records[0].offset, records[1].offset];
    assert!(after > before + 1, "there is a gap");
    for from in before + 1..=after {
        assert_eq!(values(&read(&log, ROOMS_0, from, end).await), ["after"], "from {from}");
    }
    let next = append(&log, ROOMS_0, "next").await;
    assert!(next.offset >= end);
    assert_eq!(values(&read(&log, ROOMS_0, before + 1, next.offset + 1).await), ["after", "next"]);
}

pub async fn partitions_do_not_mix(backend: &impl Backend) {
    let log = backend.open().await;
    let mut appends = Vec::new();
    for n in 0..20 {
        for partition in COUNTS.all() {
            appends.push(log.append(partition, record(format!("{partition} {n}"))));
        }
    }
    within("the appends", join_all(appends)).await;
    for partition in COUNTS.all() {
        let end = log.end(partition).await.expect("an end");
        let expected: Vec<String> = (0..20).map(|n| format!("{partition} {n}")).collect();
        assert_eq!(values(&read(&log, partition, 0, end).await), expected);
    }
}
