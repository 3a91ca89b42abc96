//! The room store on SQLite.
//!
//! Tables are clustered by (room, seq), the order in which pages and resumes read them, so a page is
//! one range of one b-tree. Room and message ids are 16-byte blobs.

use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};

use async_trait::async_trait;
use bytes::Bytes;
use roomlog_domain::visibility::{HistoryRule, Interval, Visibility};
use roomlog_eventlog::{Cursor, TopicPartition};
use roomlog_schemas::event::Seq;
use roomlog_schemas::{AccountId, History, MessageId, RoomId};
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::database::{Database, unavailable};
use super::generations::Generations;
use crate::StoreError;
use crate::rooms::{MembershipChange, PROJECTION, Page, RoomBatch, RoomStore, StoredEvent, StoredMessage, VERSION};

const SCHEMA: &str = include_str!("rooms.sql");

pub struct SqliteRoomStore {
    generations: Generations,
    current: RwLock<(u64, Arc<Database>)>,
    beside: Mutex<Option<(u64, Arc<Database>)>>,
}

impl SqliteRoomStore {
    /// Opens or makes the store in this folder.
    pub async fn open(directory: &Path) -> Result<Self, StoreError> {
        let generations = Generations::new(directory, PROJECTION, VERSION);
        let generation = generations.open()?;
        let database = Database::open(&generations.path(generation), SCHEMA)?;
        Ok(Self { generations, current: RwLock::new((generation, database)), beside: Mutex::default() })
    }

    fn database(&self) -> Arc<Database> {
        self.current.read().expect("no holder panics").1.clone()
    }
}

#[async_trait]
impl RoomStore for SqliteRoomStore {
    async fn cursor(&self, partition: TopicPartition) -> Result<Option<Cursor>, StoreError> {
        let stored = self.database().read(move |connection| stored_cursor(connection, partition)).await?;
        stored.map(|json| parse_cursor(&json)).transpose()
    }

    async fn apply(&self, batch: RoomBatch) -> Result<(), StoreError> {
        self.database().write(move |connection| apply(connection, &batch)).await
    }

    async fn events(&self, room: RoomId, from: Seq, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        let read = move |connection: &Connection| {
            connection
                .prepare_cached(
                    "SELECT seq, offset, record_time_ms, event FROM room_events
                     WHERE room_id = ?1 AND seq >= ?2 ORDER BY seq LIMIT ?3",
                )?
                .query_map(params![room.0.as_bytes(), number(from), number(limit as u64)], |row| {
                    Ok(StoredEvent {
                        room_id: room,
                        seq: seq(row, 0)?,
                        offset: seq(row, 1)?,
                        record_time_ms: row.get(2)?,
                        event: Bytes::from(row.get::<_, Vec<u8>>(3)?),
                    })
                })?
                .collect()
        };
        self.database().read(read).await
    }

    async fn seq_range(&self, room: RoomId) -> Result<Option<(Seq, Seq)>, StoreError> {
        let read = move |connection: &Connection| {
            connection
                .prepare_cached(
                    "SELECT (SELECT min(seq) FROM room_events WHERE room_id = ?1),
                            (SELECT max(seq) FROM room_events WHERE room_id = ?1)",
                )?
                .query_row([room.0.as_bytes()], |row| {
                    Ok(row.get::<_, Option<i64>>(0)?.zip(row.get::<_, Option<i64>>(1)?))
                })
        };
        let range = self.database().read(read).await?;
        Ok(range.map(|(first, last)| (first as Seq, last as Seq)))
    }

    async fn messages(&self, room: RoomId, page: Page, limit: usize) -> Result<Vec<StoredMessage>, StoreError> {
        let (condition, edge, order) = match page {
            Page::Latest => ("seq <= ?2", Seq::MAX, "DESC"),
            Page::Before(edge) => ("seq < ?2", edge, "DESC"),
            Page::After(edge) => ("seq > ?2", edge, "ASC"),
        };
        let sql = format!(
            "SELECT {MESSAGE} FROM messages WHERE room_id = ?1 AND {condition} ORDER BY seq {order} LIMIT ?3"
        );
        let read = move |connection: &Connection| {
            connection
                .prepare_cached(&sql)?
                .query_map(params![room.0.as_bytes(), number(edge), number(limit as u64)], |row| message(room, row))?
                .collect::<rusqlite::Result<Vec<_>>>()
        };
        let mut messages = self.database().read(read).await?;
        if order == "DESC" {
            messages.reverse();
        }
        Ok(messages)
    }

    async fn message(&self, room: RoomId, id: MessageId) -> Result<Option<StoredMessage>, StoreError> {
        let read = move |connection: &Connection| {
            connection
                .prepare_cached(&format!("SELECT {MESSAGE} FROM messages WHERE room_id = ?1 AND message_id = ?2"))?
                .query_row(params![room.0.as_bytes(), id.0.as_bytes()], |row| message(room, row))
                .optional()
        };
        self.database().read(read).await
    }

