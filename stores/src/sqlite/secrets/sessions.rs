//! Sessions and their refresh tokens, as hashes.
//!
//! A session names its current token. `refresh_token` keeps the earlier ones too, each until it
//! would have expired, so that one that comes again is known as such.

use roomlog_schemas::{AccountId, SessionId};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Row, Sqlite, Transaction};
use uuid::Uuid;

use crate::secrets::{EndedSession, Rotation, Session};
use crate::sqlite::pools::Pools;

/// A new session removes at most so many expired ones, and as many expired tokens: more than it
/// adds, so that they don't pile up, and few enough not to be felt.
const REMOVED_PER_NEW: u32 = 16;

/// The same session again gets the new token; one that was revoked stays revoked.
pub async fn create(pools: &Pools, session: &Session) -> sqlx::Result<()> {
    let mut transaction = pools.begin().await?;
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
    pools: &Pools,
    old_hash: &[u8; 32],
    new_hash: &[u8; 32],
    now_ms: i64,
    expires_at_ms: i64,
) -> sqlx::Result<Rotation> {
    let mut transaction = pools.begin().await?;
    let Some(session_id) = live_session_of(&mut transaction, old_hash, now_ms).await? else {
        return Ok(Rotation::Unknown);
    };
    // Compare and set: of all that ask with the current token, one finds it current.
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

pub async fn is_live(pools: &Pools, session: SessionId, now_ms: i64) -> sqlx::Result<bool> {
    let found =
        sqlx::query("SELECT 1 FROM session WHERE session_id = $1 AND NOT revoked AND expires_at_ms > $2")
            .bind(session.0)
            .bind(now_ms)
            .fetch_optional(pools.readers())
            .await?;
    Ok(found.is_some())
}

pub async fn live(
    pools: &Pools,
    account: AccountId,
    now_ms: i64,
    limit: usize,
) -> sqlx::Result<Vec<Session>> {
    let rows = sqlx::query(
        "SELECT session_id, refresh_hash, created_at_ms, expires_at_ms FROM session
         WHERE account_id = $1 AND NOT revoked AND expires_at_ms > $2
         ORDER BY created_at_ms DESC, session_id LIMIT $3",
    )
    .bind(account.0)
    .bind(now_ms)
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(pools.readers())
    .await?;
    rows.into_iter()
        .map(|row| {
            let hash: Vec<u8> = row.try_get(1)?;
            Ok(Session {
                session_id: SessionId(row.try_get(0)?),
                account_id: account,
                refresh_hash: hash.try_into().map_err(|_| sqlx::Error::ColumnDecode {
                    index: "refresh_hash".into(),
                    source: "not 32 bytes".into(),
                })?,
                created_at_ms: row.try_get(2)?,
                expires_at_ms: row.try_get(3)?,
            })
        })
        .collect()
}

pub async fn revoke(
    pools: &Pools,
    account: AccountId,
    session: SessionId,
    now_ms: i64,
) -> sqlx::Result<bool> {
    let mut transaction = pools.begin().await?;
    let revoked = sqlx::query(
        "UPDATE session SET revoked = TRUE, ended_at_ms = COALESCE(ended_at_ms, $3)
         WHERE session_id = $1 AND account_id = $2",
    )
    .bind(session.0)
    .bind(account.0)
    .bind(now_ms)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(revoked.rows_affected() > 0)
}

pub async fn ended(pools: &Pools, since_ms: i64) -> sqlx::Result<Vec<EndedSession>> {
    let rows: Vec<(Uuid, i64)> =
        sqlx::query_as("SELECT session_id, ended_at_ms FROM session WHERE ended_at_ms >= $1")
            .bind(since_ms)
            .fetch_all(pools.readers())
            .await?;
    let ended = |(id, ended_at_ms)| EndedSession { session_id: SessionId(id), ended_at_ms };
    Ok(rows.into_iter().map(ended).collect())
}

pub async fn remove_expired(pools: &Pools, now_ms: i64, limit: u32) -> sqlx::Result<u64> {
    let mut transaction = pools.begin().await?;
    let removed = remove_expired_in(&mut transaction, now_ms, limit).await?;
    transaction.commit().await?;
    Ok(removed)
}

async fn live_session_of(
    connection: &mut SqliteConnection,
    hash: &[u8; 32],
    now_ms: i64,
) -> sqlx::Result<Option<SessionId>> {
    let session = sqlx::query_scalar(
        "SELECT session.session_id FROM refresh_token JOIN session USING (session_id)
         WHERE refresh_token.hash = $1 AND refresh_token.expires_at_ms > $2
           AND session.expires_at_ms > $2 AND NOT session.revoked",
    )
    .bind(hash.as_slice())
    .bind(now_ms)
    .fetch_optional(connection)
    .await?;
    Ok(session.map(SessionId))
}

async fn insert_token(
    connection: &mut SqliteConnection,
    hash: &[u8; 32],
    session: SessionId,
    expires_at_ms: i64,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO refresh_token (hash, session_id, expires_at_ms) VALUES ($1, $2, $3)
         ON CONFLICT DO NOTHING",
    )
    .bind(hash.as_slice())
    .bind(session.0)
    .bind(expires_at_ms)
    .execute(connection)
    .await?;
    Ok(())
}

async fn remove_expired_in(
    transaction: &mut Transaction<'_, Sqlite>,
    now_ms: i64,
    limit: u32,
) -> sqlx::Result<u64> {
    sqlx::query(
        "DELETE FROM refresh_token WHERE hash IN
           (SELECT hash FROM refresh_token WHERE expires_at_ms <= $1 LIMIT $2)",
    )
    .bind(now_ms)
    .bind(limit)
    .execute(&mut **transaction)
    .await?;
    let removed = sqlx::query(
        "DELETE FROM session WHERE session_id IN
           (SELECT session_id FROM session WHERE expires_at_ms <= $1 LIMIT $2)",
    )
    .bind(now_ms)
    .bind(limit)
    .execute(&mut **transaction)
    .await?;
    Ok(removed.rows_affected())
}
