//! The file: its tables, its version, and how connections to it are set up.
//!
//! Each partition has a table of its own whose rowid is the offset. So every insert is at the right
//! edge of a B-tree, which SQLite fills without splitting pages, and a scan reads a partition's
//! records one beside the other. One table for all partitions would insert in its middle; a table
//! `WITHOUT ROWID` keeps whole rows in its inner pages, which suits rows far smaller than records.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};

use crate::partition::{PartitionCounts, SLOTS, Topic, TopicPartition};
use crate::per_partition::PerPartition;
use crate::port::LogError;

/// Raised when the tables change; a build refuses a file of a higher one.
const VERSION: i64 = 1;
/// "RLOG": tells the file from other SQLite files.
const APPLICATION_ID: i64 = 0x524c_4f47;

/// The connection that writes and checkpoints. A new file gets these counts.
pub(super) fn open_writer(path: &Path, counts: PartitionCounts) -> Result<Connection, LogError> {
    let is_new = !path.exists();
    let mut connection = connect_writer(path)?;
    let tables: i64 = query(&connection, "SELECT count(*) FROM sqlite_schema")?;
    if tables == 0 {
        create(&mut connection, counts)?;
        if is_new {
            sync_folder_of(path)?;
        }
    }
    check(&connection, path)?;
    Ok(connection)
}

/// A connection that can only read, to a log that exists.
pub(super) fn open_reader(path: &Path) -> Result<Connection, LogError> {
    let connection = connect_reader(path)?;
    check(&connection, path)?;
    Ok(connection)
}

/// That the file is a log, and of no newer build.
fn check(connection: &Connection, path: &Path) -> Result<(), LogError> {
    if query::<i64>(connection, "PRAGMA application_id")? != APPLICATION_ID {
        return Err(LogError::Fatal(format!("{} is not a Roomlog event log", path.display())));
    }
    let version: i64 = query(connection, "PRAGMA user_version")?;
    if version > VERSION {
        return Err(LogError::Fatal(format!(
            "{} was written by a newer build: its version is {version}, this build knows {VERSION}",
            path.display(),
        )));
    }
    Ok(())
}

/// Only the connection and its settings.
pub(super) fn connect_writer(path: &Path) -> Result<Connection, LogError> {
    let open = || {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "secure_delete", "ON")?;
        connection.pragma_update(None, "trusted_schema", "OFF")?;
        // The writer itself checkpoints, after it has confirmed what it committed.
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        Ok((connection, mode))
    };
    let (connection, mode) = open().map_err(|error| unusable(path, error))?;
    if mode != "wal" {
        // SQLite says what it did instead, for example where the file system has no shared memory.
        return Err(LogError::Fatal(format!(
            "{} cannot be written ahead: its mode is {mode}",
            path.display()
        )));
    }
    Ok(connection)
}

/// Prepared statements that a connection keeps: one for each partition of a log of usual size.
const STATEMENTS: usize = 128;

/// A connection that can only read.
pub(super) fn connect_reader(path: &Path) -> Result<Connection, LogError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.pragma_update(None, "query_only", "ON")?;
        Ok(connection)
    };
    open().map_err(|error| unusable(path, error))
}

/// All or nothing: a crash leaves either an empty file or a whole one.
fn create(connection: &mut Connection, counts: PartitionCounts) -> Result<(), LogError> {
    for topic in Topic::ALL {
        if !(1..=SLOTS).contains(&counts.of(topic)) {
            return Err(LogError::Fatal(format!("{topic} cannot have {} partitions", counts.of(topic))));
        }
    }
    let mut create = || {
        let transaction = connection.transaction()?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction
            .execute_batch("CREATE TABLE partitions (topic TEXT PRIMARY KEY, count INTEGER NOT NULL)")?;
        for topic in Topic::ALL {
            transaction.execute(
                "INSERT INTO partitions (topic, count) VALUES (?, ?)",
                (topic.name(), counts.of(topic)),
            )?;
        }
        for partition in counts.all() {
            transaction.execute_batch(&format!(
                "CREATE TABLE {} (
                    offset INTEGER PRIMARY KEY,
                    append_time_ms INTEGER NOT NULL,
                    key BLOB NOT NULL,
                    headers TEXT,
                    value BLOB NOT NULL
                )",
                table(partition),
            ))?;
        }
        transaction.commit()
    };
    create().map_err(unavailable)
}

/// The table of a partition, for example `rooms_3`.
pub(super) fn table(partition: TopicPartition) -> String {
    format!("{}_{}", partition.topic, partition.partition)
}

/// The next offset to be written of each partition, with the counts that the file was made with.
pub(super) fn ends(connection: &Connection) -> Result<PerPartition<u64>, LogError> {
    let count = |topic: Topic| {
        connection
            .query_row("SELECT count FROM partitions WHERE topic = ?", [topic.name()], |row| row.get(0))
            .map_err(unavailable)
    };
    let counts = PartitionCounts { accounts: count(Topic::Accounts)?, rooms: count(Topic::Rooms)? };
    let mut ends = PerPartition::new(counts, |_| 0);
    for partition in counts.all() {
        *ends.get_mut(partition)? = end(connection, partition)?;
    }
    Ok(ends)
}

/// The next offset to be written of one partition.
pub(super) fn end(connection: &Connection, partition: TopicPartition) -> Result<u64, LogError> {
    let sql = format!("SELECT offset FROM {} ORDER BY offset DESC LIMIT 1", table(partition));
    let last: Option<u64> =
        connection.query_row(&sql, [], |row| row.get(0)).optional().map_err(unavailable)?;
    Ok(last.map_or(0, |offset| offset + 1))
}

fn query<T: rusqlite::types::FromSql>(connection: &Connection, sql: &str) -> Result<T, LogError> {
    connection.query_row(sql, [], |row| row.get(0)).map_err(unavailable)
}

/// SQLite syncs the file, not the folder that names it.
fn sync_folder_of(path: &Path) -> Result<(), LogError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| LogError::Unavailable(format!("cannot sync {}: {error}", folder.display())))
}

/// For everything but a commit: nothing was written.
pub(super) fn unavailable(error: rusqlite::Error) -> LogError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => LogError::Fatal(error.to_string()),
        _ => LogError::Unavailable(error.to_string()),
    }
}

fn unusable(path: &Path, error: rusqlite::Error) -> LogError {
    match unavailable(error) {
        LogError::Fatal(error) => LogError::Fatal(format!("{}: {error}", path.display())),
        LogError::Unavailable(error) => LogError::Unavailable(format!("{}: {error}", path.display())),
        other => other,
    }
}
