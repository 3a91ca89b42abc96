//! The room store on SQLite.

mod read;
mod write;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use roomlog_domain::visibility::{Interval, Visibility};
use roomlog_eventlog::{Cursor, TopicPartition};
use roomlog_schemas::event::Seq;
use roomlog_schemas::{AccountId, MessageId, RoomId};

use super::StoredCursor;
use super::database::Database;
use super::projected::{DatabaseFile, Projected};
use crate::StoreError;
use crate::rooms::{PROJECTION, Page, RoomBatch, RoomStore, StoredEvent, StoredMessage, VERSION};

const STORE: &str = "room";
const SCHEMA: &str = include_str!("schema.sql");
const SCHEMA_VERSION: i64 = 1;

/// A handle, cheap to clone.
#[derive(Clone)]
pub struct SqliteRoomStore {
    files: Arc<Projected<RoomDatabase>>,
}

impl SqliteRoomStore {
    /// Opens or makes the store in this folder, which is made if need be.
    pub async fn open(directory: &Path) -> Result<Self, StoreError> {
        let files = Projected::open(STORE, directory, PROJECTION, VERSION).await?;
        Ok(Self { files: Arc::new(files) })
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.files.current().await.0.read(work).await
    }
}

#[async_trait]
impl RoomStore for SqliteRoomStore {
    async fn cursor(&self, partition: TopicPartition) -> Result<Option<Cursor>, StoreError> {
        let stored = self.read(move |connection| read::cursor(connection, partition)).await?;
        stored.map(|(json, announced)| StoredCursor::cursor(STORE, &json, announced)).transpose()
    }

    async fn apply(&self, batch: RoomBatch) -> Result<(), StoreError> {
        let database = self.files.current().await;
        database.0.write(move |connection| write::apply(connection, batch)).await
    }

    async fn events(&self, room: RoomId, from: Seq, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        self.read(move |connection| read::events(connection, room, from, limit)).await
    }

    async fn seq_range(&self, room: RoomId) -> Result<Option<(Seq, Seq)>, StoreError> {
        self.read(move |connection| read::seq_range(connection, room)).await
    }

    async fn messages(
        &self,
        room: RoomId,
        page: Page,
        limit: usize,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        self.read(move |connection| read::messages(connection, room, page, limit)).await
    }

    async fn message(&self, room: RoomId, message: MessageId) -> Result<Option<StoredMessage>, StoreError> {
        self.read(move |connection| read::message(connection, room, message)).await
    }

    async fn known_messages(
        &self,
        room: RoomId,
        messages: &[MessageId],
    ) -> Result<Vec<MessageId>, StoreError> {
        let messages = messages.to_vec();
        self.read(move |connection| read::known_messages(connection, room, messages)).await
    }

    async fn visibility(&self, room: RoomId, account: AccountId) -> Result<Option<Visibility>, StoreError> {
        self.read(move |connection| read::visibility(connection, room, account)).await
    }

    async fn rooms_of(&self, account: AccountId) -> Result<Vec<(RoomId, Vec<Interval>)>, StoreError> {
        self.read(move |connection| read::rooms_of(connection, account)).await
    }

    async fn member_ids(&self, room: RoomId) -> Result<Vec<AccountId>, StoreError> {
        self.read(move |connection| read::member_ids(connection, room)).await
    }

    async fn beside(&self) -> Result<Arc<dyn RoomStore>, StoreError> {
        Ok(Arc::new(Self { files: Arc::new(self.files.beside().await?) }))
    }

    async fn promote(&self) -> Result<(), StoreError> {
        self.files.promote(STORE).await
    }
}

#[derive(Clone)]
struct RoomDatabase(Database);

impl DatabaseFile for RoomDatabase {
    async fn open(path: &Path) -> Result<Self, StoreError> {
        Database::open(STORE, path, SCHEMA, SCHEMA_VERSION).await.map(Self)
    }

    async fn checkpoint(&self) -> Result<(), StoreError> {
        self.0.checkpoint().await
    }

    async fn close(&self) {
        self.0.close().await;
    }
}
