//! The backends as the conformance suites need them.

// Clippy knows the tests themselves, not what they share; each test binary uses some of it.
#![allow(clippy::unwrap_used, dead_code, unused_imports)]

pub mod cql;
pub mod postgres;

use std::sync::Arc;

use async_trait::async_trait;
use roomlog_stores::conformance::Backend;
use roomlog_stores::sqlite::{
    SqliteDirectoryStore, SqliteQuarantineStore, SqliteRoomStore, SqliteSecretsStore,
};
use roomlog_stores::{DirectoryStore, QuarantineStore, RoomStore, SecretsStore};
use tempfile::TempDir;

/// A folder of its own.
pub struct Sqlite(pub TempDir);

impl Sqlite {
    pub fn new() -> Self {
        Self(TempDir::new().unwrap())
    }
}

#[async_trait]
impl Backend<dyn RoomStore> for Sqlite {
    async fn open(&self) -> Arc<dyn RoomStore> {
        Arc::new(SqliteRoomStore::open(self.0.path()).await.unwrap())
    }
}

#[async_trait]
impl Backend<dyn DirectoryStore> for Sqlite {
    async fn open(&self) -> Arc<dyn DirectoryStore> {
        Arc::new(SqliteDirectoryStore::open(self.0.path()).await.unwrap())
    }
}

#[async_trait]
impl Backend<dyn SecretsStore> for Sqlite {
    async fn open(&self) -> Arc<dyn SecretsStore> {
        Arc::new(SqliteSecretsStore::open(self.0.path()).await.unwrap())
    }
}

#[async_trait]
impl Backend<dyn QuarantineStore> for Sqlite {
    async fn open(&self) -> Arc<dyn QuarantineStore> {
        Arc::new(SqliteQuarantineStore::open(self.0.path()).await.unwrap())
    }
}
