//! The room store on CQL, for many processes: ScyllaDB in production, Cassandra 5 in tests.
//!
//! **Writing.** CQL has no transaction over partitions, so a batch is written in three steps, each
//! begun when the one before is acknowledged at QUORUM: all rows, in parallel; then the ends of the
//! rooms' timelines (`rooms.last_seq`), which make the events visible; then the cursor. A crash
//! between two steps leaves rows that the next attempt writes again, with the same timestamps
//! ([`write`]).
//!
//! **What readers meet**, all of it at QUORUM: a room's timeline without holes, and with everything
//! that its events brought (messages, memberships, history rules); all that a cursor covers; every
//! batch whose `apply` has returned. Messages and memberships may be there before the events that
//! they come from, and one room may show a batch before another one does, until its `apply` returns.
//! Rooms of one slot, a root and all below it, move in one mutation: they differ only where replicas
//! do. ADR 0014 says why that does no harm.
//!
//! **Two projectors in one partition** at the same time both pass the check of `expected_offset` if
//! they look before either has written its cursor. They write the same rows, for both read the same
//! log, and the cursor with the greater offset stays. The one that is behind gets `CursorMoved` at
//! its next batch. Within one store they take turns.

mod begun;
mod buckets;
mod config;
mod connection;
mod cursor;
mod error;
mod generations;
mod memberships;
mod read;
mod requests;
mod schema;
mod tables;
mod write;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use roomlog_domain::visibility::{Interval, Visibility};
use roomlog_eventlog::{Cursor, TopicPartition};
use roomlog_schemas::event::Seq;
use roomlog_schemas::{AccountId, MessageId, RoomId};

pub use config::CqlConfig;

use self::connection::Connection;
use self::cursor::Stored;
use self::generations::{Generation, Generations, Listed};
use self::read::Reader;
use crate::StoreError;
use crate::rooms::{PROJECTION, Page, RoomBatch, RoomStore, StoredEvent, StoredMessage};

const STORE: &str = "room";

/// Members of one room lie in so many CQL partitions: a million of them in parts of some 5 MB.
const SHARDS: i8 = 16;

/// A handle, cheap to clone.
#[derive(Clone)]
pub struct CqlRoomStore {
    connection: Arc<Connection>,
    generations: Arc<Generations>,
    /// Of a store made by `beside`; `None` follows the generation that counts.
    fixed: Option<Arc<Generation>>,
    beside: Arc<tokio::sync::Mutex<Option<i64>>>,
    turns: Arc<Mutex<HashMap<TopicPartition, Arc<tokio::sync::Mutex<()>>>>>,
}

impl CqlRoomStore {
    /// Connects, and makes the keyspace and its tables if need be. `Unavailable` if no node can be
    /// reached, `Refused` if the settings cannot work or the credentials are wrong.
    pub async fn open(config: CqlConfig) -> Result<Self, StoreError> {
        let replication = config.check()?;
        let connection = Arc::new(Connection::open(config).await?);
        schema::prepare(&connection, &replication).await?;
        let generations = Generations::open(connection.clone()).await?;
        if let Err(error) = generations.clean_up().await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "tables of a replaced room store stay until the next start");
        }
        let (beside, turns) = Default::default();
        let store = Self { connection, generations, fixed: None, beside, turns };
        store.generations.current().await?;
        Ok(store)
    }

    fn reader(&self, generation: Arc<Generation>) -> Reader {
        Reader { connection: self.connection.clone(), generation }
    }

    async fn read<T, F>(&self, read: impl Fn(Reader) -> F + Send) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send,
    {
        if let Some(fixed) = &self.fixed {
            return read(self.reader(fixed.clone())).await;
        }
        let generation = self.generations.current().await?;
        let number = generation.number;
        let error = match read(self.reader(generation)).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        // Its tables may be gone, if this process was asleep for long.
        match self.generations.ask().await {
            Ok(now) if now.number != number => read(self.reader(now)).await,
            _ => Err(error),
        }
    }

    /// The generation to write to, and the cursor in it. What was known a moment ago will do: `apply` looks again
    /// when it has written.
    async fn to_write(
        &self,
        partition: TopicPartition,
    ) -> Result<(Arc<Generation>, Option<Stored>), StoreError> {
        if self.fixed.is_none()
            && let Some(known) = self.generations.fresh()
        {
            let stored = cursor::stored(&self.connection, &known, partition).await?;
            return Ok((known, stored));
        }
        let guess = self.generations.guess().await?;
        let stored = cursor::stored(&self.connection, &guess, partition);
        let (listed, stored) = tokio::join!(self.generations.list(), stored);
        let generation = self.counting(&listed?).await?;
        let stored = match generation.number == guess.number {
            true => stored?,
            false => cursor::stored(&self.connection, &generation, partition).await?,
        };
        Ok((generation, stored))
    }

    async fn counting(&self, listed: &Listed) -> Result<Arc<Generation>, StoreError> {
        match &self.fixed {
            None => self.generations.take(listed).await,
            Some(fixed) if listed.is_alive(fixed.number) => Ok(fixed.clone()),
            Some(fixed) => Err(error::damaged(format!("generation {} was replaced", fixed.number))),
        }
    }

    fn turn(&self, partition: TopicPartition) -> Arc<tokio::sync::Mutex<()>> {
        self.turns.lock().expect("no holder panics").entry(partition).or_default().clone()
    }
}

