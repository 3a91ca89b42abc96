//! How long an append takes, and an append read back, and how fast a log is written and read.
//!
//! `cargo run --release -p roomlog-eventlog --example append_latency -- sqlite <folder>`
//! `cargo run --release -p roomlog-eventlog --example append_latency -- kafka <brokers>`

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::try_join_all;
use roomlog_eventlog::{
    EventLog, KafkaConfig, KafkaLog, LogError, NewRecord, PartitionCounts, SqliteLog, TopicPartition,
};

const ROOMS_0: TopicPartition = TopicPartition::rooms(0);
const ROUNDS: usize = 2_000;
/// Records of the throughput part, appended in groups of this many.
const RECORDS: u64 = 200_000;
const GROUP: u64 = 1_000;
/// Bytes of a record's value.
const VALUE: usize = 256;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, place] = arguments.as_slice() else {
        return Err("usage: sqlite <folder> | kafka <brokers>".into());
    };
    let open = || open(kind, place);
    let log = open()?;
    latencies(&*log).await?;
    let begun = Instant::now();
    for _ in 0..RECORDS / GROUP {
        try_join_all((0..GROUP).map(|_| log.append(ROOMS_0, record()))).await?;
    }
    rate("appended in groups", RECORDS, begun.elapsed());
    drop(log);
    let log = open()?;
    let end = log.end(ROOMS_0).await?;
    let begun = Instant::now();
    let mut reader = log.read(ROOMS_0, 0).await?;
    let (mut next, mut count) = (0, 0);
    while next < end {
        let records = reader.next().await?;
        count += records.len() as u64;
        next = records.last().map_or(next, |last| last.offset + 1);
    }
    rate("read from the start", count, begun.elapsed());
    Ok(())
}

fn open(kind: &str, place: &str) -> Result<Arc<dyn EventLog>, LogError> {
    let counts = PartitionCounts { accounts: 1, rooms: 1 };
    if kind == "sqlite" {
        return Ok(Arc::new(SqliteLog::open(&Path::new(place).join("latency.db"), counts)?));
    }
    // A log of its own for each run; its topics stay.
    let topic_prefix = format!("latency-{}-", std::process::id());
    let config = KafkaConfig { topic_prefix, allow_weak: true, ..KafkaConfig::new(place, counts) };
    Ok(Arc::new(tokio::task::block_in_place(|| KafkaLog::open(config))?))
}

fn record() -> NewRecord {
    NewRecord { value: Bytes::from(vec![7; VALUE]), ..NewRecord::default() }
}

async fn latencies(log: &dyn EventLog) -> Result<(), LogError> {
    let end = log.end(ROOMS_0).await?;
    let mut reader = log.read(ROOMS_0, end).await?;
    let [mut confirmed, mut read_back, mut asked] = [const { Vec::<Duration>::new() }; 3];
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let appended = log.append(ROOMS_0, record());
        let reading = async {
            let read = reader.next().await;
            read.map(|_| begun.elapsed())
        };
        let confirming = async { appended.await.map(|_| begun.elapsed()) };
        let (confirmed_after, read_after) = tokio::try_join!(confirming, reading)?;
        confirmed.push(confirmed_after);
        read_back.push(read_after);
        let begun = Instant::now();
        log.end(ROOMS_0).await?;
        asked.push(begun.elapsed());
    }
    percentiles("confirmed", confirmed);
    percentiles("read back", read_back);
    percentiles("asked for the end", asked);
    Ok(())
}

fn percentiles(what: &str, mut durations: Vec<Duration>) {
    durations.sort();
    let at = |part: f64| durations[((durations.len() - 1) as f64 * part) as usize].as_secs_f64() * 1_000.0;
    println!("{what:20} p50 {:.3} ms   p99 {:.3} ms   max {:.3} ms", at(0.5), at(0.99), at(1.0));
}

fn rate(what: &str, records: u64, took: Duration) {
    println!("{what:20} {records} records, {:.0} a second", records as f64 / took.as_secs_f64());
}
