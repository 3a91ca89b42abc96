//! Reading rows.

use bytes::Bytes;
use roomlog_domain::visibility::{HistoryRule, Interval, Visibility};
use roomlog_eventlog::TopicPartition;
use roomlog_schemas::event::Seq;
use roomlog_schemas::{AccountId, History, MessageId, RoomId};
use rusqlite::types::{FromSqlError, Type};
use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use uuid::Uuid;

use crate::rooms::{Page, StoredEvent, StoredMessage};
use crate::sqlite::to_i64;

/// As JSON, and the schemas announced.
pub fn cursor(connection: &Connection, partition: TopicPartition) -> Result<Option<(String, Vec<String>)>> {
    let (topic, number) = (partition.topic.name(), partition.partition);
    // Both tables as they are at one moment.
    let transaction = connection.unchecked_transaction()?;
    let json = transaction
        .prepare_cached("SELECT cursor FROM cursors WHERE topic = ?1 AND partition = ?2")?
        .query_row(params![topic, number], |row| row.get(0))
        .optional()?;
    let announced = transaction
        .prepare_cached(
            "SELECT schema FROM announced_schemas WHERE topic = ?1 AND partition = ?2 ORDER BY position",
        )?
        .query_map(params![topic, number], |row| row.get(0))?
        .collect::<Result<_>>()?;
    Ok(json.map(|json| (json, announced)))
}

/// Where the stored cursor is; 0 without one.
pub fn next_offset(connection: &Connection, partition: TopicPartition) -> Result<u64> {
    let offset = connection
        .prepare_cached("SELECT next_offset FROM cursors WHERE topic = ?1 AND partition = ?2")?
        .query_row(params![partition.topic.name(), partition.partition], |row| unsigned(row, 0))
        .optional()?;
    Ok(offset.unwrap_or(0))
}

pub fn events(connection: &Connection, room: RoomId, from: Seq, limit: usize) -> Result<Vec<StoredEvent>> {
    connection
        .prepare_cached(
            "SELECT seq, log_offset, record_time_ms, event FROM room_events
             WHERE room_id = ?1 AND seq >= ?2 ORDER BY seq LIMIT ?3",
        )?
        .query_map(params![room.0.as_bytes(), to_i64(from), to_i64(limit as u64)], |row| {
            Ok(StoredEvent {
                room_id: room,
                seq: unsigned(row, 0)?,
                offset: unsigned(row, 1)?,
                record_time_ms: row.get(2)?,
                event: bytes(row, 3)?,
            })
        })?
        .collect()
}

pub fn seq_range(connection: &Connection, room: RoomId) -> Result<Option<(Seq, Seq)>> {
    connection
        .prepare_cached(
            "SELECT (SELECT min(seq) FROM room_events WHERE room_id = ?1),
                    (SELECT max(seq) FROM room_events WHERE room_id = ?1)",
        )?
        .query_row([room.0.as_bytes()], |row| match row.get_ref(0)?.data_type() {
            Type::Null => Ok(None),
            _ => Ok(Some((unsigned(row, 0)?, unsigned(row, 1)?))),
        })
}

macro_rules! select_messages {
    ($rest:literal) => {
        concat!(
            "SELECT seq, message_id, author_id, reply_to, sent_at_ms, source_id, text FROM messages ",
            $rest
        )
    };
}

pub fn messages(
    connection: &Connection,
    room: RoomId,
    page: Page,
    limit: usize,
) -> Result<Vec<StoredMessage>> {
    const DOWN: &str = select_messages!("WHERE room_id = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3");
    const UP: &str = select_messages!("WHERE room_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3");
    let (sql, edge) = match page {
        Page::Latest => (DOWN, Seq::MAX),
        Page::Before(seq) => (DOWN, seq),
        Page::After(seq) => (UP, seq),
    };
    let mut messages = connection
        .prepare_cached(sql)?
        .query_map(params![room.0.as_bytes(), to_i64(edge), to_i64(limit as u64)], |row| from_row(room, row))?
        .collect::<Result<Vec<_>>>()?;
    if sql == DOWN {
        messages.reverse();
    }
    Ok(messages)
}

pub fn message(connection: &Connection, room: RoomId, message: MessageId) -> Result<Option<StoredMessage>> {
    connection
        .prepare_cached(select_messages!("WHERE room_id = ?1 AND message_id = ?2"))?
        .query_row(params![room.0.as_bytes(), message.0.as_bytes()], |row| from_row(room, row))
        .optional()
}