#[async_trait]
impl RoomStore for CqlRoomStore {
    async fn cursor(&self, partition: TopicPartition) -> Result<Option<Cursor>, StoreError> {
        self.read(|reader| async move { reader.cursor(partition).await }).await
    }

    async fn apply(&self, mut batch: RoomBatch) -> Result<(), StoreError> {
        let (partition, expected) = (batch.cursor.partition, batch.expected_offset);
        let moved = |found| StoreError::CursorMoved {
            projection: PROJECTION,
            partition: partition.to_string(),
            expected,
            found,
        };
        let turn = self.turn(partition);
        let _turn = turn.lock().await;
        let (generation, stored) = self.to_write(partition).await?;
        let (found, announced) =
            stored.map_or((0, 0), |stored| (stored.cursor.next_offset, stored.announced));
        if found != expected {
            return Err(moved(found));
        }
        write::rows(&self.connection, &generation, &batch, announced).await?;
        write::ends(&self.connection, &generation, &batch).await?;
        let announced = std::mem::take(&mut batch.cursor.announced).len();
        cursor::put(&self.connection, &generation, &Stored { cursor: batch.cursor, announced }).await?;
        // Written to what was replaced meanwhile, it would be lost to readers though `apply` returned.
        let now = self.counting(&self.generations.list().await?).await?;
        if now.number == generation.number {
            return Ok(());
        }
        let stored = cursor::stored(&self.connection, &now, partition).await?;
        Err(moved(stored.map_or(0, |stored| stored.cursor.next_offset)))
    }

    async fn events(&self, room: RoomId, from: Seq, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        self.read(|reader| async move { reader.events(room, from, limit).await }).await
    }

    async fn seq_range(&self, room: RoomId) -> Result<Option<(Seq, Seq)>, StoreError> {
        self.read(|reader| async move { reader.seq_range(room).await }).await
    }

    async fn messages(
        &self,
        room: RoomId,
        page: Page,
        limit: usize,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        self.read(|reader| async move { reader.messages(room, page, limit).await }).await
    }

    async fn message(&self, room: RoomId, message: MessageId) -> Result<Option<StoredMessage>, StoreError> {
        self.read(|reader| async move { reader.message(room, message).await }).await
    }

    async fn known_messages(
        &self,
        room: RoomId,
        messages: &[MessageId],
    ) -> Result<Vec<MessageId>, StoreError> {
        let messages = messages.to_vec();
        self.read(|reader| {
            let messages = messages.clone();
            async move { reader.known_messages(room, messages).await }
        })
        .await
    }

    async fn visibility(&self, room: RoomId, account: AccountId) -> Result<Option<Visibility>, StoreError> {
        self.read(|reader| async move { reader.visibility(room, account).await }).await
    }

    async fn rooms_of(&self, account: AccountId) -> Result<Vec<(RoomId, Vec<Interval>)>, StoreError> {
        self.read(|reader| async move { reader.rooms_of(account).await }).await
    }

    async fn member_ids(&self, room: RoomId) -> Result<Vec<AccountId>, StoreError> {
        self.read(|reader| async move { reader.member_ids(room).await }).await
    }

    async fn beside(&self) -> Result<Arc<dyn RoomStore>, StoreError> {
        let mut beside = self.beside.lock().await;
        *beside = None;
        let generation = self.generations.build().await?;
        *beside = Some(generation.number);
        let (nothing, turns) = Default::default();
        Ok(Arc::new(Self { fixed: Some(generation), beside: nothing, turns, ..self.clone() }))
    }

    async fn promote(&self) -> Result<(), StoreError> {
        let mut beside = self.beside.lock().await;
        let Some(new) = *beside else { return Err(error::damaged("nothing was built beside it")) };
        let old = self.generations.list().await?.current;
        if old != Some(new) {
            self.generations.switch(old, new).await?;
        }
        *beside = None;
        self.generations.ask().await.map(drop)
    }
}

/// CQL's numbers are signed; what is beyond them is beyond every row.
fn to_i64(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn to_i32(n: u64) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

/// What is written for this offset outlives what is written for a smaller one.
fn timestamp(offset: u64) -> i64 {
    to_i64(offset).saturating_add(1)
}

fn shard_of(account: AccountId) -> i8 {
    (account.0.as_u128() % SHARDS as u128) as i8
}

fn shards() -> Range<i8> {
    0..SHARDS
}
