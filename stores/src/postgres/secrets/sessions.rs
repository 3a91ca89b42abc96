//! Sessions and their refresh tokens, as hashes.
//!
//! A session names its current token. `refresh_token` keeps the earlier ones too, each until it
//! would have expired, so that one that comes again is known as such.

use roomlog_schemas::{AccountId, SessionId};
use sqlx::postgres::PgRow;
use sqlx::{Connection, PgConnection, Result, Row};
use uuid::Uuid;

use crate::columns::to_i64;
use crate::secrets::{EndedSession, Rotation, Session};

/// A new session removes at most so many expired ones, and as many expired tokens: more than it
/// adds, so that they don't pile up, and few enough not to be felt.
const REMOVED_PER_NEW: u32 = 16;

/// The same session again gets the new token; one that was revoked stays revoked.
pub async fn create(connection: &mut PgConnection, session: &Session) -> Result<()> {
    let mut transaction = connection.begin().await?;
    remove_expired_in(&mut transaction, session.created_at_ms, REMOVED_PER_NEW).await?;
    sqlx::query(
        "INSERT INTO session (session_id, account_id, refresh_hash, created_at_ms, expires_at_ms, revoked)
         VALUES ($1, $2, $3, $4, $5, FALSE)
         ON CONFLICT (session_id)
         DO UPDATE SET refresh_hash = excluded.refresh_hash, expires_at_ms = excluded.expires_at_ms",
    )
    .bind(session.session_id.0)
    .bind(session.account_id.0)
    .bind(session.refresh_hash.as_slice())
    .bind(session.created_at_ms)
    .bind(session.expires_at_ms)
    .execute(&mut *transaction)
    .await?;
    insert_token(&mut transaction, &session.refresh_hash, session.session_id, session.expires_at_ms).await?;
    transaction.commit().await
}

pub async fn rotate(
    connection: &mut PgConnection,
    old_hash: &[u8; 32],
    new_hash: &[u8; 32],
    now_ms: i64,
    expires_at_ms: i64,
) -> Result<Rotation> {
    let mut transaction = connection.begin().await?;
    let Some(session_id) = lock_live_session_of(&mut transaction, old_hash, now_ms).await? else {
        return Ok(Rotation::Unknown);
    };
    // Of all that ask with the current token, the first to lock the session finds it current.
    let rotated = sqlx::query(
        "UPDATE session SET refresh_hash = $1, expires_at_ms = $2
         WHERE session_id = $3 AND refresh_hash = $4
         RETURNING account_id, created_at_ms",
    )
    .bind(new_hash.as_slice())
    .bind(expires_at_ms)
    .bind(session_id.0)
    .bind(old_hash.as_slice())
    .fetch_optional(&mut *transaction)
    .await?;
    let rotation = match rotated {
        Some(row) => {
            insert_token(&mut transaction, new_hash, session_id, expires_at_ms).await?;
            Rotation::Rotated(Session {
                session_id,
                account_id: AccountId(row.try_get(0)?),
                refresh_hash: *new_hash,
                created_at_ms: row.try_get(1)?,
                expires_at_ms,
            })
        }
        None => {
            let account: Uuid = sqlx::query_scalar(
                "UPDATE session SET revoked = TRUE, ended_at_ms = COALESCE(ended_at_ms, $2)
                 WHERE session_id = $1 RETURNING account_id",
            )
            .bind(session_id.0)
            .bind(now_ms)
            .fetch_one(&mut *transaction)
            .await?;
            Rotation::Reused { account_id: AccountId(account), session_id }
        }
    };
    transaction.commit().await?;
    Ok(rotation)
}

pub async fn is_live(connection: &mut PgConnection, session: SessionId, now_ms: i64) -> Result<bool> {
    let found =
        sqlx::query("SELECT 1 FROM session WHERE session_id = $1 AND NOT revoked AND expires_at_ms > $2")
            .bind(session.0)
            .bind(now_ms)
            .fetch_optional(connection)
            .await?;
    Ok(found.is_some())
}

