//! Codes to claim imported accounts, as hashes.

use roomlog_schemas::AccountId;
use sqlx::{PgConnection, Result};

pub async fn put(
    connection: &mut PgConnection,
    account: AccountId,
    code_hash: &[u8; 32],
    expires_at_ms: i64,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO claim_code (account_id, code_hash, expires_at_ms) VALUES ($1, $2, $3)
         ON CONFLICT (account_id)
         DO UPDATE SET code_hash = excluded.code_hash, expires_at_ms = excluded.expires_at_ms",
    )
    .bind(account.0)
    .bind(code_hash.as_slice())
    .bind(expires_at_ms)
    .execute(connection)
    .await
    .map(drop)
}

pub async fn check(
    connection: &mut PgConnection,
    account: AccountId,
    code_hash: &[u8; 32],
    now_ms: i64,
) -> Result<bool> {
    let found = sqlx::query(
        "SELECT 1 FROM claim_code WHERE account_id = $1 AND code_hash = $2 AND expires_at_ms > $3",
    )
    .bind(account.0)
    .bind(code_hash.as_slice())
    .bind(now_ms)
    .fetch_optional(connection)
    .await?;
    Ok(found.is_some())
}

pub async fn remove(connection: &mut PgConnection, account: AccountId) -> Result<()> {
    sqlx::query("DELETE FROM claim_code WHERE account_id = $1")
        .bind(account.0)
        .execute(connection)
        .await
        .map(drop)
}
