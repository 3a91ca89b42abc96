//! The secrets store on SQLite: `synchronous=FULL`, since nothing else has what is in it.

use std::path::Path;

use async_trait::async_trait;
use roomlog_schemas::{AccountId, IdempotencyKey, SessionId};
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteRow, SqliteSynchronous};
use sqlx::{QueryBuilder, Row};
use uuid::Uuid;

use super::pool::{Pools, unavailable};
use crate::StoreError;
use crate::secrets::{
    Credential, KeyOwner, Reservation, ReservationState, Reserved, Rotation, SecretsStore, Session,
};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite/secrets");
const STORE: &str = "secrets";
/// Values bound by one statement stay far below SQLite's limit.
const CHUNK: usize = 500;

pub struct SqliteSecretsStore {
    pools: Pools,
}

impl SqliteSecretsStore {
    /// Opens or makes the file, readable by its owner only.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let private = |error: std::io::Error| StoreError::Unavailable { store: STORE, source: error.into() };
        let mut options = std::fs::OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(path).map_err(private)?;
        let pools = Pools::open(path, SqliteSynchronous::Full, &MIGRATIONS, STORE).await?;
        Ok(Self { pools })
    }
}

#[async_trait]
impl SecretsStore for SqliteSecretsStore {
    async fn platform_key(&self, name: &str, candidate: &[u8]) -> Result<Vec<u8>, StoreError> {
        sqlx::query("INSERT INTO platform_keys (name, wrapped) VALUES (?1, ?2) ON CONFLICT DO NOTHING")
            .bind(name)
            .bind(candidate)
            .execute(&self.pools.writer)
            .await
            .map_err(unavailable(STORE))?;
        sqlx::query_scalar("SELECT wrapped FROM platform_keys WHERE name = ?1")
            .bind(name)
            .fetch_one(&self.pools.writer)
            .await
            .map_err(unavailable(STORE))
    }

