//! The backends as the conformance suites need them.

// Clippy knows the tests themselves, not what they share; each test binary uses some of it.
#![allow(clippy::unwrap_used, dead_code, unused_imports)]

pub mod cql;
pub mod postgres;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use roomlog_stores::conformance::Backend;
use roomlog_stores::sqlite::{
    SqliteDirectoryStore, SqliteQuarantineStore, SqliteRoomStore, SqliteSecretsStore,
};
use roomlog_stores::{DirectoryStore, QuarantineStore, RoomStore, SecretsStore};
use tempfile::TempDir;

/// A server to test with. `None` where there is none; an error if there must be one.
pub fn named(address: &str, required: &str) -> Option<String> {
    let found = std::env::var(address).ok();
    if found.is_none() {
        assert!(std::env::var_os(required).is_none(), "{required} is set and {address} is not");
        println!("skipped: {address} is not set");
    }
    found
}

/// A file of `ROOMLOG_TEST_CERTIFICATES`: `ca.pem` is whom the servers believe, `process` is of it, and `foreign` is of
/// `foreign-ca.pem`, whom nobody believes.
pub fn certificate(file: &str) -> PathBuf {
    let folder = std::env::var_os("ROOMLOG_TEST_CERTIFICATES");
    PathBuf::from(folder.expect("a server with TLS comes with ROOMLOG_TEST_CERTIFICATES")).join(file)
}

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
