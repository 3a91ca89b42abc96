//! Port of the secrets store: what must never be in the log. Not a projection: it cannot be
//! rebuilt, so it is what an operator backs up.
//!
//! Keys arrive here already wrapped by the master key; tokens and codes only as hashes.

use std::fmt;

use async_trait::async_trait;
use roomlog_schemas::{AccountId, IdempotencyKey, RoomId, SessionId};

use crate::StoreError;

/// Whose key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyOwner {
    Account(AccountId),
    Room(RoomId),
}

impl fmt::Display for KeyOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyOwner::Account(account) => write!(f, "account {account}"),
            KeyOwner::Room(room) => write!(f, "room {room}"),
        }
    }
}

/// The row that reserves a user name and an e-mail, together with the command that will use them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    pub account_id: AccountId,
    /// Folded for comparison: unique.
    pub username: String,
    /// Folded for comparison: unique.
    pub email: String,
    /// argon2id, PHC string.
    pub password_hash: String,
    pub key: IdempotencyKey,
    /// Of the command's body without the password, keyed.
    pub fingerprint: Vec<u8>,
    /// The command, so that a sweeper can complete what a crash left.
    pub command: Vec<u8>,
    pub created_at_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReservationState {
    /// The command's outcome is not known yet.
    Pending,
    /// The account exists in the log.
    Active,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reserved {
    /// The row is new.
    New,
    /// The account's row is already there: a repeat, or another body under the same key.
    Existing(Box<Reservation>, ReservationState),
    UsernameTaken,
    EmailTaken,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    pub account_id: AccountId,
    pub password_hash: String,
    pub state: ReservationState,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub session_id: SessionId,
    pub account_id: AccountId,
    /// BLAKE3 of the current refresh token.
    pub refresh_hash: [u8; 32],
    pub created_at_ms: i64,
    pub expires_at_ms: i64,
}

/// A session that was revoked, and when, by the clock of the process that did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndedSession {
    pub session_id: SessionId,
    pub ended_at_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotation {
    Rotated(Session),
    /// An old token came again: the session is now revoked.
    Reused {
        account_id: AccountId,
        session_id: SessionId,
    },
    /// No such token, or the session has expired or was revoked.
    Unknown,
}

/// Every write is durable when it returns.
#[async_trait]
pub trait SecretsStore: Send + Sync + 'static {
    /// The platform's key of this name; stores `candidate` if there is none yet. The first one wins,
    /// whoever asks.
    async fn platform_key(&self, name: &str, candidate: &[u8]) -> Result<Vec<u8>, StoreError>;

    /// Every key of the platform whose name begins so, with its name, in the order of the names' bytes.
    async fn platform_keys(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError>;

    /// Destroys the platform's key of this name; answers whether there was one.
    async fn remove_platform_key(&self, name: &str) -> Result<bool, StoreError>;

    /// As [`platform_key`](Self::platform_key) for keys of accounts and rooms, many at once; answers in the order asked.
    async fn create_keys(&self, candidates: &[(KeyOwner, Vec<u8>)]) -> Result<Vec<Vec<u8>>, StoreError>;

    /// Keys by owner, in the order asked; `None` for one that does not exist or was destroyed.
    async fn keys(&self, owners: &[KeyOwner]) -> Result<Vec<Option<Vec<u8>>>, StoreError>;

    async fn reserve(&self, reservation: &Reservation) -> Result<Reserved, StoreError>;

    /// The account exists in the log. Completing twice is harmless.
    async fn complete_reservation(&self, account: AccountId) -> Result<(), StoreError>;

    /// The account will never exist: frees its names. Only a pending row is removed.
    async fn void_reservation(&self, account: AccountId) -> Result<(), StoreError>;

    /// Pending rows made before this time, oldest first.
    async fn pending_reservations(
        &self,
        before_ms: i64,
        limit: usize,
    ) -> Result<Vec<Reservation>, StoreError>;

    /// By folded user name or e-mail.
    async fn credential(&self, login: &str) -> Result<Option<Credential>, StoreError>;

    async fn create_session(&self, session: &Session) -> Result<(), StoreError>;

    /// Exchanges a refresh token for the next one, once, however many ask at the same time.
    async fn rotate_session(
        &self,
        old_hash: &[u8; 32],
        new_hash: &[u8; 32],
        now_ms: i64,
        expires_at_ms: i64,
    ) -> Result<Rotation, StoreError>;

    /// Whether the session exists and is neither expired nor revoked.
    async fn session_is_live(&self, session: SessionId, now_ms: i64) -> Result<bool, StoreError>;

    /// The account's sessions that are neither expired nor revoked, newest first, at most `limit`.
    async fn live_sessions(
        &self,
        account: AccountId,
        now_ms: i64,
        limit: usize,
    ) -> Result<Vec<Session>, StoreError>;

    /// Revokes a session of this account: its tokens are good for nothing any more. True if the
    /// account has such a session, also one that was revoked before; that keeps the time of its end.
    async fn revoke_session(
        &self,
        account: AccountId,
        session: SessionId,
        now_ms: i64,
    ) -> Result<bool, StoreError>;

    /// The sessions that were revoked at this time or later, by whatever way, in no order. One whose
    /// refresh token has expired may be missing.
    async fn ended_sessions(&self, since_ms: i64) -> Result<Vec<EndedSession>, StoreError>;

    /// A code with which a person may claim an imported account; replaces an earlier one.
    async fn put_claim_code(
        &self,
        account: AccountId,
        code_hash: &[u8; 32],
        expires_at_ms: i64,
    ) -> Result<(), StoreError>;

    /// Whether this is the account's code and has not expired. It stays valid until
    /// [`remove_claim_code`](Self::remove_claim_code), so that a claim can be repeated.
    async fn check_claim_code(
        &self,
        account: AccountId,
        code_hash: &[u8; 32],
        now_ms: i64,
    ) -> Result<bool, StoreError>;

    async fn remove_claim_code(&self, account: AccountId) -> Result<(), StoreError>;
}
