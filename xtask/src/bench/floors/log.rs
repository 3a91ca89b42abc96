//! The bare log: appends at the workload's rate, each read back, as every command of Roomlog is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures::future::try_join_all;
use roomlog_eventlog::{
    EventLog, KafkaConfig, KafkaLog, LogRecord, NewRecord, PartitionCounts, SqliteLog, TopicPartition,
};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::plan::{Log, LogPlan};
use crate::bench::figures::{Figures, Latencies};
use crate::bench::load::pace::Pacer;
use crate::bench::usage;
use crate::bench::workload::Load;

/// A message of 256 bytes with its envelope, sealed, is about this long.
pub const RECORD_BYTES: usize = 512;

/// As many as Roomlog gives a new log.
const SQLITE_PARTITIONS: PartitionCounts = PartitionCounts { accounts: 1, rooms: 4 };
const KAFKA_PARTITIONS: PartitionCounts = PartitionCounts { accounts: 4, rooms: 16 };

/// The figures of each round.
pub fn run(plan: LogPlan) -> Result<Vec<Figures>> {
    let log = open(&plan.log)?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let bench = Arc::new(Bench::start(log).await?);
        let mut rounds = Vec::new();
        for _ in 0..plan.timing.rounds {
            rounds.push(round(&bench, &plan).await?);
        }
        Ok(rounds)
    })
}

fn open(log: &Log) -> Result<Arc<dyn EventLog>> {
    Ok(match log {
        Log::Sqlite { file } => Arc::new(SqliteLog::open(file, SQLITE_PARTITIONS)?),
        Log::Kafka { brokers, topic_prefix } => Arc::new(KafkaLog::open(KafkaConfig {
            topic_prefix: topic_prefix.clone(),
            replication: 1,
            min_isr: 1,
            allow_weak: true,
            ..KafkaConfig::new(brokers, KAFKA_PARTITIONS)
        })?),
    })
}

struct Bench {
    log: Arc<dyn EventLog>,
    books: Arc<Mutex<Books>>,
}

#[derive(Default)]
struct Books {
    next_number: u64,
    /// Who waits for which record.
    waiting: HashMap<u64, oneshot::Sender<Instant>>,
    window: Option<(Instant, Instant)>,
    append: Latencies,
    read_back: Latencies,
    appended: u64,
}

impl Bench {
    /// One reader for each partition, as Roomlog's writers have.
    async fn start(log: Arc<dyn EventLog>) -> Result<Self> {
        let books = Arc::new(Mutex::new(Books::default()));
        for partition in 0..log.partitions().rooms {
            let mut reader = log.read(TopicPartition::rooms(partition), 0).await?;
            let books = books.clone();
            tokio::spawn(async move {
                // When it ends, whoever still waits is told by the end of this process.
                while let Ok(records) = reader.next().await {
                    arrived(&books, &records);
                }
            });
        }
        Ok(Self { log, books })
    }

    /// Appends one record and waits until it has been read back.
    async fn append(&self, partition: u32, intended: Instant) -> Result<()> {
        let (number, read_back) = {
            let mut books = lock(&self.books);
            let number = books.next_number;
            books.next_number += 1;
            let (tell, read_back) = oneshot::channel();
            books.waiting.insert(number, tell);
            (number, read_back)
        };
        let appending = self.log.append(TopicPartition::rooms(partition), record(number));
        let (appended, read_back) = tokio::join!(
            async { appending.await.map(|_| Instant::now()) },
            tokio::time::timeout(READ_BACK_DEADLINE, read_back)
        );
        let (appended, read_back) = (appended?, read_back.context("a record was not read back")??);
        let mut books = lock(&self.books);
        if books.window.is_some_and(|(from, to)| from <= intended && intended < to) {
            books.append.record(appended.saturating_duration_since(intended));
            books.read_back.record(read_back.saturating_duration_since(intended));
        }
        books.appended += 1;
        Ok(())
    }
}

const READ_BACK_DEADLINE: Duration = Duration::from_secs(30);

fn arrived(books: &Mutex<Books>, records: &[LogRecord]) {
    let now = Instant::now();
    let mut books = lock(books);
    for record in records {
        let number = record.value.first_chunk().map(|number| u64::from_be_bytes(*number));
        if let Some(waiting) = number.and_then(|number| books.waiting.remove(&number)) {
            let _ = waiting.send(now);
        }
    }
}

fn record(number: u64) -> NewRecord {
    let mut value = vec![0x5a; RECORD_BYTES];
    value[..8].copy_from_slice(&number.to_be_bytes());
    NewRecord { value: Bytes::from(value), key: Bytes::from_static(&[0; 16]), headers: Vec::new() }
}

async fn round(bench: &Arc<Bench>, plan: &LogPlan) -> Result<Figures> {
    let start = Instant::now();
    let from = start + plan.timing.warm_up();
    let to = from + plan.timing.measured();
    {
        let mut books = lock(&bench.books);
        let next_number = books.next_number;
        *books = Books { next_number, window: Some((from, to)), ..Books::default() };
    }
    let sending = tokio::spawn(send(bench.clone(), plan.load, start, to));
    let sample = async |at: Instant| {
        tokio::time::sleep_until(at.into()).await;
        let broker = plan.broker_pid.map(usage::processor_time).transpose()?;
        let used = usage::processor_time(std::process::id())? + broker.unwrap_or_default();
        anyhow::Ok((Instant::now(), used, lock(&bench.books).appended))
    };
    let before = sample(from).await?;
    let after = sample(to).await?;
    sending.await??;

    let mut figures = Figures::new();
    let appended = (after.2 - before.2) as f64;
    figures.insert("records_per_s".to_owned(), appended / (after.0 - before.0).as_secs_f64());
    if appended > 0.0 {
        let used = (after.1 - before.1).as_secs_f64();
        figures.insert("all_cpu_s_per_1000_messages".to_owned(), used / appended * 1e3);
    }
    let books = lock(&bench.books);
    books.append.report("append", &mut figures);
    books.read_back.report("read_back", &mut figures);
    Ok(figures)
}

async fn send(bench: Arc<Bench>, load: Load, start: Instant, end: Instant) -> Result<()> {
    let partitions = bench.log.partitions().rooms;
    match load {
        Load::Open { messages_per_second } => {
            let mut pacer = Pacer::new()?;
            let mut appends = JoinSet::new();
            for number in 0.. {
                let intended = start + Duration::from_secs(1) * number / messages_per_second;
                if intended >= end {
                    break;
                }
                pacer.until(intended).await?;
                let bench = bench.clone();
                appends.spawn(async move { bench.append(number % partitions, intended).await });
                while let Some(ended) = appends.try_join_next() {
                    ended??;
                }
            }
            appends.join_all().await.into_iter().collect()
        }
        Load::Closed { senders } => {
            let senders = (0..senders).map(|sender| {
                let bench = bench.clone();
                let appending = tokio::spawn(async move {
                    while Instant::now() < end {
                        bench.append(sender as u32 % partitions, Instant::now()).await?;
                    }
                    anyhow::Ok(())
                });
                async { appending.await? }
            });
            try_join_all(senders).await.map(drop)
        }
        Load::Search { .. } | Load::Idle => bail!("this is not a load that can be appended"),
    }
}

fn lock(books: &Mutex<Books>) -> std::sync::MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}
