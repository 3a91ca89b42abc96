//! The directory on SQLite.

use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};

use async_trait::async_trait;
use roomlog_eventlog::{Cursor, TopicPartition};
use roomlog_schemas::{AccountId, RoomId};
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteRow, SqliteSynchronous};
use sqlx::{Row, SqliteConnection};
use uuid::Uuid;

use super::directory_changes;
use super::generations::Generations;
use super::pool::{Pools, unavailable};
use crate::StoreError;
use crate::directory::{AccountRow, DirectoryBatch, DirectoryStore, MemberRow, PROJECTION, RoomRow, VERSION};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite/directory");
pub(super) const STORE: &str = "directory";

pub struct SqliteDirectoryStore {
    generations: Generations,
    current: RwLock<(u64, Pools)>,
    beside: Mutex<Option<(u64, Pools)>>,
}

impl SqliteDirectoryStore {
    /// Opens or makes the store in this folder.
    pub async fn open(directory: &Path) -> Result<Self, StoreError> {
        let generations = Generations::new(directory, PROJECTION, VERSION);
        let generation = generations.open()?;
        let pools = open(&generations, generation).await?;
        Ok(Self { generations, current: RwLock::new((generation, pools)), beside: Mutex::default() })
    }

    fn pools(&self) -> Pools {
        self.current.read().expect("no holder panics").1.clone()
    }
}

/// `synchronous=NORMAL`: a power cut may take back the last batches, rows and cursor together, and the
/// log gives them again.
async fn open(generations: &Generations, generation: u64) -> Result<Pools, StoreError> {
    Pools::open(&generations.path(generation), SqliteSynchronous::Normal, &MIGRATIONS, STORE).await
}

#[async_trait]
impl DirectoryStore for SqliteDirectoryStore {
    async fn cursor(&self, partition: TopicPartition) -> Result<Option<Cursor>, StoreError> {
        let row = sqlx::query("SELECT cursor FROM cursors WHERE topic = ?1 AND partition = ?2")
            .bind(partition.topic.name())
            .bind(partition.partition)
            .fetch_optional(&self.pools().readers)
            .await
            .map_err(unavailable(STORE))?;
        row.map(|row| serde_json::from_str(row.get(0)).map_err(|error| damaged(error.to_string()))).transpose()
    }

    async fn apply(&self, batch: DirectoryBatch) -> Result<(), StoreError> {
        let mut transaction = self.pools().writer.begin().await.map_err(unavailable(STORE))?;
        directory_changes::apply(&mut transaction, &batch.changes).await.map_err(unavailable(STORE))?;
        advance(&mut transaction, &batch).await?;
        transaction.commit().await.map_err(unavailable(STORE))
    }

    async fn account(&self, account: AccountId) -> Result<Option<AccountRow>, StoreError> {
        let row = sqlx::query(
            "SELECT username, display_name, source, registered_at_ms FROM accounts WHERE account_id = ?1",
        )
        .bind(account.0.as_bytes().as_slice())
        .fetch_optional(&self.pools().readers)
        .await
        .map_err(unavailable(STORE))?;
        Ok(row.map(|row| AccountRow {
            account_id: account,
            username: row.get(0),
            display_name: row.get(1),
            source: row.get(2),
            registered_at_ms: row.get(3),
        }))
    }