    async fn known_messages(&self, room: RoomId, messages: &[MessageId]) -> Result<Vec<MessageId>, StoreError> {
        let messages = messages.to_vec();
        let read = move |connection: &Connection| {
            let mut statement =
                connection.prepare_cached("SELECT 1 FROM messages WHERE room_id = ?1 AND message_id = ?2")?;
            let mut known = Vec::new();
            for id in messages {
                if statement.exists(params![room.0.as_bytes(), id.0.as_bytes()])? {
                    known.push(id);
                }
            }
            Ok(known)
        };
        self.database().read(read).await
    }

    async fn visibility(&self, room: RoomId, account: AccountId) -> Result<Option<Visibility>, StoreError> {
        let read = move |connection: &Connection| {
            // One snapshot for both tables.
            let transaction = connection.unchecked_transaction()?;
            let intervals = intervals(&transaction, account, room)?;
            if intervals.is_empty() {
                return Ok(None);
            }
            let rules = transaction
                .prepare_cached("SELECT from_seq, rule FROM history_rules WHERE room_id = ?1 ORDER BY from_seq")?
                .query_map([room.0.as_bytes()], |row| {
                    let rule = match row.get_ref(1)?.as_str()? {
                        "from_beginning" => History::FromBeginning,
                        _ => History::FromJoin,
                    };
                    Ok(HistoryRule { from: seq(row, 0)?, rule })
                })?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            Ok(Some(Visibility { intervals, rules }))
        };
        self.database().read(read).await
    }

    async fn rooms_of(&self, account: AccountId) -> Result<Vec<(RoomId, Vec<Interval>)>, StoreError> {
        let read = move |connection: &Connection| {
            let transaction = connection.unchecked_transaction()?;
            let rooms = transaction
                .prepare_cached(
                    "SELECT room_id FROM memberships WHERE account_id = ?1 AND left_seq IS NULL ORDER BY room_id",
                )?
                .query_map([account.0.as_bytes()], |row| Ok(RoomId(id(row, 0)?)))?
                .collect::<rusqlite::Result<Vec<RoomId>>>()?;
            rooms.into_iter().map(|room| Ok((room, intervals(&transaction, account, room)?))).collect()
        };
        self.database().read(read).await
    }

    async fn member_ids(&self, room: RoomId) -> Result<Vec<AccountId>, StoreError> {
        let read = move |connection: &Connection| {
            connection
                .prepare_cached(
                    "SELECT account_id FROM memberships WHERE room_id = ?1 AND left_seq IS NULL ORDER BY account_id",
                )?
                .query_map([room.0.as_bytes()], |row| Ok(AccountId(id(row, 0)?)))?
                .collect()
        };
        self.database().read(read).await
    }

    async fn beside(&self) -> Result<Arc<dyn RoomStore>, StoreError> {
        let generation = self.current.read().expect("no holder panics").0 + 1;
        self.generations.remove(generation);
        let database = Database::open(&self.generations.path(generation), SCHEMA)?;
        *self.beside.lock().expect("no holder panics") = Some((generation, database.clone()));
        Ok(Arc::new(Self {
            generations: self.generations.clone(),
            current: RwLock::new((generation, database)),
            beside: Mutex::default(),
        }))
    }

    async fn promote(&self) -> Result<(), StoreError> {
        let beside = self.beside.lock().expect("no holder panics").take();
        let Some((generation, database)) = beside else {
            return Err(StoreError::Damaged { store: "room", what: "nothing was built beside it".into() });
        };
        // What is in the file has to be on the disk before it counts.
        let checkpoint = |connection: &mut Connection| {
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(unavailable)
        };
        database.clone().write(checkpoint).await?;
        self.generations.promote(generation)?;
        let mut current = self.current.write().expect("no holder panics");
        let (old, _) = std::mem::replace(&mut *current, (generation, database));
        drop(current);
        self.generations.remove(old);
        Ok(())
    }
}

fn apply(connection: &mut Connection, batch: &RoomBatch) -> Result<(), StoreError> {
    let partition = batch.cursor.partition;
    let transaction = connection
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .map_err(unavailable)?;
    let stored = stored_cursor(&transaction, partition).map_err(unavailable)?;
    let found = stored.map(|json| parse_cursor(&json)).transpose()?.map_or(0, |cursor| cursor.next_offset);
    if found != batch.expected_offset {
        let expected = batch.expected_offset;
        return Err(StoreError::CursorMoved { projection: PROJECTION, partition: partition.to_string(), expected, found });
    }
    insert(&transaction, batch).map_err(unavailable)?;
    let cursor = serde_json::to_string(&batch.cursor)
        .map_err(|error| StoreError::Damaged { store: "room", what: error.to_string() })?;
    transaction
        .prepare_cached("INSERT OR REPLACE INTO cursors (topic, partition, cursor) VALUES (?1, ?2, ?3)")
        .and_then(|mut statement| statement.execute(params![partition.topic.name(), partition.partition, cursor]))
        .map_err(unavailable)?;
    transaction.commit().map_err(unavailable)
}

