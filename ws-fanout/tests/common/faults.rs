//! Stores and logs that fail on demand.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
use tokio::sync::watch;

/// A room store for readers that lacks rows or is away.
pub struct FaultyRooms {
    pub inner: Arc<dyn RoomStore>,
    pub lacking: Mutex<BTreeSet<Seq>>,
    /// Rows that cannot be decoded.
    pub bad: Mutex<BTreeSet<Seq>>,
    pub is_away: AtomicBool,
    /// Pages of events that were read.
    pub reads: AtomicUsize,
}

impl FaultyRooms {
    pub fn new(inner: Arc<dyn RoomStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            lacking: Mutex::default(),
            bad: Mutex::default(),
            is_away: AtomicBool::new(false),
            reads: AtomicUsize::new(0),
        })
    }

    fn check(&self) -> Result<&dyn RoomStore, StoreError> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable { store: "rooms", source: "a test says so".into() });
        }
        Ok(&*self.inner)
    }
}

#[async_trait]
impl RoomStore for FaultyRooms {
    async fn cursor(&self, partition: TopicPartition) -> Result<Option<Cursor>, StoreError> {
        self.check()?.cursor(partition).await
    }

    async fn apply(&self, batch: RoomBatch) -> Result<(), StoreError> {
        self.check()?.apply(batch).await
    }

    async fn events(&self, room: RoomId, from: Seq, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        let mut rows = self.check()?.events(room, from, limit).await?;
        self.reads.fetch_add(1, Ordering::SeqCst);
        let bad = self.bad.lock().unwrap();
        if rows.iter().any(|row| bad.contains(&row.seq)) {
            return Err(StoreError::BadRow { store: "rooms", what: "a test says so".into() });
        }
        let lacking = self.lacking.lock().unwrap();
        rows.retain(|row| !lacking.contains(&row.seq));
        Ok(rows)
    }

    async fn seq_range(&self, room: RoomId) -> Result<Option<(Seq, Seq)>, StoreError> {
        self.check()?.seq_range(room).await
    }

    async fn messages(
        &self,
        room: RoomId,
        page: Page,
        limit: usize,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        self.check()?.messages(room, page, limit).await
    }

    async fn message(&self, room: RoomId, message: MessageId) -> Result<Option<StoredMessage>, StoreError> {
        self.check()?.message(room, message).await
    }

    async fn known_messages(
        &self,
        room: RoomId,
        messages: &[MessageId],
    ) -> Result<Vec<MessageId>, StoreError> {
        self.check()?.known_messages(room, messages).await
    }

    async fn visibility(&self, room: RoomId, account: AccountId) -> Result<Option<Visibility>, StoreError> {
        self.check()?.visibility(room, account).await
    }

    async fn rooms_of(&self, account: AccountId) -> Result<Vec<(RoomId, Vec<Interval>)>, StoreError> {
        self.check()?.rooms_of(account).await
    }

    async fn member_ids(&self, room: RoomId) -> Result<Vec<AccountId>, StoreError> {
        self.check()?.member_ids(room).await
    }

    async fn beside(&self) -> Result<Arc<dyn RoomStore>, StoreError> {
        self.check()?.beside().await
    }

    async fn promote(&self) -> Result<(), StoreError> {
        self.check()?.promote().await
    }
}

/// A log that can go away, for readers as well.
pub struct FaultyLog {
    pub inner: Arc<dyn EventLog>,
    state: Arc<watch::Sender<LogState>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogState {
    Here,
    /// Readers are given nothing new.
    Slow,
    Away,
}

impl FaultyLog {
    pub fn new(inner: Arc<dyn EventLog>) -> Arc<Self> {
        Arc::new(Self { inner, state: Arc::new(watch::Sender::new(LogState::Here)) })
    }

    pub fn set(&self, state: LogState) {
        self.state.send_replace(state);
    }

    fn check(&self) -> Result<&dyn EventLog, LogError> {
        if *self.state.borrow() == LogState::Away { Err(away()) } else { Ok(&*self.inner) }
    }
}

fn away() -> LogError {
    LogError::Unavailable("a test says so".into())
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
        self.check()?.end(partition).await
    }

    async fn read(&self, partition: TopicPartition, from: u64) -> Result<Box<dyn LogReader>, LogError> {
        let inner = self.check()?.read(partition, from).await?;
        Ok(Box::new(FaultyReader { inner, state: self.state.clone() }))
    }
}

struct FaultyReader {
    inner: Box<dyn LogReader>,
    state: Arc<watch::Sender<LogState>>,
}

#[async_trait]
impl LogReader for FaultyReader {
    async fn next(&mut self) -> Result<Vec<LogRecord>, LogError> {
        let mut state = self.state.subscribe();
        loop {
            let now = *state.borrow_and_update();
            match now {
                LogState::Away => return Err(away()),
                LogState::Slow => drop(state.changed().await),
                LogState::Here => tokio::select! {
                    biased;
                    _ = state.changed() => {}
                    records = self.inner.next() => return records,
                },
            }
        }
    }
}
