//! A secrets store that can go away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use roomlog_schemas::{AccountId, SessionId};
use roomlog_stores::StoreError;
use roomlog_stores::secrets::{
    Credential, EndedSession, KeyOwner, Reservation, Reserved, Rotation, SecretsStore, Session,
};

/// Gives keys to readers and tells which sessions live, while it is there; nothing else.
pub struct FaultySecrets {
    pub inner: Arc<dyn SecretsStore>,
    pub is_away: AtomicBool,
}

fn away<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable { store: "secrets", source: "a test says so".into() })
}

#[async_trait]
impl SecretsStore for FaultySecrets {
    async fn platform_key(&self, _: &str, _: &[u8]) -> Result<Vec<u8>, StoreError> {
        away()
    }

    async fn platform_keys(&self, _: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        away()
    }

    async fn remove_platform_key(&self, _: &str) -> Result<bool, StoreError> {
        away()
    }

    async fn create_keys(&self, _: &[(KeyOwner, Vec<u8>)]) -> Result<Vec<Vec<u8>>, StoreError> {
        away()
    }

    async fn keys(&self, owners: &[KeyOwner]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        if self.is_away.load(Ordering::SeqCst) { away() } else { self.inner.keys(owners).await }
    }

    async fn reserve(&self, _: &Reservation) -> Result<Reserved, StoreError> {
        away()
    }

    async fn complete_reservation(&self, _: AccountId) -> Result<(), StoreError> {
        away()
    }

    async fn void_reservation(&self, _: AccountId) -> Result<(), StoreError> {
        away()
    }

    async fn pending_reservations(&self, _: i64, _: usize) -> Result<Vec<Reservation>, StoreError> {
        away()
    }

    async fn credential(&self, _: &str) -> Result<Option<Credential>, StoreError> {
        away()
    }

    async fn create_session(&self, session: &Session) -> Result<(), StoreError> {
        self.inner.create_session(session).await
    }

    async fn rotate_session(
        &self,
        _: &[u8; 32],
        _: &[u8; 32],
        _: i64,
        _: i64,
    ) -> Result<Rotation, StoreError> {
        away()
    }

    async fn session_is_live(&self, session: SessionId, now_ms: i64) -> Result<bool, StoreError> {
        if self.is_away.load(Ordering::SeqCst) {
            return away();
        }
        self.inner.session_is_live(session, now_ms).await
    }

    async fn live_sessions(&self, _: AccountId, _: i64, _: usize) -> Result<Vec<Session>, StoreError> {
        away()
    }

    async fn revoke_session(
        &self,
        account: AccountId,
        session: SessionId,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        self.inner.revoke_session(account, session, now_ms).await
    }

    async fn ended_sessions(&self, _: i64) -> Result<Vec<EndedSession>, StoreError> {
        away()
    }

    async fn put_claim_code(&self, _: AccountId, _: &[u8; 32], _: i64) -> Result<(), StoreError> {
        away()
    }

    async fn check_claim_code(&self, _: AccountId, _: &[u8; 32], _: i64) -> Result<bool, StoreError> {
        away()
    }

    async fn remove_claim_code(&self, _: AccountId) -> Result<(), StoreError> {
        away()
    }
}
