use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::timeout;

use super::*;

const ROOMS_0: TopicPartition = TopicPartition::rooms(0);

/// Stands for a backend that holds these records.
struct Stored(Mutex<Vec<LogRecord>>);

impl ColdSource for Stored {
    fn read(
        self: Arc<Self>,
        _: TopicPartition,
        from: u64,
    ) -> BoxFuture<'static, Result<Vec<LogRecord>, LogError>> {
        let stored = self.0.lock().unwrap();
        let first = stored.partition_point(|record| record.offset < from);
        let some = stored.iter().skip(first).take(2).cloned().collect();
        async move { Ok(some) }.boxed()
    }
}

fn record(offset: u64) -> LogRecord {
    LogRecord { offset, value: Bytes::from(vec![b'x'; 100]), append_time_ms: 0, trace: None }
}

/// Room for `count` records of [`record`]'s size.
fn tail(next: u64, count: usize) -> Arc<Tail> {
    Tail::with_capacity(next, count * size_of(&record(0)))
}

fn reader(tail: &Arc<Tail>, stored: impl IntoIterator<Item = u64>, from: u64) -> TailReader {
    let stored = stored.into_iter().map(record).collect();
    TailReader::new(tail.clone(), Arc::new(Stored(Mutex::new(stored))), ROOMS_0, from)
}

async fn offsets(reader: &mut TailReader, until: u64) -> Vec<u64> {
    let mut seen = Vec::new();
    while seen.last().is_none_or(|last| last + 1 < until) {
        let records = timeout(Duration::from_secs(5), reader.next()).await.unwrap().unwrap();
        seen.extend(records.iter().map(|record| record.offset));
    }
    seen
}

#[tokio::test]
async fn a_reader_goes_from_the_cold_path_to_the_ring_without_gap_or_double() {
    let tail = tail(5, 10);
    tail.push([5, 6, 7].map(record));
    let mut reader = reader(&tail, 0..8, 0);
    assert_eq!(offsets(&mut reader, 8).await, Vec::from_iter(0..8));
    tail.push([record(8)]);
    assert_eq!(offsets(&mut reader, 9).await, [8]);
}

#[tokio::test]
async fn a_reader_that_the_ring_has_overtaken_reads_cold_again() {
    let tail = tail(0, 3);
    let mut reader = reader(&tail, 0..10, 0);
    tail.push([0, 1].map(record));
    assert_eq!(offsets(&mut reader, 2).await, [0, 1]);
    tail.push((2..10).map(record));
    assert_eq!(offsets(&mut reader, 10).await, Vec::from_iter(2..10));
}

#[tokio::test]
async fn gaps_of_offsets_are_passed_over_in_the_ring_on_the_cold_path_and_between_them() {
    let tail = tail(6, 10);
    let mut reader = reader(&tail, [0, 3, 8], 0);
    tail.push([8, 11].map(record));
    assert_eq!(offsets(&mut reader, 12).await, [0, 3, 8, 11]);
}

#[tokio::test]
async fn a_reader_before_a_gap_that_ends_at_an_empty_ring_waits_for_the_next_record() {
    let tail = tail(6, 10);
    let stored = Arc::new(Stored(Mutex::new(vec![record(4)])));
    let mut reader = TailReader::new(tail.clone(), stored.clone(), ROOMS_0, 5);
    assert!(timeout(Duration::from_millis(20), reader.next()).await.is_err(), "there is nothing to read");
    stored.0.lock().unwrap().push(record(6));
    tail.push([record(6)]);
    assert_eq!(offsets(&mut reader, 7).await, [6]);
}

#[tokio::test]
async fn records_pushed_twice_are_given_once() {
    let tail = tail(0, 10);
    let mut reader = reader(&tail, [], 0);
    tail.push([0, 1].map(record));
    tail.push([0, 1, 2].map(record));
    assert_eq!(offsets(&mut reader, 3).await, [0, 1, 2]);
}

#[tokio::test]
async fn a_cancelled_wait_loses_nothing() {
    let tail = tail(0, 10);
    let mut reader = reader(&tail, [], 0);
    for offset in 0..100 {
        assert!(timeout(Duration::ZERO, reader.next()).await.is_err());
        tail.push([record(offset)]);
        assert_eq!(offsets(&mut reader, offset + 1).await, [offset]);
    }
}

#[tokio::test]
async fn a_record_larger_than_the_ring_is_read_cold() {
    let tail = Tail::with_capacity(0, 10);
    let mut reader = reader(&tail, [0], 0);
    tail.push([record(0)]);
    assert_eq!(offsets(&mut reader, 1).await, [0]);
}

#[tokio::test]
async fn a_closed_ring_gives_what_it_has_and_then_the_reason() {
    let tail = tail(0, 10);
    let mut reader = reader(&tail, [], 0);
    tail.push([record(0)]);
    tail.close(LogError::Fatal("gone".into()));
    assert_eq!(offsets(&mut reader, 1).await, [0]);
    for _ in 0..2 {
        assert!(matches!(reader.next().await, Err(LogError::Fatal(reason)) if reason == "gone"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_that_are_overtaken_again_and_again_see_every_record_once() {
    const RECORDS: u64 = 20_000;
    let tail = tail(0, 3);
    let stored = Arc::new(Stored(Mutex::default()));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let mut reader = TailReader::new(tail.clone(), stored.clone(), ROOMS_0, 0);
            tokio::spawn(async move { offsets(&mut reader, RECORDS).await })
        })
        .collect();
    for offset in 0..RECORDS {
        stored.0.lock().unwrap().push(record(offset));
        tail.push([record(offset)]);
        if offset % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    for reader in readers {
        assert!(reader.await.unwrap().into_iter().eq(0..RECORDS));
    }
}
