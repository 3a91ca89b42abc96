use std::time::Duration;

use bytes::Bytes;
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::time::timeout;

use super::*;
use crate::port::LogRecord;

const COUNTS: PartitionCounts = PartitionCounts { accounts: 1, rooms: 2 };
const ROOMS_0: TopicPartition = TopicPartition::rooms(0);

fn open(folder: &TempDir) -> SqliteLog {
    SqliteLog::open(&folder.path().join("log.db"), COUNTS).unwrap()
}

fn record(value: impl Into<Vec<u8>>) -> NewRecord {
    NewRecord { value: Bytes::from(value.into()), ..NewRecord::default() }
}

async fn read_until(log: &SqliteLog, from: u64, end: u64) -> Vec<LogRecord> {
    let mut reader = log.read(ROOMS_0, from).await.unwrap();
    let mut records: Vec<LogRecord> = Vec::new();
    while records.last().is_none_or(|last| last.offset + 1 < end) {
        records.extend(timeout(Duration::from_secs(10), reader.next()).await.unwrap().unwrap());
    }
    records
}

#[test]
fn the_bundled_sqlite_does_not_lose_commits_to_checkpoints() {
    assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
}

#[tokio::test]
async fn a_confirmed_append_is_in_a_copy_of_the_files_made_right_after() {
    let folder = TempDir::new().unwrap();
    let log = open(&folder);
    for n in 0..20_u8 {
        let appended = log.append(ROOMS_0, record([n])).await.unwrap();
        assert_eq!(appended.offset, u64::from(n));
        let copy = TempDir::new().unwrap();
        for name in ["log.db", "log.db-wal"] {
            std::fs::copy(folder.path().join(name), copy.path().join(name)).unwrap();
        }
        let records = read_until(&open(&copy), 0, u64::from(n) + 1).await;
        assert_eq!(records.last().unwrap().value.as_ref(), [n]);
    }
}

