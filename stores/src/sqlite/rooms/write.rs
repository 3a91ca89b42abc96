//! Writing a batch.

use roomlog_domain::visibility::HistoryRule;
use roomlog_eventlog::TopicPartition;
use roomlog_schemas::RoomId;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::{STORE, read};
use crate::StoreError;
use crate::rooms::{MembershipChange, PROJECTION, RoomBatch, StoredEvent, StoredMessage};
use crate::sqlite::database::failed;
use crate::sqlite::{StoredCursor, to_i64};

pub fn apply(connection: &mut Connection, batch: RoomBatch) -> Result<(), StoreError> {
    let unavailable = |error| failed(STORE, error);
    let (partition, expected) = (batch.cursor.partition, batch.expected_offset);
    let cursor = StoredCursor::of(STORE, batch.cursor)?;
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(unavailable)?;
    let moved = move_cursor(&transaction, partition, expected, &cursor).map_err(unavailable)?;
    if !moved {
        let found = read::next_offset(&transaction, partition).map_err(unavailable)?;
        let partition = partition.to_string();
        return Err(StoreError::CursorMoved { projection: PROJECTION, partition, expected, found });
    }
    insert_events(&transaction, &batch.events).map_err(unavailable)?;
    put_messages(&transaction, &batch.messages).map_err(unavailable)?;
    change_memberships(&transaction, &batch.memberships).map_err(unavailable)?;
    put_history_rules(&transaction, &batch.histories).map_err(unavailable)?;
    transaction.commit().map_err(unavailable)
}

/// False, and nothing done, if the stored cursor is not at `expected`.
fn move_cursor(
    connection: &Connection,
    partition: TopicPartition,
    expected: u64,
    cursor: &StoredCursor,
) -> rusqlite::Result<bool> {
    let (topic, number) = (partition.topic.name(), partition.partition);
    let mut announced: Option<i64> = connection
        .prepare_cached(
            "UPDATE cursors SET next_offset = ?3, cursor = ?4
             WHERE topic = ?1 AND partition = ?2 AND next_offset = ?5 RETURNING announced",
        )?
        .query_row(params![topic, number, cursor.next_offset, cursor.json, to_i64(expected)], |row| {
            row.get(0)
        })
        .optional()?;
    if announced.is_none() && expected == 0 {
        announced = connection
            .prepare_cached(
                "INSERT INTO cursors (topic, partition, next_offset, cursor, announced)
                 VALUES (?1, ?2, ?3, ?4, 0) ON CONFLICT DO NOTHING RETURNING announced",
            )?
            .query_row(params![topic, number, cursor.next_offset, cursor.json], |row| row.get(0))
            .optional()?;
    }
    let Some(announced) = announced else { return Ok(false) };
    add_announced(connection, partition, announced as usize, &cursor.announced)?;
    Ok(true)
}

fn add_announced(
    connection: &Connection,
    partition: TopicPartition,
    stored: usize,
    announced: &[String],
) -> rusqlite::Result<()> {
    if announced.len() <= stored {
        return Ok(());
    }
    let (topic, number) = (partition.topic.name(), partition.partition);
    let mut insert = connection.prepare_cached(
        "INSERT INTO announced_schemas (topic, partition, position, schema) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for (position, schema) in announced.iter().enumerate().skip(stored) {
        insert.execute(params![topic, number, position as i64, schema])?;
    }
    connection
        .prepare_cached("UPDATE cursors SET announced = ?3 WHERE topic = ?1 AND partition = ?2")?
        .execute(params![topic, number, announced.len() as i64])
        .map(drop)
}

fn insert_events(connection: &Connection, events: &[StoredEvent]) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO room_events (room_id, seq, log_offset, record_time_ms, event)
         VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
    )?;
    for event in events {
        insert.execute(params![
            event.room_id.0.as_bytes(),
            to_i64(event.seq),
            to_i64(event.offset),
            event.record_time_ms,
            &event.event[..],
        ])?;
    }
    Ok(())
}

fn put_messages(connection: &Connection, messages: &[StoredMessage]) -> rusqlite::Result<()> {
    let mut put = connection.prepare_cached(
        "INSERT INTO messages (room_id, seq, message_id, author_id, reply_to, sent_at_ms, source_id, text)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (room_id, seq) DO UPDATE SET text = excluded.text",
    )?;
    for message in messages {
        put.execute(params![
            message.room_id.0.as_bytes(),
            to_i64(message.seq),
            message.message_id.0.as_bytes(),
            message.author_id.0.as_bytes(),
            message.reply_to.as_ref().map(|id| id.0.as_bytes()),
            message.sent_at_ms,
            message.source_id,
            &message.text[..],
        ])?;
    }
    Ok(())
}

/// A seq at or before what is stored changes nothing, so that a change may come again.
fn change_memberships(connection: &Connection, changes: &[MembershipChange]) -> rusqlite::Result<()> {
    let mut join = connection.prepare_cached(
        "INSERT INTO memberships (account_id, room_id, joined_seq)
         SELECT ?1, ?2, ?3 WHERE NOT EXISTS
           (SELECT 1 FROM memberships
            WHERE account_id = ?1 AND room_id = ?2 AND (left_seq IS NULL OR left_seq >= ?3))",
    )?;
    let mut leave = connection.prepare_cached(
        "UPDATE memberships SET left_seq = ?3
         WHERE account_id = ?1 AND room_id = ?2 AND left_seq IS NULL AND joined_seq <= ?3",
    )?;
    for change in changes {
        let (statement, account, room, seq) = match change {
            MembershipChange::Joined { room_id, account_id, seq } => (&mut join, account_id, room_id, seq),
            MembershipChange::Left { room_id, account_id, seq } => (&mut leave, account_id, room_id, seq),
        };
        statement.execute(params![account.0.as_bytes(), room.0.as_bytes(), to_i64(*seq)])?;
    }
    Ok(())
}

fn put_history_rules(connection: &Connection, rules: &[(RoomId, HistoryRule)]) -> rusqlite::Result<()> {
    let mut put = connection.prepare_cached(
        "INSERT INTO history_rules (room_id, from_seq, rule) VALUES (?1, ?2, ?3)
         ON CONFLICT (room_id, from_seq) DO UPDATE SET rule = excluded.rule",
    )?;
    for (room, rule) in rules {
        put.execute(params![room.0.as_bytes(), to_i64(rule.from), read::rule_name(rule.rule)])?;
    }
    Ok(())
}