pub async fn live(
    connection: &mut PgConnection,
    account: AccountId,
    now_ms: i64,
    limit: usize,
) -> Result<Vec<Session>> {
    let rows = sqlx::query(
        "SELECT session_id, refresh_hash, created_at_ms, expires_at_ms FROM session
         WHERE account_id = $1 AND NOT revoked AND expires_at_ms > $2
         ORDER BY created_at_ms DESC, session_id LIMIT $3",
    )
    .bind(account.0)
    .bind(now_ms)
    .bind(to_i64(limit as u64))
    .fetch_all(connection)
    .await?;
    let session = |row: &PgRow| {
        Ok(Session {
            session_id: SessionId(row.try_get(0)?),
            account_id: account,
            refresh_hash: row.try_get(1)?,
            created_at_ms: row.try_get(2)?,
            expires_at_ms: row.try_get(3)?,
        })
    };
    rows.iter().map(session).collect()
}

pub async fn revoke(
    connection: &mut PgConnection,
    account: AccountId,
    session: SessionId,
    now_ms: i64,
) -> Result<bool> {
    let revoked = sqlx::query(
        "UPDATE session SET revoked = TRUE, ended_at_ms = COALESCE(ended_at_ms, $3)
         WHERE session_id = $1 AND account_id = $2",
    )
    .bind(session.0)
    .bind(account.0)
    .bind(now_ms)
    .execute(connection)
    .await?;
    Ok(revoked.rows_affected() > 0)
}

pub async fn ended(connection: &mut PgConnection, since_ms: i64) -> Result<Vec<EndedSession>> {
    let rows: Vec<(Uuid, i64)> =
        sqlx::query_as("SELECT session_id, ended_at_ms FROM session WHERE ended_at_ms >= $1")
            .bind(since_ms)
            .fetch_all(connection)
            .await?;
    let ended = |(id, ended_at_ms)| EndedSession { session_id: SessionId(id), ended_at_ms };
    Ok(rows.into_iter().map(ended).collect())
}

pub async fn remove_expired(connection: &mut PgConnection, now_ms: i64, limit: u32) -> Result<u64> {
    let mut transaction = connection.begin().await?;
    let removed = remove_expired_in(&mut transaction, now_ms, limit).await?;
    transaction.commit().await?;
    Ok(removed)
}

/// Waits for another process that rotates or revokes the session, and then sees what that did.
async fn lock_live_session_of(
    connection: &mut PgConnection,
    hash: &[u8; 32],
    now_ms: i64,
) -> Result<Option<SessionId>> {
    let session = sqlx::query_scalar(
        "SELECT session.session_id FROM refresh_token JOIN session USING (session_id)
         WHERE refresh_token.hash = $1 AND refresh_token.expires_at_ms > $2
           AND session.expires_at_ms > $2 AND NOT session.revoked
         FOR UPDATE OF session",
    )
    .bind(hash.as_slice())
    .bind(now_ms)
    .fetch_optional(connection)
    .await?;
    Ok(session.map(SessionId))
}

async fn insert_token(
    connection: &mut PgConnection,
    hash: &[u8; 32],
    session: SessionId,
    expires_at_ms: i64,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO refresh_token (hash, session_id, expires_at_ms) VALUES ($1, $2, $3)
         ON CONFLICT DO NOTHING",
    )
    .bind(hash.as_slice())
    .bind(session.0)
    .bind(expires_at_ms)
    .execute(connection)
    .await
    .map(drop)
}

/// Leaves to others what they are removing: nobody waits for nobody.
async fn remove_expired_in(connection: &mut PgConnection, now_ms: i64, limit: u32) -> Result<u64> {
    sqlx::query(
        "WITH expired AS (
           SELECT hash FROM refresh_token WHERE expires_at_ms <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED
         ) DELETE FROM refresh_token USING expired WHERE refresh_token.hash = expired.hash",
    )
    .bind(now_ms)
    .bind(i64::from(limit))
    .execute(&mut *connection)
    .await?;
    let removed = sqlx::query(
        "WITH expired AS (
           SELECT session_id FROM session WHERE expires_at_ms <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED
         ) DELETE FROM session USING expired WHERE session.session_id = expired.session_id",
    )
    .bind(now_ms)
    .bind(i64::from(limit))
    .execute(connection)
    .await?;
    Ok(removed.rows_affected())
}