fn insert(transaction: &Connection, batch: &RoomBatch) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(
        "INSERT OR IGNORE INTO room_events (room_id, seq, offset, record_time_ms, event) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for e in &batch.events {
        statement.execute(params![e.room_id.0.as_bytes(), number(e.seq), number(e.offset), e.record_time_ms, &e.event[..]])?;
    }
    let mut statement = transaction.prepare_cached(
        "INSERT OR REPLACE INTO messages
           (room_id, seq, message_id, author_id, text, reply_to, sent_at_ms, source_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    for m in &batch.messages {
        statement.execute(params![
            m.room_id.0.as_bytes(),
            number(m.seq),
            m.message_id.0.as_bytes(),
            m.author_id.0.as_bytes(),
            &m.text[..],
            m.reply_to.as_ref().map(|id| id.0.as_bytes()),
            m.sent_at_ms,
            m.source_id,
        ])?;
    }
    let mut join = transaction.prepare_cached(
        "INSERT OR IGNORE INTO memberships (account_id, room_id, joined_seq)
         SELECT ?1, ?2, ?3 WHERE NOT EXISTS
           (SELECT 1 FROM memberships WHERE account_id = ?1 AND room_id = ?2 AND left_seq IS NULL)",
    )?;
    let mut leave = transaction.prepare_cached(
        "UPDATE memberships SET left_seq = ?3 WHERE account_id = ?1 AND room_id = ?2 AND left_seq IS NULL AND joined_seq < ?3",
    )?;
    for change in &batch.memberships {
        match change {
            MembershipChange::Joined { room_id, account_id, seq } => {
                join.execute(params![account_id.0.as_bytes(), room_id.0.as_bytes(), number(*seq)])?;
            }
            MembershipChange::Left { room_id, account_id, seq } => {
                leave.execute(params![account_id.0.as_bytes(), room_id.0.as_bytes(), number(*seq)])?;
            }
        }
    }
    let mut rules = transaction
        .prepare_cached("INSERT OR REPLACE INTO history_rules (room_id, from_seq, rule) VALUES (?1, ?2, ?3)")?;
    for (room, rule) in &batch.histories {
        let name = match rule.rule {
            History::FromBeginning => "from_beginning",
            History::FromJoin => "from_join",
        };
        rules.execute(params![room.0.as_bytes(), number(rule.from), name])?;
    }
    Ok(())
}

const MESSAGE: &str = "seq, message_id, author_id, text, reply_to, sent_at_ms, source_id";

fn message(room_id: RoomId, row: &Row<'_>) -> rusqlite::Result<StoredMessage> {
    Ok(StoredMessage {
        room_id,
        seq: seq(row, 0)?,
        message_id: MessageId(id(row, 1)?),
        author_id: AccountId(id(row, 2)?),
        text: Bytes::from(row.get::<_, Vec<u8>>(3)?),
        reply_to: row.get::<_, Option<[u8; 16]>>(4)?.map(|bytes| MessageId(Uuid::from_bytes(bytes))),
        sent_at_ms: row.get(5)?,
        source_id: row.get(6)?,
    })
}

fn intervals(connection: &Connection, account: AccountId, room: RoomId) -> rusqlite::Result<Vec<Interval>> {
    connection
        .prepare_cached(
            "SELECT joined_seq, left_seq FROM memberships WHERE account_id = ?1 AND room_id = ?2 ORDER BY joined_seq",
        )?
        .query_map(params![account.0.as_bytes(), room.0.as_bytes()], |row| {
            let left: Option<i64> = row.get(1)?;
            Ok(Interval { joined: seq(row, 0)?, left: left.map(|left| left as Seq) })
        })?
        .collect()
}

fn stored_cursor(connection: &Connection, partition: TopicPartition) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached("SELECT cursor FROM cursors WHERE topic = ?1 AND partition = ?2")?
        .query_row(params![partition.topic.name(), partition.partition], |row| row.get(0))
        .optional()
}

fn parse_cursor(json: &str) -> Result<Cursor, StoreError> {
    serde_json::from_str(json).map_err(|error| StoreError::Damaged { store: "room", what: error.to_string() })
}

fn id(row: &Row<'_>, column: usize) -> rusqlite::Result<Uuid> {
    row.get(column).map(Uuid::from_bytes)
}

fn seq(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|n| n as u64)
}

/// SQLite's numbers are signed; what is beyond them is beyond every row.
fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