    async fn create_keys(&self, candidates: &[(KeyOwner, Vec<u8>)]) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut transaction = self.pools.writer.begin().await.map_err(unavailable(STORE))?;
        for chunk in candidates.chunks(CHUNK) {
            let mut insert = QueryBuilder::new("INSERT INTO content_keys (kind, owner, wrapped) ");
            insert.push_values(chunk, |mut row, (owner, wrapped)| {
                let (kind, id) = parts(*owner);
                row.push_bind(kind).push_bind(id).push_bind(wrapped.clone());
            });
            insert.push(" ON CONFLICT DO NOTHING");
            insert.build().execute(&mut *transaction).await.map_err(unavailable(STORE))?;
        }
        transaction.commit().await.map_err(unavailable(STORE))?;
        let owners: Vec<KeyOwner> = candidates.iter().map(|(owner, _)| *owner).collect();
        let keys = self.keys(&owners).await?;
        keys.into_iter()
            .map(|key| key.ok_or_else(|| damaged("a key is gone that was there a moment ago")))
            .collect()
    }

    async fn keys(&self, owners: &[KeyOwner]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let mut found = std::collections::HashMap::new();
        for chunk in owners.chunks(CHUNK) {
            let mut select = QueryBuilder::new("SELECT kind, owner, wrapped FROM content_keys WHERE (kind, owner) IN (VALUES ");
            for (n, owner) in chunk.iter().enumerate() {
                let (kind, id) = parts(*owner);
                select.push(if n == 0 { "(" } else { ", (" }).push_bind(kind).push(", ").push_bind(id).push(")");
            }
            select.push(")");
            let rows = select.build().fetch_all(&self.pools.readers).await.map_err(unavailable(STORE))?;
            for row in rows {
                found.insert((row.get::<i64, _>(0), row.get::<Vec<u8>, _>(1)), row.get::<Vec<u8>, _>(2));
            }
        }
        Ok(owners.iter().map(|owner| found.get(&parts(*owner)).cloned()).collect())
    }

    async fn reserve(&self, reservation: &Reservation) -> Result<Reserved, StoreError> {
        let mut transaction = self.pools.writer.begin().await.map_err(unavailable(STORE))?;
        let taken = sqlx::query(
            "SELECT * FROM reservations WHERE account_id = ?1 OR username = ?2 OR email = ?3",
        )
        .bind(reservation.account_id.0.as_bytes().as_slice())
        .bind(&reservation.username)
        .bind(&reservation.email)
        .fetch_all(&mut *transaction)
        .await
        .map_err(unavailable(STORE))?;
        let rows = taken.iter().map(reservation_row).collect::<Result<Vec<_>, _>>()?;
        if let Some((row, state)) = rows.iter().find(|(row, _)| row.account_id == reservation.account_id) {
            return Ok(Reserved::Existing(Box::new(row.clone()), *state));
        }
        if rows.iter().any(|(row, _)| row.username == reservation.username) {
            return Ok(Reserved::UsernameTaken);
        }
        if !rows.is_empty() {
            return Ok(Reserved::EmailTaken);
        }
        sqlx::query(
            "INSERT INTO reservations (account_id, username, email, password_hash, idempotency_key, fingerprint,
                                       command, created_at_ms, active)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0)",
        )
        .bind(reservation.account_id.0.as_bytes().as_slice())
        .bind(&reservation.username)
        .bind(&reservation.email)
        .bind(&reservation.password_hash)
        .bind(reservation.key.uuid().as_bytes().as_slice())
        .bind(&reservation.fingerprint)
        .bind(&reservation.command)
        .bind(reservation.created_at_ms)
        .execute(&mut *transaction)
        .await
        .map_err(unavailable(STORE))?;
        transaction.commit().await.map_err(unavailable(STORE))?;
        Ok(Reserved::New)
    }

    async fn complete_reservation(&self, account: AccountId) -> Result<(), StoreError> {
        self.write("UPDATE reservations SET active = 1 WHERE account_id = ?1", account.0).await
    }

    async fn void_reservation(&self, account: AccountId) -> Result<(), StoreError> {
        self.write("DELETE FROM reservations WHERE account_id = ?1 AND active = 0", account.0).await
    }

    async fn pending_reservations(&self, before_ms: i64, limit: usize) -> Result<Vec<Reservation>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM reservations WHERE active = 0 AND created_at_ms < ?1 ORDER BY created_at_ms LIMIT ?2",
        )
        .bind(before_ms)
        .bind(limit as i64)
        .fetch_all(&self.pools.readers)
        .await
        .map_err(unavailable(STORE))?;
        rows.iter().map(|row| reservation_row(row).map(|(reservation, _)| reservation)).collect()
    }

    async fn credential(&self, login: &str) -> Result<Option<Credential>, StoreError> {
        // A user name has no @ in it, so the two can't be taken for each other.
        let row = sqlx::query("SELECT * FROM reservations WHERE username = ?1 OR email = ?1")
            .bind(login)
            .fetch_optional(&self.pools.readers)
            .await
            .map_err(unavailable(STORE))?;
        let Some(row) = row else { return Ok(None) };
        let (reservation, state) = reservation_row(&row)?;
        let Reservation { account_id, password_hash, .. } = reservation;
        Ok(Some(Credential { account_id, password_hash, state }))
    }

    async fn create_session(&self, session: &Session) -> Result<(), StoreError> {
        // Sessions that have expired leave on the way.
        sqlx::query("DELETE FROM sessions WHERE expires_at_ms <= ?1")
            .bind(session.created_at_ms)
            .execute(&self.pools.writer)
            .await
            .map_err(unavailable(STORE))?;
        sqlx::query(
            "INSERT INTO sessions (session_id, account_id, refresh_hash, created_at_ms, expires_at_ms, revoked)
             VALUES (?1, ?2, ?3, ?4, ?5, 0)",
        )
        .bind(session.session_id.0.as_bytes().as_slice())
        .bind(session.account_id.0.as_bytes().as_slice())
        .bind(session.refresh_hash.as_slice())
        .bind(session.created_at_ms)
        .bind(session.expires_at_ms)
        .execute(&self.pools.writer)
        .await
        .map(drop)
        .map_err(unavailable(STORE))
    }

    async fn rotate_session(
        &self,
        old_hash: &[u8; 32],
        new_hash: &[u8; 32],
        now_ms: i64,
        expires_at_ms: i64,
    ) -> Result<Rotation, StoreError> {
        let mut transaction = self.pools.writer.begin().await.map_err(unavailable(STORE))?;
        let rotated = sqlx::query(
            "UPDATE sessions SET refresh_hash = ?2, expires_at_ms = ?4
             WHERE refresh_hash = ?1 AND revoked = 0 AND expires_at_ms > ?3
             RETURNING session_id, account_id, created_at_ms",
        )
        .bind(old_hash.as_slice())
        .bind(new_hash.as_slice())
        .bind(now_ms)
        .bind(expires_at_ms)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(unavailable(STORE))?;
        let rotation = if let Some(row) = rotated {
            let session_id = SessionId(uuid(&row, 0)?);
            sqlx::query("INSERT INTO used_refresh_hashes (refresh_hash, session_id) VALUES (?1, ?2)")
                .bind(old_hash.as_slice())
                .bind(session_id.0.as_bytes().as_slice())
                .execute(&mut *transaction)
                .await
                .map_err(unavailable(STORE))?;
            Rotation::Rotated(Session {
                session_id,
                account_id: AccountId(uuid(&row, 1)?),
                refresh_hash: *new_hash,
                created_at_ms: row.get(2),
                expires_at_ms,
            })
        } else {
            let ended = sqlx::query(
                "UPDATE sessions SET revoked = 1 WHERE session_id IN
                   (SELECT session_id FROM used_refresh_hashes WHERE refresh_hash = ?1)",
            )
            .bind(old_hash.as_slice())
            .execute(&mut *transaction)
            .await
            .map_err(unavailable(STORE))?;
            if ended.rows_affected() > 0 { Rotation::Reused } else { Rotation::Unknown }
        };
        transaction.commit().await.map_err(unavailable(STORE))?;
        Ok(rotation)
    }

    async fn session_is_live(&self, session: SessionId, now_ms: i64) -> Result<bool, StoreError> {
        sqlx::query("SELECT 1 FROM sessions WHERE session_id = ?1 AND revoked = 0 AND expires_at_ms > ?2")
            .bind(session.0.as_bytes().as_slice())
            .bind(now_ms)
            .fetch_optional(&self.pools.readers)
            .await
            .map(|row| row.is_some())
            .map_err(unavailable(STORE))
    }

    async fn revoke_session(&self, session: SessionId) -> Result<(), StoreError> {
        self.write("UPDATE sessions SET revoked = 1 WHERE session_id = ?1", session.0).await
    }

    async fn put_claim_code(
        &self,
        account: AccountId,
        code_hash: &[u8; 32],
        expires_at_ms: i64,
    ) -> Result<(), StoreError> {
        sqlx::query("INSERT OR REPLACE INTO claim_codes (account_id, code_hash, expires_at_ms) VALUES (?1, ?2, ?3)")
            .bind(account.0.as_bytes().as_slice())
            .bind(code_hash.as_slice())
            .bind(expires_at_ms)
            .execute(&self.pools.writer)
            .await
            .map(drop)
            .map_err(unavailable(STORE))
    }

    async fn check_claim_code(
        &self,
        account: AccountId,
        code_hash: &[u8; 32],
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        sqlx::query("SELECT 1 FROM claim_codes WHERE account_id = ?1 AND code_hash = ?2 AND expires_at_ms > ?3")
            .bind(account.0.as_bytes().as_slice())
            .bind(code_hash.as_slice())
            .bind(now_ms)
            .fetch_optional(&self.pools.readers)
            .await
            .map(|row| row.is_some())
            .map_err(unavailable(STORE))
    }

    async fn remove_claim_code(&self, account: AccountId) -> Result<(), StoreError> {
        self.write("DELETE FROM claim_codes WHERE account_id = ?1", account.0).await
    }
}

