//! The secrets store on SQLite. `synchronous=FULL`: a write has reached the disk when it returns.
//! `secure_delete`: what is deleted is overwritten.

mod keys;
mod reservations;
mod sessions;

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use async_trait::async_trait;
use roomlog_schemas::{AccountId, SessionId};
use sqlx::sqlite::SqliteSynchronous;

use super::pools::{self, Pools};
use crate::StoreError;
use crate::migrations::SQLITE_SECRETS as MIGRATIONS;
use crate::secrets::{
    Credential, EndedSession, KeyOwner, Reservation, Reserved, Rotation, SecretsStore, Session,
};

const STORE: &str = "secrets";
const FILE: &str = "secrets.db";
/// Only the file's owner may read or write it; SQLite gives its other files the same permissions.
const FILE_MODE: u32 = 0o600;

/// A handle, cheap to clone.
#[derive(Clone)]
pub struct SqliteSecretsStore {
    pools: Pools,
}

impl SqliteSecretsStore {
    /// Opens or makes the store in this folder, which is made if need be.
    pub async fn open(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(FILE);
        make_private_file(&path)
            .map_err(|error| StoreError::Unavailable { store: STORE, source: error.into() })?;
        let pools = Pools::open(STORE, &path, SqliteSynchronous::Full, &MIGRATIONS).await?;
        Ok(Self { pools })
    }

    /// Removes expired sessions and tokens, at most `limit` of each; answers how many sessions.
    /// Every new session removes a few, so that nobody has to call this.
    pub async fn remove_expired_sessions(&self, now_ms: i64, limit: u32) -> Result<u64, StoreError> {
        sessions::remove_expired(&self.pools, now_ms, limit).await.map_err(failed)
    }
}

#[async_trait]
impl SecretsStore for SqliteSecretsStore {
    async fn platform_key(&self, name: &str, candidate: &[u8]) -> Result<Vec<u8>, StoreError> {
        keys::platform_key(&self.pools, name, candidate).await.map_err(failed)
    }

    async fn platform_keys(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        keys::platform_keys(self.pools.readers(), prefix).await.map_err(failed)
    }

    async fn remove_platform_key(&self, name: &str) -> Result<bool, StoreError> {
        keys::remove_platform_key(&self.pools, name).await.map_err(failed)
    }

    async fn create_keys(&self, candidates: &[(KeyOwner, Vec<u8>)]) -> Result<Vec<Vec<u8>>, StoreError> {
        keys::create(&self.pools, candidates).await.map_err(failed)
    }

    async fn keys(&self, owners: &[KeyOwner]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        keys::load(self.pools.readers(), owners).await.map_err(failed)
    }

    async fn reserve(&self, reservation: &Reservation) -> Result<Reserved, StoreError> {
        reservations::reserve(&self.pools, reservation).await.map_err(failed)
    }

    async fn complete_reservation(&self, account: AccountId) -> Result<(), StoreError> {
        reservations::complete(&self.pools, account).await.map_err(failed)
    }

    async fn void_reservation(&self, account: AccountId) -> Result<(), StoreError> {
        reservations::void(&self.pools, account).await.map_err(failed)
    }

    async fn pending_reservations(
        &self,
        before_ms: i64,
        limit: usize,
    ) -> Result<Vec<Reservation>, StoreError> {
        reservations::pending(&self.pools, before_ms, limit).await.map_err(failed)
    }

    async fn credential(&self, login: &str) -> Result<Option<Credential>, StoreError> {
        reservations::credential(&self.pools, login).await.map_err(failed)
    }

    async fn create_session(&self, session: &Session) -> Result<(), StoreError> {
        sessions::create(&self.pools, session).await.map_err(failed)
    }

    async fn rotate_session(
        &self,
        old_hash: &[u8; 32],
        new_hash: &[u8; 32],
        now_ms: i64,
        expires_at_ms: i64,
    ) -> Result<Rotation, StoreError> {
        sessions::rotate(&self.pools, old_hash, new_hash, now_ms, expires_at_ms).await.map_err(failed)
    }

    async fn session_is_live(&self, session: SessionId, now_ms: i64) -> Result<bool, StoreError> {
        sessions::is_live(&self.pools, session, now_ms).await.map_err(failed)
    }

    async fn live_sessions(
        &self,
        account: AccountId,
        now_ms: i64,
        limit: usize,
    ) -> Result<Vec<Session>, StoreError> {
        sessions::live(&self.pools, account, now_ms, limit).await.map_err(failed)
    }

    async fn revoke_session(
        &self,
        account: AccountId,
        session: SessionId,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        sessions::revoke(&self.pools, account, session, now_ms).await.map_err(failed)
    }

    async fn ended_sessions(&self, since_ms: i64) -> Result<Vec<EndedSession>, StoreError> {
        sessions::ended(&self.pools, since_ms).await.map_err(failed)
    }

    async fn put_claim_code(
        &self,
        account: AccountId,
        code_hash: &[u8; 32],
        expires_at_ms: i64,
    ) -> Result<(), StoreError> {
        reservations::put_claim_code(&self.pools, account, code_hash, expires_at_ms).await.map_err(failed)
    }

    async fn check_claim_code(
        &self,
        account: AccountId,
        code_hash: &[u8; 32],
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        reservations::check_claim_code(&self.pools, account, code_hash, now_ms).await.map_err(failed)
    }

    async fn remove_claim_code(&self, account: AccountId) -> Result<(), StoreError> {
        reservations::remove_claim_code(&self.pools, account).await.map_err(failed)
    }
}

fn failed(error: sqlx::Error) -> StoreError {
    pools::failed(STORE, error)
}

/// Before SQLite opens it, so that at no moment anyone else may read it.
fn make_private_file(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(FILE_MODE).open(path)?;
    file.set_permissions(Permissions::from_mode(FILE_MODE))
}