pub fn known_messages(
    connection: &Connection,
    room: RoomId,
    mut messages: Vec<MessageId>,
) -> Result<Vec<MessageId>> {
    let mut find =
        connection.prepare_cached("SELECT 1 FROM messages WHERE room_id = ?1 AND message_id = ?2")?;
    let mut failure = None;
    messages.retain(|message| {
        find.exists(params![room.0.as_bytes(), message.0.as_bytes()]).unwrap_or_else(|error| {
            failure = Some(error);
            false
        })
    });
    failure.map_or(Ok(messages), Err)
}

pub fn visibility(connection: &Connection, room: RoomId, account: AccountId) -> Result<Option<Visibility>> {
    // Both tables as they are at one moment.
    let transaction = connection.unchecked_transaction()?;
    let intervals = transaction
        .prepare_cached(
            "SELECT joined_seq, left_seq FROM memberships WHERE account_id = ?1 AND room_id = ?2
             ORDER BY joined_seq",
        )?
        .query_map(params![account.0.as_bytes(), room.0.as_bytes()], |row| interval(row, 0))?
        .collect::<Result<Vec<_>>>()?;
    if intervals.is_empty() {
        return Ok(None);
    }
    let rules = transaction
        .prepare_cached("SELECT from_seq, rule FROM history_rules WHERE room_id = ?1 ORDER BY from_seq")?
        .query_map([room.0.as_bytes()], |row| {
            Ok(HistoryRule { from: unsigned(row, 0)?, rule: rule(row, 1)? })
        })?
        .collect::<Result<Vec<_>>>()?;
    Ok(Some(Visibility { intervals, rules }))
}

pub fn rooms_of(connection: &Connection, account: AccountId) -> Result<Vec<(RoomId, Vec<Interval>)>> {
    let mut statement = connection.prepare_cached(
        "SELECT room_id, joined_seq, left_seq FROM memberships WHERE account_id = ?1
         ORDER BY room_id, joined_seq",
    )?;
    let mut rows = statement.query([account.0.as_bytes()])?;
    let mut rooms: Vec<(RoomId, Vec<Interval>)> = Vec::new();
    while let Some(row) = rows.next()? {
        let room = RoomId(uuid(row, 0)?);
        let interval = interval(row, 1)?;
        match rooms.last_mut() {
            Some((last, intervals)) if *last == room => intervals.push(interval),
            _ => rooms.push((room, vec![interval])),
        }
    }
    rooms.retain(|(_, intervals)| intervals.last().is_some_and(|last| last.left.is_none()));
    Ok(rooms)
}

pub fn member_ids(connection: &Connection, room: RoomId) -> Result<Vec<AccountId>> {
    connection
        .prepare_cached(
            "SELECT account_id FROM memberships WHERE room_id = ?1 AND left_seq IS NULL ORDER BY account_id",
        )?
        .query_map([room.0.as_bytes()], |row| Ok(AccountId(uuid(row, 0)?)))?
        .collect()
}

pub const fn rule_name(rule: History) -> &'static str {
    match rule {
        History::FromBeginning => "from_beginning",
        History::FromJoin => "from_join",
    }
}

fn rule(row: &Row<'_>, column: usize) -> Result<History> {
    let name = row.get_ref(column)?.as_str()?;
    [History::FromBeginning, History::FromJoin]
        .into_iter()
        .find(|&rule| rule_name(rule) == name)
        .ok_or_else(|| conversion_failure(column, format!("no history rule is called {name:?}")))
}

fn from_row(room_id: RoomId, row: &Row<'_>) -> Result<StoredMessage> {
    let reply_to: Option<[u8; 16]> = row.get(3)?;
    Ok(StoredMessage {
        room_id,
        seq: unsigned(row, 0)?,
        message_id: MessageId(uuid(row, 1)?),
        author_id: AccountId(uuid(row, 2)?),
        reply_to: reply_to.map(|id| MessageId(Uuid::from_bytes(id))),
        sent_at_ms: row.get(4)?,
        source_id: row.get(5)?,
        text: bytes(row, 6)?,
    })
}

/// From this column and the next.
fn interval(row: &Row<'_>, column: usize) -> Result<Interval> {
    let left: Option<i64> = row.get(column + 1)?;
    Ok(Interval { joined: unsigned(row, column)?, left: left.map(i64::cast_unsigned) })
}

fn unsigned(row: &Row<'_>, column: usize) -> Result<u64> {
    row.get(column).map(i64::cast_unsigned)
}

fn uuid(row: &Row<'_>, column: usize) -> Result<Uuid> {
    row.get(column).map(Uuid::from_bytes)
}

fn bytes(row: &Row<'_>, column: usize) -> Result<Bytes> {
    Ok(Bytes::copy_from_slice(row.get_ref(column)?.as_blob()?))
}

fn conversion_failure(column: usize, why: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, FromSqlError::Other(why.into()).into())
}
