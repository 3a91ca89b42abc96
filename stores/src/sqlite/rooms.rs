use std::path::Path;
use std::sync::Arc;
use async_trait::async_trait;
use roomlog_eventlog::{Cursor, TopicPartition};
use roomlog_schemas::{AccountId, RoomId, MessageId, SessionId};
use roomlog_schemas::event::Seq;
use roomlog_domain::visibility::{Interval, Visibility};

use crate::StoreError;
use crate::rooms::*;

#[derive(Clone)]
pub struct SqliteRoomStore;

impl SqliteRoomStore {
    #[allow(unused)]
    pub async fn open(directory: &Path) -> Result<Self, StoreError> { let _ = directory; unimplemented!() }
}

#[async_trait]
#[allow(unused_variables)]
impl RoomStore for SqliteRoomStore {
    async fn cursor(&self, partition: TopicPartition) -> Result<Option<Cursor>, StoreError> { unimplemented!() }
    async fn apply(&self, batch: RoomBatch) -> Result<(), StoreError> { unimplemented!() }
    async fn events(&self, room: RoomId, from: Seq, limit: usize) -> Result<Vec<StoredEvent>, StoreError> { unimplemented!() }
    async fn seq_range(&self, room: RoomId) -> Result<Option<(Seq, Seq)>, StoreError> { unimplemented!() }
    async fn messages(&self, room: RoomId, page: Page, limit: usize) -> Result<Vec<StoredMessage>, StoreError> { unimplemented!() }
    async fn message(&self, room: RoomId, message: MessageId) -> Result<Option<StoredMessage>, StoreError> { unimplemented!() }
    async fn known_messages(&self, room: RoomId, messages: &[MessageId]) -> Result<Vec<MessageId>, StoreError> { unimplemented!() }
    async fn visibility(&self, room: RoomId, account: AccountId) -> Result<Option<Visibility>, StoreError> { unimplemented!() }
    async fn rooms_of(&self, account: AccountId) -> Result<Vec<(RoomId, Vec<Interval>)>, StoreError> { unimplemented!() }
    async fn member_ids(&self, room: RoomId) -> Result<Vec<AccountId>, StoreError> { unimplemented!() }
    async fn beside(&self) -> Result<Arc<dyn RoomStore>, StoreError> { unimplemented!() }
    async fn promote(&self) -> Result<(), StoreError> { unimplemented!() }
}