impl SqliteSecretsStore {
    /// A statement with one id.
    async fn write(&self, statement: &'static str, id: Uuid) -> Result<(), StoreError> {
        sqlx::query(statement)
            .bind(id.as_bytes().as_slice())
            .execute(&self.pools.writer)
            .await
            .map(drop)
            .map_err(unavailable(STORE))
    }
}

fn parts(owner: KeyOwner) -> (i64, Vec<u8>) {
    match owner {
        KeyOwner::Account(id) => (0, id.0.as_bytes().to_vec()),
        KeyOwner::Room(id) => (1, id.0.as_bytes().to_vec()),
    }
}

fn reservation_row(row: &SqliteRow) -> Result<(Reservation, ReservationState), StoreError> {
    let key = IdempotencyKey::new(uuid(row, "idempotency_key")?)
        .map_err(|_| damaged("a reservation's key is no UUIDv7"))?;
    let reservation = Reservation {
        account_id: AccountId(uuid(row, "account_id")?),
        username: row.get("username"),
        email: row.get("email"),
        password_hash: row.get("password_hash"),
        key,
        fingerprint: row.get("fingerprint"),
        command: row.get("command"),
        created_at_ms: row.get("created_at_ms"),
    };
    let active: bool = row.get("active");
    let state = if active { ReservationState::Active } else { ReservationState::Pending };
    Ok((reservation, state))
}

fn uuid(row: &SqliteRow, column: impl sqlx::ColumnIndex<SqliteRow>) -> Result<Uuid, StoreError> {
    Uuid::from_slice(&row.get::<Vec<u8>, _>(column)).map_err(|_| damaged("an id is not 16 bytes long"))
}

fn damaged(what: &str) -> StoreError {
    StoreError::Damaged { store: STORE, what: what.to_owned() }
}
