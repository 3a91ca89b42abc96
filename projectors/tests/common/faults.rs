//! Stores and logs that fail on demand.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::future::BoxFuture;
use roomlog_domain::visibility::{Interval, Visibility};
use roomlog_eventlog::{
    Appended, Cursor, EventLog, LogError, LogReader, LogRecord, NewRecord, PartitionCounts, TopicPartition,
};
use roomlog_schemas::event::Seq;
use roomlog_schemas::{AccountId, MessageId, RoomId};
use roomlog_stores::rooms::{Page, RoomBatch, StoredEvent, StoredMessage};
use roomlog_stores::{RoomStore, StoreError};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is stored.
    Refused,
    /// The batch is stored, but the answer is lost.
    AnswerLost,
    Damaged,
}

pub fn unavailable() -> StoreError {
    StoreError::Unavailable { store: "rooms", source: "a test says so".into() }
}

/// A room store whose next applies fail as told, also those of the store beside it.
#[derive(Clone)]
pub struct FaultyRooms {
    pub inner: Arc<dyn RoomStore>,
    pub faults: Arc<Mutex<VecDeque<Fault>>>,
}

impl FaultyRooms {
    pub fn new(inner: Arc<dyn RoomStore>, faults: impl IntoIterator<Item = Fault>) -> Self {
        Self { inner, faults: Arc::new(Mutex::new(faults.into_iter().collect())) }
    }
}

#[async_trait]
impl RoomStore for FaultyRooms {
    async fn apply(&self, batch: RoomBatch) -> Result<(), StoreError> {
        let fault = self.faults.lock().unwrap().pop_front();
        match fault {
            None => self.inner.apply(batch).await,
            Some(Fault::Refused) => Err(unavailable()),
            Some(Fault::AnswerLost) => {
                self.inner.apply(batch).await?;
                Err(unavailable())
            }
            Some(Fault::Damaged) => {
                Err(StoreError::Damaged { store: "rooms", what: "a test says so".into() })
            }
        }
    }

    async fn beside(&self) -> Result<Arc<dyn RoomStore>, StoreError> {
        Ok(Arc::new(Self { inner: self.inner.beside().await?, faults: self.faults.clone() }))
    }

    async fn promote(&self) -> Result<(), StoreError> {
        self.inner.promote().await
    }

    async fn cursor(&self, partition: TopicPartition) -> Result<Option<Cursor>, StoreError> {
        self.inner.cursor(partition).await
    }

    async fn events(&self, room: RoomId, from: Seq, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        self.inner.events(room, from, limit).await
    }

    async fn seq_range(&self, room: RoomId) -> Result<Option<(Seq, Seq)>, StoreError> {
        self.inner.seq_range(room).await
    }

    async fn messages(
        &self,
        room: RoomId,
        page: Page,
        limit: usize,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        self.inner.messages(room, page, limit).await
    }

    async fn message(&self, room: RoomId, message: MessageId) -> Result<Option<StoredMessage>, StoreError> {
        self.inner.message(room, message).await
    }

    async fn known_messages(
        &self,
        room: RoomId,
        messages: &[MessageId],
    ) -> Result<Vec<MessageId>, StoreError> {
        self.inner.known_messages(room, messages).await
    }

    async fn visibility(&self, room: RoomId, account: AccountId) -> Result<Option<Visibility>, StoreError> {
        self.inner.visibility(room, account).await
    }

    async fn rooms_of(&self, account: AccountId) -> Result<Vec<(RoomId, Vec<Interval>)>, StoreError> {
        self.inner.rooms_of(account).await
    }

    async fn member_ids(&self, room: RoomId) -> Result<Vec<AccountId>, StoreError> {
        self.inner.member_ids(room).await
    }
}

/// A log that is away for so many calls of each kind.
pub struct FaultyLog {
    pub inner: Arc<dyn EventLog>,
    pub away: Arc<AtomicU32>,
}

fn is_away(away: &AtomicU32) -> Result<(), LogError> {
    match away.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
        Ok(_) => Err(LogError::Unavailable("a test says so".into())),
        Err(_) => Ok(()),
    }
}

#[async_trait]
impl EventLog for FaultyLog {
    fn partitions(&self) -> PartitionCounts {
        self.inner.partitions()
    }

    fn append(
        &self,
        partition: TopicPartition,
        record: NewRecord,
    ) -> BoxFuture<'static, Result<Appended, LogError>> {
        self.inner.append(partition, record)
    }

    async fn end(&self, partition: TopicPartition) -> Result<u64, LogError> {
        is_away(&self.away)?;
        self.inner.end(partition).await
    }

    async fn read(&self, partition: TopicPartition, from: u64) -> Result<Box<dyn LogReader>, LogError> {
        is_away(&self.away)?;
        Ok(Box::new(FaultyReader { inner: self.inner.read(partition, from).await?, away: self.away.clone() }))
    }
}

struct FaultyReader {
    inner: Box<dyn LogReader>,
    away: Arc<AtomicU32>,
}

#[async_trait]
impl LogReader for FaultyReader {
    async fn next(&mut self) -> Result<Vec<LogRecord>, LogError> {
        is_away(&self.away)?;
        self.inner.next().await
    }
}
