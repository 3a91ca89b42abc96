//! Stores and logs that fail on demand.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use roomlog_domain::visibility::{Interval, Visibility};
use roomlog_domain::way::Way;
use roomlog_eventlog::{
    Appended, Cursor, EventLog, LogError, LogReader, LogRecord, NewRecord, PartitionCounts, TopicPartition,
};
use roomlog_schemas::event::Seq;
use roomlog_schemas::{AccountId, MessageId, RoomId};
use roomlog_stores::directory::{
    AccountRow, DirectoryBatch, DirectoryChange, MemberRow, OverrideRow, RoleRow, RoomRow,
};
use roomlog_stores::rooms::{Page, RoomBatch, StoredEvent, StoredMessage};
use roomlog_stores::{DirectoryStore, RoomStore, StoreError};

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

pub fn refused(store: &'static str) -> StoreError {
    StoreError::RowsRefused { store, source: "a test says so".into() }
}

/// A room store whose next applies fail as told, also those of the store beside it.
#[derive(Clone)]
pub struct FaultyRooms {
    pub inner: Arc<dyn RoomStore>,
    pub faults: Arc<Mutex<VecDeque<Fault>>>,
    /// Before each apply.
    pub delay: Duration,
    /// Events that it cannot hold.
    pub refused: Arc<Mutex<HashSet<(RoomId, Seq)>>>,
    /// Rooms whose events cannot be decoded.
    pub bad: Arc<Mutex<HashSet<RoomId>>>,
}

impl FaultyRooms {
    pub fn new(inner: Arc<dyn RoomStore>, faults: impl IntoIterator<Item = Fault>) -> Self {
        Self {
            inner,
            faults: Arc::new(Mutex::new(faults.into_iter().collect())),
            delay: Duration::ZERO,
            refused: Arc::default(),
            bad: Arc::default(),
        }
    }
}

#[async_trait]
impl RoomStore for FaultyRooms {
    async fn apply(&self, batch: RoomBatch) -> Result<(), StoreError> {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        if batch.events.iter().any(|event| self.refused.lock().unwrap().contains(&(event.room_id, event.seq)))
        {
            return Err(refused("rooms"));
        }
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
        Ok(Arc::new(Self { inner: self.inner.beside().await?, ..self.clone() }))
    }

    async fn promote(&self) -> Result<(), StoreError> {
        self.inner.promote().await
    }

    async fn cursor(&self, partition: TopicPartition) -> Result<Option<Cursor>, StoreError> {
        self.inner.cursor(partition).await
    }

    async fn events(&self, room: RoomId, from: Seq, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        if self.bad.lock().unwrap().contains(&room) {
            return Err(StoreError::BadRow { store: "rooms", what: "a test says so".into() });
        }
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

/// A directory that cannot hold some changes.
pub struct FaultyDirectory {
    pub inner: Arc<dyn DirectoryStore>,
    pub refused: Arc<Mutex<HashSet<(RoomId, Seq)>>>,
    pub refused_accounts: Arc<Mutex<HashSet<AccountId>>>,
}

#[async_trait]
impl DirectoryStore for FaultyDirectory {
    async fn apply(&self, batch: DirectoryBatch) -> Result<(), StoreError> {
        let is_refused = |change: &DirectoryChange| match change {
            DirectoryChange::Joined { room_id, seq, .. } => {
                self.refused.lock().unwrap().contains(&(*room_id, *seq))
            }
            DirectoryChange::Room(row) => self.refused.lock().unwrap().contains(&(row.room_id, row.last_seq)),
            DirectoryChange::Account(row) => self.refused_accounts.lock().unwrap().contains(&row.account_id),
            _ => false,
        };
        match batch.changes.iter().any(is_refused) {
            true => Err(refused("directory")),
            false => self.inner.apply(batch).await,
        }
    }

    async fn beside(&self) -> Result<Arc<dyn DirectoryStore>, StoreError> {
        let (refused, refused_accounts) = (self.refused.clone(), self.refused_accounts.clone());
        Ok(Arc::new(Self { inner: self.inner.beside().await?, refused, refused_accounts }))
    }

    async fn promote(&self) -> Result<(), StoreError> {
        self.inner.promote().await
    }

    async fn cursor(&self, partition: TopicPartition) -> Result<Option<Cursor>, StoreError> {
        self.inner.cursor(partition).await
    }

    async fn account(&self, account: AccountId) -> Result<Option<AccountRow>, StoreError> {
        self.inner.account(account).await
    }

    async fn room(&self, room: RoomId) -> Result<Option<RoomRow>, StoreError> {
        self.inner.room(room).await
    }

    async fn rooms_of(
        &self,
        account: AccountId,
        after: Option<RoomId>,
        limit: usize,
    ) -> Result<Vec<RoomRow>, StoreError> {
        self.inner.rooms_of(account, after, limit).await
    }

    async fn members(
        &self,
        room: RoomId,
        after: Option<AccountId>,
        limit: usize,
    ) -> Result<Vec<MemberRow>, StoreError> {
        self.inner.members(room, after, limit).await
    }

    async fn is_member(&self, room: RoomId, account: AccountId) -> Result<bool, StoreError> {
        self.inner.is_member(room, account).await
    }

    async fn roles(&self, root: RoomId) -> Result<Vec<RoleRow>, StoreError> {
        self.inner.roles(root).await
    }

    async fn overrides(&self, room: RoomId) -> Result<Vec<OverrideRow>, StoreError> {
        self.inner.overrides(room).await
    }

    async fn way(&self, room: RoomId, account: AccountId) -> Result<Option<Way>, StoreError> {
        self.inner.way(room, account).await
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