#[tokio::test]
async fn key_and_headers_can_be_looked_at_with_sqlite_itself() {
    let folder = TempDir::new().unwrap();
    let log = open(&folder);
    let headers = vec![("event_type", "message_sent".to_owned())];
    let new = NewRecord { value: Bytes::from_static(b"v"), key: Bytes::from_static(b"room"), headers };
    log.append(ROOMS_0, new).await.unwrap();
    let found: (String, String) = Connection::open(folder.path().join("log.db"))
        .unwrap()
        .query_row("SELECT CAST(key AS TEXT), headers ->> 'event_type' FROM rooms_0", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!(found, ("room".to_owned(), "message_sent".to_owned()));
}

#[tokio::test]
async fn a_clock_that_was_ahead_is_forgotten() {
    let folder = TempDir::new().unwrap();
    let log = open(&folder);
    let first = log.append(ROOMS_0, record("a")).await.unwrap();
    drop(log);
    let ahead = first.append_time_ms + 3_600_000;
    Connection::open(folder.path().join("log.db"))
        .unwrap()
        .execute("UPDATE rooms_0 SET append_time_ms = ?", [ahead])
        .unwrap();
    let second = open(&folder).append(ROOMS_0, record("b")).await.unwrap();
    assert_eq!(second.offset, 1);
    assert!(second.append_time_ms < ahead, "an owner would take its own clock for wrong, and not decide");
}

#[tokio::test]
async fn an_existing_file_keeps_its_own_partition_counts() {
    let folder = TempDir::new().unwrap();
    drop(open(&folder));
    let other = PartitionCounts { accounts: 7, rooms: 7 };
    let log = SqliteLog::open(&folder.path().join("log.db"), other).unwrap();
    assert_eq!(log.partitions(), COUNTS);
}

#[tokio::test]
async fn a_second_opening_of_the_same_file_is_refused() {
    let folder = TempDir::new().unwrap();
    let log = open(&folder);
    let second = SqliteLog::open(&folder.path().join("log.db"), COUNTS);
    assert!(matches!(second, Err(LogError::Fatal(reason)) if reason.contains("open in another process")));
    drop(log);
    open(&folder);
}

#[test]
fn a_newer_file_and_a_foreign_one_are_refused() {
    let folder = TempDir::new().unwrap();
    drop(open(&folder));
    let path = folder.path().join("log.db");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 2).unwrap();
    let newer = SqliteLog::open(&path, COUNTS);
    assert!(matches!(newer, Err(LogError::Fatal(reason)) if reason.contains("newer build")));

    let path = folder.path().join("other.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    let foreign = SqliteLog::open(&path, COUNTS);
    assert!(matches!(foreign, Err(LogError::Fatal(reason)) if reason.contains("not a Roomlog event log")));

    let path = folder.path().join("text.db");
    std::fs::write(&path, "not a database, but long enough to be looked at as if it were one").unwrap();
    assert!(matches!(SqliteLog::open(&path, COUNTS), Err(LogError::Fatal(_))));
}

#[tokio::test]
async fn a_full_disk_writes_nothing_and_space_makes_it_work_again() {
    let folder = TempDir::new().unwrap();
    let log = open(&folder);
    log.append(ROOMS_0, record("before")).await.unwrap();
    log.limit_pages(20);
    let large = || log.append(ROOMS_0, record(vec![b'x'; 200_000]));
    assert!(matches!(large().await, Err(LogError::Unavailable(_))));
    assert_eq!(log.end(ROOMS_0).await.unwrap(), 1);
    log.limit_pages(0);
    assert_eq!(large().await.unwrap().offset, 1);
    let records = read_until(&log, 0, 2).await;
    assert_eq!(records.iter().map(|record| record.value.len()).collect::<Vec<_>>(), [6, 200_000]);
}

#[tokio::test]
async fn the_write_ahead_log_is_checkpointed_while_a_reader_reads() {
    let folder = TempDir::new().unwrap();
    let log = open(&folder);
    let value = vec![b'x'; 100_000];
    let mut reader = log.read(ROOMS_0, 0).await.unwrap();
    let mut read = 0;
    for _ in 0..300 {
        log.append(ROOMS_0, record(value.clone())).await.unwrap();
        read += timeout(Duration::from_secs(10), reader.next()).await.unwrap().unwrap().len();
    }
    assert_eq!(read, 300);
    let wal = std::fs::metadata(folder.path().join("log.db-wal")).unwrap().len();
    assert!(wal < 15_000_000, "the write-ahead log has {wal} bytes of 30 MB written");
}

#[tokio::test]
async fn what_was_appended_before_the_drop_is_written() {
    let folder = TempDir::new().unwrap();
    let log = open(&folder);
    let appends: Vec<_> = (0..100_u8).map(|n| log.append(ROOMS_0, record([n]))).collect();
    drop(log);
    for (n, append) in appends.into_iter().enumerate() {
        assert_eq!(append.await.unwrap().offset, n as u64);
    }
    assert_eq!(open(&folder).end(ROOMS_0).await.unwrap(), 100);
}

#[tokio::test]
async fn a_closed_log_is_one_file_and_its_lock() {
    let folder = TempDir::new().unwrap();
    let log = open(&folder);
    log.append(ROOMS_0, record("a")).await.unwrap();
    drop(log);
    let log = open(&folder);
    read_until(&log, 0, 1).await;
    drop(log);
    let mut names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["log.db", "log.db.lock"]);
}

#[tokio::test]
async fn a_reader_beside_the_writer_sees_what_is_written_and_writes_nothing() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log.db");
    assert!(matches!(ReadOnlySqliteLog::open(&path), Err(LogError::Unavailable(_))));
    assert!(!path.exists(), "it makes no log");
    let log = open(&folder);
    log.append(ROOMS_0, record("a")).await.unwrap();
    let reading = ReadOnlySqliteLog::open(&path).unwrap();
    assert_eq!(reading.partitions(), COUNTS);
    let mut reader = reading.read(ROOMS_0, 0).await.unwrap();
    assert_eq!(reader.next().await.unwrap()[0].value, "a");
    log.append(ROOMS_0, record("b")).await.unwrap();
    assert_eq!(reading.end(ROOMS_0).await.unwrap(), 2);
    let next = timeout(Duration::from_secs(30), reader.next()).await.unwrap().unwrap();
    assert_eq!((next[0].offset, &next[0].value[..]), (1, &b"b"[..]));
    assert!(matches!(reading.append(ROOMS_0, record("c")).await, Err(LogError::Fatal(_))));
    assert!(matches!(reading.read(ROOMS_0, 3).await, Err(LogError::OutOfRange { .. })));
}