    async fn room(&self, room: RoomId) -> Result<Option<RoomRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM rooms WHERE room_id = ?1")
            .bind(room.0.as_bytes().as_slice())
            .fetch_optional(&self.pools().readers)
            .await
            .map_err(unavailable(STORE))?;
        row.map(|row| room_row(&row)).transpose()
    }

    async fn rooms_of(
        &self,
        account: AccountId,
        after: Option<RoomId>,
        limit: usize,
    ) -> Result<Vec<RoomRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT rooms.* FROM memberships JOIN rooms ON rooms.room_id = memberships.room_id
             WHERE memberships.account_id = ?1 AND memberships.room_id > ?2
             ORDER BY memberships.room_id LIMIT ?3",
        )
        .bind(account.0.as_bytes().as_slice())
        .bind(after.map_or(Vec::new(), |id| id.0.as_bytes().to_vec()))
        .bind(limit as i64)
        .fetch_all(&self.pools().readers)
        .await
        .map_err(unavailable(STORE))?;
        rows.iter().map(room_row).collect()
    }

    async fn members(
        &self,
        room: RoomId,
        after: Option<AccountId>,
        limit: usize,
    ) -> Result<Vec<MemberRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT memberships.account_id, username, display_name, role, joined_seq, joined_at_ms
             FROM memberships LEFT JOIN accounts ON accounts.account_id = memberships.account_id
             WHERE memberships.room_id = ?1 AND memberships.account_id > ?2
             ORDER BY memberships.account_id LIMIT ?3",
        )
        .bind(room.0.as_bytes().as_slice())
        .bind(after.map_or(Vec::new(), |id| id.0.as_bytes().to_vec()))
        .bind(limit as i64)
        .fetch_all(&self.pools().readers)
        .await
        .map_err(unavailable(STORE))?;
        rows.iter()
            .map(|row| {
                Ok(MemberRow {
                    account_id: AccountId(id(row, 0)?),
                    username: row.get(1),
                    display_name: row.get(2),
                    role: row.get(3),
                    joined_seq: row.get::<i64, _>(4) as u64,
                    joined_at_ms: row.get(5),
                })
            })
            .collect()
    }

    async fn is_member(&self, room: RoomId, account: AccountId) -> Result<bool, StoreError> {
        sqlx::query("SELECT 1 FROM memberships WHERE room_id = ?1 AND account_id = ?2")
            .bind(room.0.as_bytes().as_slice())
            .bind(account.0.as_bytes().as_slice())
            .fetch_optional(&self.pools().readers)
            .await
            .map(|row| row.is_some())
            .map_err(unavailable(STORE))
    }

    async fn beside(&self) -> Result<Arc<dyn DirectoryStore>, StoreError> {
        let generation = self.current.read().expect("no holder panics").0 + 1;
        self.generations.remove(generation);
        let pools = open(&self.generations, generation).await?;
        *self.beside.lock().expect("no holder panics") = Some((generation, pools.clone()));
        Ok(Arc::new(Self {
            generations: self.generations.clone(),
            current: RwLock::new((generation, pools)),
            beside: Mutex::default(),
        }))
    }

    async fn promote(&self) -> Result<(), StoreError> {
        let beside = self.beside.lock().expect("no holder panics").take();
        let Some((generation, pools)) = beside else { return Err(damaged("nothing was built beside it".into())) };
        // What is in the file has to be on the disk before it counts.
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&pools.writer).await.map_err(unavailable(STORE))?;
        self.generations.promote(generation)?;
        let (old, old_pools) =
            std::mem::replace(&mut *self.current.write().expect("no holder panics"), (generation, pools));
        old_pools.close().await;
        self.generations.remove(old);
        Ok(())
    }
}

/// Moves the cursor by compare-and-set.
async fn advance(connection: &mut SqliteConnection, batch: &DirectoryBatch) -> Result<(), StoreError> {
    let partition = batch.cursor.partition;
    let cursor = serde_json::to_string(&batch.cursor).map_err(|error| damaged(error.to_string()))?;
    let moved = sqlx::query(
        "INSERT INTO cursors (topic, partition, next_offset, cursor) SELECT ?1, ?2, ?3, ?4
         WHERE ?5 = 0 OR EXISTS (SELECT 1 FROM cursors WHERE topic = ?1 AND partition = ?2 AND next_offset = ?5)
         ON CONFLICT (topic, partition) DO UPDATE SET next_offset = ?3, cursor = ?4
         WHERE cursors.next_offset = ?5",
    )
    .bind(partition.topic.name())
    .bind(partition.partition)
    .bind(batch.cursor.next_offset as i64)
    .bind(cursor)
    .bind(batch.expected_offset as i64)
    .execute(&mut *connection)
    .await
    .map_err(unavailable(STORE))?;
    if moved.rows_affected() == 1 {
        return Ok(());
    }
    let found: Option<i64> = sqlx::query_scalar("SELECT next_offset FROM cursors WHERE topic = ?1 AND partition = ?2")
        .bind(partition.topic.name())
        .bind(partition.partition)
        .fetch_optional(connection)
        .await
        .map_err(unavailable(STORE))?;
    Err(StoreError::CursorMoved {
        projection: PROJECTION,
        partition: partition.to_string(),
        expected: batch.expected_offset,
        found: found.unwrap_or(0) as u64,
    })
}

fn room_row(row: &SqliteRow) -> Result<RoomRow, StoreError> {
    let parent: Option<Vec<u8>> = row.get("parent_id");
    Ok(RoomRow {
        room_id: RoomId(id(row, "room_id")?),
        root_id: RoomId(id(row, "root_id")?),
        parent_id: parent.map(|bytes| uuid(&bytes).map(RoomId)).transpose()?,
        kind: word(row, "kind")?,
        access: word(row, "access")?,
        history: word(row, "history")?,
        name: row.get("name"),
        creator_id: AccountId(id(row, "creator_id")?),
        created_at_ms: row.get("created_at_ms"),
        last_seq: row.get::<i64, _>("last_seq") as u64,
        member_count: row.get::<i64, _>("member_count") as u64,
    })
}

/// One of an enumeration's names, as its JSON has it.
fn word<T: serde::de::DeserializeOwned>(row: &SqliteRow, column: &str) -> Result<T, StoreError> {
    let name: String = row.get(column);
    serde_json::from_value(serde_json::Value::String(name)).map_err(|error| damaged(error.to_string()))
}

fn id(row: &SqliteRow, column: impl sqlx::ColumnIndex<SqliteRow>) -> Result<Uuid, StoreError> {
    uuid(&row.get::<Vec<u8>, _>(column))
}

fn uuid(bytes: &[u8]) -> Result<Uuid, StoreError> {
    Uuid::from_slice(bytes).map_err(|error| damaged(error.to_string()))
}

fn damaged(what: String) -> StoreError {
    StoreError::Damaged { store: STORE, what }
}
