//! The secrets store on PostgreSQL. What is deleted is gone for queries at once, from the server's
//! files once it was vacuumed and from its write-ahead log once that is recycled: a key counts as
//! destroyed when back-ups and archived log of before are gone too.

mod claims;
mod keys;
mod reservations;
mod sessions;

use async_trait::async_trait;
use roomlog_schemas::{AccountId, SessionId};

use super::config::{PostgresConfig, check_schema};
use super::database::{Database, run};
use super::maintenance::Maintenance;
use crate::StoreError;
use crate::migrations::POSTGRES_SECRETS as MIGRATIONS;
use crate::secrets::{
    Credential, EndedSession, KeyOwner, Reservation, Reserved, Rotation, SecretsStore, Session,
};

const STORE: &str = "secrets";

/// A handle, cheap to clone. Any number of them may be open on the same tables.
#[derive(Clone)]
pub struct PostgresSecretsStore {
    database: Database,
}

impl PostgresSecretsStore {
    /// Makes the tables or brings them up to date, waiting for other processes that are at it.
    pub async fn open(config: &PostgresConfig) -> Result<Self, StoreError> {
        check_schema(STORE, &config.secrets_schema)?;
        let mut maintenance = Maintenance::begin(STORE, config).await?;
        maintenance.migrate(&config.secrets_schema, &MIGRATIONS).await?;
        maintenance.end().await;
        Ok(Self { database: Database::new(STORE, config, config.secrets_schema.clone())? })
    }

    /// Removes expired sessions and tokens, at most `limit` of each; answers how many sessions.
    /// Every new session removes a few, so that nobody has to call this.
    pub async fn remove_expired_sessions(&self, now_ms: i64, limit: u32) -> Result<u64, StoreError> {
        run!(&self.database, |connection| sessions::remove_expired(connection, now_ms, limit))
    }
}

#[async_trait]
impl SecretsStore for PostgresSecretsStore {
    async fn platform_key(&self, name: &str, candidate: &[u8]) -> Result<Vec<u8>, StoreError> {
        run!(&self.database, |connection| keys::platform_key(connection, name, candidate))
    }

    async fn platform_keys(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        run!(&self.database, |connection| keys::platform_keys(connection, prefix))
    }

    async fn remove_platform_key(&self, name: &str) -> Result<bool, StoreError> {
        run!(&self.database, |connection| keys::remove_platform_key(connection, name))
    }

    async fn create_keys(&self, candidates: &[(KeyOwner, Vec<u8>)]) -> Result<Vec<Vec<u8>>, StoreError> {
        run!(&self.database, |connection| keys::create(connection, candidates))
    }

    async fn keys(&self, owners: &[KeyOwner]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        run!(&self.database, |connection| keys::load(connection, owners))
    }

    async fn reserve(&self, reservation: &Reservation) -> Result<Reserved, StoreError> {
        run!(&self.database, |connection| reservations::reserve(connection, reservation))
    }

    async fn complete_reservation(&self, account: AccountId) -> Result<(), StoreError> {
        run!(&self.database, |connection| reservations::complete(connection, account))
    }

    async fn void_reservation(&self, account: AccountId) -> Result<(), StoreError> {
        run!(&self.database, |connection| reservations::void(connection, account))
    }

    async fn pending_reservations(
        &self,
        before_ms: i64,
        limit: usize,
    ) -> Result<Vec<Reservation>, StoreError> {
        run!(&self.database, |connection| reservations::pending(connection, before_ms, limit))
    }

    async fn credential(&self, login: &str) -> Result<Option<Credential>, StoreError> {
        // No text holds this character, and the server would refuse the question.
        if login.contains('\0') {
            return Ok(None);
        }
        run!(&self.database, |connection| reservations::credential(connection, login))
    }

    async fn create_session(&self, session: &Session) -> Result<(), StoreError> {
        run!(&self.database, |connection| sessions::create(connection, session))
    }

    async fn rotate_session(
        &self,
        old_hash: &[u8; 32],
        new_hash: &[u8; 32],
        now_ms: i64,
        expires_at_ms: i64,
    ) -> Result<Rotation, StoreError> {
        run!(&self.database, |connection| sessions::rotate(
            connection,
            old_hash,
            new_hash,
            now_ms,
            expires_at_ms
        ))
    }

    async fn session_is_live(&self, session: SessionId, now_ms: i64) -> Result<bool, StoreError> {
        run!(&self.database, |connection| sessions::is_live(connection, session, now_ms))
    }

    async fn live_sessions(
        &self,
        account: AccountId,
        now_ms: i64,
        limit: usize,
    ) -> Result<Vec<Session>, StoreError> {
        run!(&self.database, |connection| sessions::live(connection, account, now_ms, limit))
    }

    async fn revoke_session(
        &self,
        account: AccountId,
        session: SessionId,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        run!(&self.database, |connection| sessions::revoke(connection, account, session, now_ms))
    }

    async fn ended_sessions(&self, since_ms: i64) -> Result<Vec<EndedSession>, StoreError> {
        run!(&self.database, |connection| sessions::ended(connection, since_ms))
    }

    async fn put_claim_code(
        &self,
        account: AccountId,
        code_hash: &[u8; 32],
        expires_at_ms: i64,
    ) -> Result<(), StoreError> {
        run!(&self.database, |connection| claims::put(connection, account, code_hash, expires_at_ms))
    }

    async fn check_claim_code(
        &self,
        account: AccountId,
        code_hash: &[u8; 32],
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        run!(&self.database, |connection| claims::check(connection, account, code_hash, now_ms))
    }

    async fn remove_claim_code(&self, account: AccountId) -> Result<(), StoreError> {
        run!(&self.database, |connection| claims::remove(connection, account))
    }
}
