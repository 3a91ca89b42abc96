//! The directory on SQLite.

mod read;
mod write;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use roomlog_domain::way::Way;
use roomlog_eventlog::{Cursor, TopicPartition};
use roomlog_schemas::{AccountId, RoomId};
use sqlx::sqlite::SqliteSynchronous;

use super::StoredCursor;
use super::pools::{self, Pools};
use super::projected::{DatabaseFile, Projected};
use crate::StoreError;
use crate::directory::net::NetChanges;
use crate::directory::{
    AccountRow, DirectoryBatch, DirectoryStore, MemberRow, OverrideRow, PROJECTION, RoleRow, RoomRow, version,
};
use crate::migrations::SQLITE_DIRECTORY as MIGRATIONS;

const STORE: &str = "directory";

/// A handle, cheap to clone.
#[derive(Clone)]
pub struct SqliteDirectoryStore {
    files: Arc<Projected<DirectoryDatabase>>,
}

impl SqliteDirectoryStore {
    /// Opens or makes the store in this folder, which is made if need be.
    pub async fn open(directory: &Path) -> Result<Self, StoreError> {
        let files = Projected::open(STORE, directory, PROJECTION, version()).await?;
        Ok(Self { files: Arc::new(files) })
    }
}

#[async_trait]
impl DirectoryStore for SqliteDirectoryStore {
    async fn cursor(&self, partition: TopicPartition) -> Result<Option<Cursor>, StoreError> {
        let database = self.files.current().await;
        let stored = read::cursor(database.0.readers(), partition).await.map_err(failed)?;
        stored.map(|(json, announced)| StoredCursor::cursor(STORE, &json, announced)).transpose()
    }

    async fn apply(&self, batch: DirectoryBatch) -> Result<(), StoreError> {
        let (partition, expected) = (batch.cursor.partition, batch.expected_offset);
        let cursor = StoredCursor::of(STORE, batch.cursor)?;
        let changes = NetChanges::of(batch.changes);
        let database = self.files.current().await;
        let mut transaction = database.0.begin().await.map_err(failed)?;
        let moved = write::move_cursor(&mut transaction, partition, expected, &cursor).await;
        if !moved.map_err(failed)? {
            let found = read::next_offset(&mut transaction, partition).await.map_err(failed)?;
            let partition = partition.to_string();
            return Err(StoreError::CursorMoved { projection: PROJECTION, partition, expected, found });
        }
        write::apply(&mut transaction, &changes).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    async fn account(&self, account: AccountId) -> Result<Option<AccountRow>, StoreError> {
        let database = self.files.current().await;
        read::account(database.0.readers(), account).await.map_err(failed)
    }

    async fn room(&self, room: RoomId) -> Result<Option<RoomRow>, StoreError> {
        let database = self.files.current().await;
        read::room(database.0.readers(), room).await.map_err(failed)
    }

    async fn rooms_of(
        &self,
        account: AccountId,
        after: Option<RoomId>,
        limit: usize,
    ) -> Result<Vec<RoomRow>, StoreError> {
        let database = self.files.current().await;
        read::rooms_of(database.0.readers(), account, after, limit).await.map_err(failed)
    }

    async fn members(
        &self,
        room: RoomId,
        after: Option<AccountId>,
        limit: usize,
    ) -> Result<Vec<MemberRow>, StoreError> {
        let database = self.files.current().await;
        read::members(database.0.readers(), room, after, limit).await.map_err(failed)
    }

    async fn is_member(&self, room: RoomId, account: AccountId) -> Result<bool, StoreError> {
        let database = self.files.current().await;
        read::is_member(database.0.readers(), room, account).await.map_err(failed)
    }

    async fn roles(&self, root: RoomId) -> Result<Vec<RoleRow>, StoreError> {
        let database = self.files.current().await;
        read::roles(database.0.readers(), root).await.map_err(failed)
    }

    async fn overrides(&self, room: RoomId) -> Result<Vec<OverrideRow>, StoreError> {
        let database = self.files.current().await;
        read::overrides(database.0.readers(), room).await.map_err(failed)
    }

    async fn way(&self, room: RoomId, account: AccountId) -> Result<Option<Way>, StoreError> {
        let database = self.files.current().await;
        read::way(database.0.readers(), room, account).await.map_err(failed)
    }

    async fn beside(&self) -> Result<Arc<dyn DirectoryStore>, StoreError> {
        Ok(Arc::new(Self { files: Arc::new(self.files.beside().await?) }))
    }

    async fn promote(&self) -> Result<(), StoreError> {
        self.files.promote(STORE).await
    }
}

#[derive(Clone)]
struct DirectoryDatabase(Pools);

impl DatabaseFile for DirectoryDatabase {
    async fn open(path: &Path) -> Result<Self, StoreError> {
        Pools::open(STORE, path, SqliteSynchronous::Normal, &MIGRATIONS).await.map(Self)
    }

    async fn checkpoint(&self) -> Result<(), StoreError> {
        self.0.checkpoint().await
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

fn failed(error: sqlx::Error) -> StoreError {
    pools::failed(STORE, error)
}
