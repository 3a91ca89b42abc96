//! Where the projection stands in each partition of the log.
//!
//! A cursor is one value in one column, so that no mixture of two can come about. The schemas
//! announced so far, most of its bytes and hardly ever new, lie apart, by position; each is written
//! before the first cursor that counts it and never changes.

use std::collections::HashMap;
use std::sync::Mutex;

use roomlog_eventlog::{Cursor, TopicPartition};
use serde::{Deserialize, Serialize};

use super::connection::Connection;
use super::error::damaged;
use super::generations::Generation;
use super::{timestamp, to_i32};
use crate::StoreError;

#[derive(Serialize, Deserialize)]
pub(super) struct Stored {
    /// Without the schemas.
    pub cursor: Cursor,
    /// How many of them.
    pub announced: usize,
}

/// What has been read of the announced schemas.
#[derive(Default)]
pub(super) struct Announced(Mutex<HashMap<TopicPartition, Vec<String>>>);

pub(super) async fn read(
    connection: &Connection,
    generation: &Generation,
    partition: TopicPartition,
) -> Result<Option<Cursor>, StoreError> {
    let Some(Stored { cursor, announced }) = stored(connection, generation, partition).await? else {
        return Ok(None);
    };
    let announced = schemas(connection, generation, partition, announced).await?;
    Ok(Some(Cursor { announced, ..cursor }))
}

pub(super) async fn stored(
    connection: &Connection,
    generation: &Generation,
    partition: TopicPartition,
) -> Result<Option<Stored>, StoreError> {
    let key = (partition.topic.name(), to_i32(u64::from(partition.partition)));
    let row = connection.row::<(Option<String>,)>(&generation.statements.cursor, key).await?;
    row.and_then(|(json,)| json)
        .map(|json| serde_json::from_str(&json).map_err(|error| damaged(format!("a cursor: {error}"))))
        .transpose()
}

/// After everything that it covers.
pub(super) async fn put(
    connection: &Connection,
    generation: &Generation,
    cursor: &Stored,
) -> Result<(), StoreError> {
    let json = serde_json::to_string(cursor).map_err(|error| damaged(error.to_string()))?;
    let partition = cursor.cursor.partition;
    let (topic, number) = (partition.topic.name(), to_i32(u64::from(partition.partition)));
    let row = (topic, number, json, timestamp(cursor.cursor.next_offset));
    connection.write(&generation.statements.put_cursor, &[row]).await
}

/// Stores the schemas from this position on.
pub(super) async fn put_schemas(
    connection: &Connection,
    generation: &Generation,
    partition: TopicPartition,
    from: usize,
    announced: &[String],
) -> Result<(), StoreError> {
    let (topic, number) = (partition.topic.name(), to_i32(u64::from(partition.partition)));
    for (position, schema) in announced.iter().enumerate().skip(from) {
        let position = to_i32(position as u64);
        let row = (topic, number, position, schema, timestamp(position as u64));
        connection.write(&generation.statements.put_announced, &[row]).await?;
    }
    Ok(())
}

async fn schemas(
    connection: &Connection,
    generation: &Generation,
    partition: TopicPartition,
    count: usize,
) -> Result<Vec<String>, StoreError> {
    let known = |with: &mut dyn FnMut(&mut Vec<String>)| {
        with(generation.announced.0.lock().expect("no holder panics").entry(partition).or_default());
    };
    let mut announced = Vec::new();
    known(&mut |known| announced = known.iter().take(count).cloned().collect());
    if announced.len() == count {
        return Ok(announced);
    }
    let (topic, number) = (partition.topic.name(), to_i32(u64::from(partition.partition)));
    let missing = (topic, number, to_i32(announced.len() as u64), to_i32(count as u64));
    let rows = connection.rows::<(String,)>(&generation.statements.announced, missing).await?;
    announced.extend(rows.into_iter().map(|(schema,)| schema));
    if announced.len() != count {
        let found = announced.len();
        return Err(damaged(format!("{partition} announced {count} schemas, and {found} are stored")));
    }
    known(&mut |known| {
        if known.len() < count {
            known.clone_from(&announced);
        }
    });
    Ok(announced)
}
