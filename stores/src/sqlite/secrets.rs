use std::path::Path;
use std::sync::Arc;
use async_trait::async_trait;
use roomlog_eventlog::{Cursor, TopicPartition};
use roomlog_schemas::{AccountId, RoomId, MessageId, SessionId};
use roomlog_schemas::event::Seq;
use roomlog_domain::visibility::{Interval, Visibility};

use crate::StoreError;
use crate::secrets::*;

#[derive(Clone)]
pub struct SqliteSecretsStore;

impl SqliteSecretsStore {
    #[allow(unused)]
    pub async fn open(path: &Path) -> Result<Self, StoreError> { let _ = path; unimplemented!() }
}

#[async_trait]
#[allow(unused_variables)]
impl SecretsStore for SqliteSecretsStore {
    async fn platform_key(&self, name: &str, candidate: &[u8]) -> Result<Vec<u8>, StoreError> { unimplemented!() }
    async fn create_keys(&self, candidates: &[(KeyOwner, Vec<u8>)]) -> Result<Vec<Vec<u8>>, StoreError> { unimplemented!() }
    async fn keys(&self, owners: &[KeyOwner]) -> Result<Vec<Option<Vec<u8>>>, StoreError> { unimplemented!() }
    async fn reserve(&self, reservation: &Reservation) -> Result<Reserved, StoreError> { unimplemented!() }
    async fn complete_reservation(&self, account: AccountId) -> Result<(), StoreError> { unimplemented!() }
    async fn void_reservation(&self, account: AccountId) -> Result<(), StoreError> { unimplemented!() }
    async fn pending_reservations(&self, before_ms: i64, limit: usize) -> Result<Vec<Reservation>, StoreError> { unimplemented!() }
    async fn credential(&self, login: &str) -> Result<Option<Credential>, StoreError> { unimplemented!() }
    async fn create_session(&self, session: &Session) -> Result<(), StoreError> { unimplemented!() }
    async fn rotate_session(
        &self,
        old_hash: &[u8; 32],
        new_hash: &[u8; 32],
        now_ms: i64,
        expires_at_ms: i64,
    ) -> Result<Rotation, StoreError> { unimplemented!() }
    async fn session_is_live(&self, session: SessionId, now_ms: i64) -> Result<bool, StoreError> { unimplemented!() }
    async fn revoke_session(&self, session: SessionId) -> Result<(), StoreError> { unimplemented!() }
    async fn put_claim_code(
        &self,
        account: AccountId,
        code_hash: &[u8; 32],
        expires_at_ms: i64,
    ) -> Result<(), StoreError> { unimplemented!() }
    async fn check_claim_code(
        &self,
        account: AccountId,
        code_hash: &[u8; 32],
        now_ms: i64,
    ) -> Result<bool, StoreError> { unimplemented!() }
    async fn remove_claim_code(&self, account: AccountId) -> Result<(), StoreError> { unimplemented!() }
}
