//! The directory on PostgreSQL.
//!
//! Its tables are a schema. A rebuild fills another one, `<schema>_next`, and takes the first one's
//! name with it, in one transaction; so a store in another process sees the new rows without doing
//! anything. See ADR 0013.

mod read;
mod roles;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use roomlog_domain::way::Way;
use roomlog_eventlog::{Cursor, TopicPartition};
use roomlog_schemas::{AccountId, RoomId};
use tokio::sync::{Mutex, RwLock};

use super::config::{PostgresConfig, check_schema};
use super::database::{Database, run};
use super::maintenance::{Maintenance, SchemaId};
use crate::StoreError;
use crate::columns::StoredCursor;
use crate::directory::net::NetChanges;
use crate::directory::{
    AccountRow, DirectoryBatch, DirectoryStore, MemberRow, OverrideRow, PROJECTION, RoleRow, RoomRow, version,
};
use crate::migrations::POSTGRES_DIRECTORY as MIGRATIONS;

const STORE: &str = "directory";

/// In the order in which statements of more than one table name them, those that write first of all
/// the cursors: who locks them in another order may meet a deadlock.
const TABLES: [&str; 7] =
    ["cursors", "announced_schemas", "memberships", "accounts", "rooms", "role_overrides", "roles"];

/// A handle, cheap to clone. Any number of them may be open on the same tables.
#[derive(Clone)]
pub struct PostgresDirectoryStore {
    inner: Arc<Inner>,
}

struct Inner {
    config: PostgresConfig,
    /// Of the tables that count.
    schema: String,
    /// Every call holds it for reading. That of a store that is being built changes when it is done.
    database: RwLock<Database>,
    beside: Mutex<Option<Beside>>,
}

struct Beside {
    id: SchemaId,
    store: PostgresDirectoryStore,
}

impl PostgresDirectoryStore {
    /// Makes the tables or brings them up to date, waiting for other processes that are at it.
    pub async fn open(config: &PostgresConfig) -> Result<Self, StoreError> {
        check_schema(STORE, &config.directory_schema)?;
        let schema = format!("{}_v{}", config.directory_schema, version());
        let mut maintenance = Maintenance::begin(STORE, config).await?;
        maintenance.migrate(&schema, &MIGRATIONS).await?;
        maintenance.end().await;
        let database = Database::new(STORE, config, schema.clone())?;
        Ok(Self::new(config.clone(), schema, database))
    }

    fn new(config: PostgresConfig, schema: String, database: Database) -> Self {
        let (database, beside) = (RwLock::new(database), Mutex::default());
        Self { inner: Arc::new(Inner { config, schema, database, beside }) }
    }
}

#[async_trait]
impl DirectoryStore for PostgresDirectoryStore {
    async fn cursor(&self, partition: TopicPartition) -> Result<Option<Cursor>, StoreError> {
        let database = self.inner.database.read().await;
        let stored = run!(database, |connection| read::cursor(connection, partition))?;
        stored.map(|(json, announced)| StoredCursor::cursor(STORE, &json, announced)).transpose()
    }

    async fn apply(&self, batch: DirectoryBatch) -> Result<(), StoreError> {
        let (partition, expected) = (batch.cursor.partition, batch.expected_offset);
        let cursor = StoredCursor::of(STORE, batch.cursor)?;
        let changes = NetChanges::of(batch.changes);
        let database = self.inner.database.read().await;
        let applied =
            run!(database, |connection| write::apply(connection, partition, expected, &cursor, &changes));
        match applied? {
            write::Applied::Done => Ok(()),
            write::Applied::CursorIsAt(found) => {
                let partition = partition.to_string();
                Err(StoreError::CursorMoved { projection: PROJECTION, partition, expected, found })
            }
        }
    }

    async fn account(&self, account: AccountId) -> Result<Option<AccountRow>, StoreError> {
        let database = self.inner.database.read().await;
        run!(database, |connection| read::account(connection, account))
    }

    async fn room(&self, room: RoomId) -> Result<Option<RoomRow>, StoreError> {
        let database = self.inner.database.read().await;
        run!(database, |connection| read::room(connection, room))
    }

    async fn rooms_of(
        &self,
        account: AccountId,
        after: Option<RoomId>,
        limit: usize,
    ) -> Result<Vec<RoomRow>, StoreError> {
        let database = self.inner.database.read().await;
        run!(database, |connection| read::rooms_of(connection, account, after, limit))
    }

    async fn members(
        &self,
        room: RoomId,
        after: Option<AccountId>,
        limit: usize,
    ) -> Result<Vec<MemberRow>, StoreError> {
        let database = self.inner.database.read().await;
        run!(database, |connection| read::members(connection, room, after, limit))
    }

    async fn is_member(&self, room: RoomId, account: AccountId) -> Result<bool, StoreError> {
        let database = self.inner.database.read().await;
        run!(database, |connection| read::is_member(connection, room, account))
    }

    async fn roles(&self, root: RoomId) -> Result<Vec<RoleRow>, StoreError> {
        let database = self.inner.database.read().await;
        run!(database, |connection| read::roles(connection, root))
    }

    async fn overrides(&self, room: RoomId) -> Result<Vec<OverrideRow>, StoreError> {
        let database = self.inner.database.read().await;
        run!(database, |connection| read::overrides(connection, room))
    }

    async fn way(&self, room: RoomId, account: AccountId) -> Result<Option<Way>, StoreError> {
        let database = self.inner.database.read().await;
        run!(database, |connection| read::way(connection, room, account))
    }

    async fn beside(&self) -> Result<Arc<dyn DirectoryStore>, StoreError> {
        let Inner { config, schema, .. } = &*self.inner;
        let mut beside = self.inner.beside.lock().await;
        if self.inner.database.read().await.schema() != schema {
            let what = "nothing is built beside what is being built".into();
            return Err(StoreError::Damaged { store: STORE, what });
        }
        *beside = None;
        let next = next(schema);
        let mut maintenance = Maintenance::begin(STORE, config).await?;
        let id = maintenance.make_anew(&next, &MIGRATIONS).await?;
        maintenance.end().await;
        let database = Database::new(STORE, config, next)?;
        let store = Self::new(config.clone(), schema.clone(), database);
        *beside = Some(Beside { id, store: store.clone() });
        Ok(Arc::new(store))
    }

    async fn promote(&self) -> Result<(), StoreError> {
        let Inner { config, schema, .. } = &*self.inner;
        let mut beside = self.inner.beside.lock().await;
        let Some(Beside { id, store }) = &*beside else {
            return Err(StoreError::Damaged { store: STORE, what: "nothing was built beside it".into() });
        };
        // Waits for calls on the new store that have not ended; those that come find its new place.
        let mut built = store.inner.database.write().await;
        let mut maintenance = Maintenance::begin(STORE, config).await?;
        maintenance.replace(schema, &next(schema), *id, &TABLES).await?;
        *built = self.inner.database.read().await.clone();
        drop(built);
        *beside = None;
        maintenance.end().await;
        Ok(())
    }
}

/// Where the next build of the tables is filled.
fn next(schema: &str) -> String {
    format!("{schema}_next")
}
