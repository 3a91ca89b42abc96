use std::path::Path;
use std::sync::Arc;
use async_trait::async_trait;
use roomlog_eventlog::{Cursor, TopicPartition};
use roomlog_schemas::{AccountId, RoomId, MessageId, SessionId};
use roomlog_schemas::event::Seq;
use roomlog_domain::visibility::{Interval, Visibility};

use crate::StoreError;
use crate::directory::*;

#[derive(Clone)]
pub struct SqliteDirectoryStore;

impl SqliteDirectoryStore {
    #[allow(unused)]
    pub async fn open(directory: &Path) -> Result<Self, StoreError> { let _ = directory; unimplemented!() }
}

#[async_trait]
#[allow(unused_variables)]
impl DirectoryStore for SqliteDirectoryStore {
    async fn cursor(&self, partition: TopicPartition) -> Result<Option<Cursor>, StoreError> { unimplemented!() }
    async fn apply(&self, batch: DirectoryBatch) -> Result<(), StoreError> { unimplemented!() }
    async fn account(&self, account: AccountId) -> Result<Option<AccountRow>, StoreError> { unimplemented!() }
    async fn room(&self, room: RoomId) -> Result<Option<RoomRow>, StoreError> { unimplemented!() }
    async fn rooms_of(
        &self,
        account: AccountId,
        after: Option<RoomId>,
        limit: usize,
    ) -> Result<Vec<RoomRow>, StoreError> { unimplemented!() }
    async fn members(
        &self,
        room: RoomId,
        after: Option<AccountId>,
        limit: usize,
    ) -> Result<Vec<MemberRow>, StoreError> { unimplemented!() }
    async fn is_member(&self, room: RoomId, account: AccountId) -> Result<bool, StoreError> { unimplemented!() }
    async fn beside(&self) -> Result<Arc<dyn DirectoryStore>, StoreError> { unimplemented!() }
    async fn promote(&self) -> Result<(), StoreError> { unimplemented!() }
}
