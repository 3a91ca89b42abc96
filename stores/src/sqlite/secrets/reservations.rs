//! Who holds a user name and an e-mail, and with what password; codes to claim imported accounts.

use roomlog_schemas::{AccountId, IdempotencyKey};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::secrets::{Credential, Reservation, ReservationState, Reserved};
use crate::sqlite::pools::Pools;

const COLUMNS: &str = "account_id, username, email, password_hash, idempotency_key, fingerprint, command, \
                       created_at_ms, active";

pub async fn reserve(pools: &Pools, reservation: &Reservation) -> sqlx::Result<Reserved> {
    let mut transaction = pools.begin().await?;
    let inserted = sqlx::query(
        "INSERT INTO reservation (account_id, username, email, password_hash, idempotency_key, fingerprint, \
                                  command, created_at_ms, active)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, FALSE) ON CONFLICT DO NOTHING",
    )
    .bind(reservation.account_id.0)
    .bind(&reservation.username)
    .bind(&reservation.email)
    .bind(&reservation.password_hash)
    .bind(reservation.key.uuid())
    .bind(&reservation.fingerprint)
    .bind(&reservation.command)
    .bind(reservation.created_at_ms)
    .execute(&mut *transaction)
    .await?;
    let answer = match inserted.rows_affected() {
        0 => who_is_in_the_way(&mut transaction, reservation).await?,
        _ => Reserved::New,
    };
    transaction.commit().await?;
    Ok(answer)
}

async fn who_is_in_the_way(
    connection: &mut SqliteConnection,
    reservation: &Reservation,
) -> sqlx::Result<Reserved> {
    let own =
        sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM reservation WHERE account_id = $1")))
            .bind(reservation.account_id.0)
            .fetch_optional(&mut *connection)
            .await?;
    if let Some(row) = own {
        let (existing, state) = from_row(&row)?;
        return Ok(Reserved::Existing(Box::new(existing), state));
    }
    let holder = sqlx::query("SELECT 1 FROM reservation WHERE username = $1")
        .bind(&reservation.username)
        .fetch_optional(&mut *connection)
        .await?;
    Ok(if holder.is_some() { Reserved::UsernameTaken } else { Reserved::EmailTaken })
}

pub async fn complete(pools: &Pools, account: AccountId) -> sqlx::Result<()> {
    let mut transaction = pools.begin().await?;
    sqlx::query("UPDATE reservation SET active = TRUE WHERE account_id = $1 AND NOT active")
        .bind(account.0)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

pub async fn void(pools: &Pools, account: AccountId) -> sqlx::Result<()> {
    let mut transaction = pools.begin().await?;
    sqlx::query("DELETE FROM reservation WHERE account_id = $1 AND NOT active")
        .bind(account.0)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

pub async fn pending(pools: &Pools, before_ms: i64, limit: usize) -> sqlx::Result<Vec<Reservation>> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM reservation WHERE NOT active AND created_at_ms < $1
         ORDER BY created_at_ms, account_id LIMIT $2"
    )))
    .bind(before_ms)
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(pools.readers())
    .await?;
    rows.iter().map(|row| from_row(row).map(|(reservation, _)| reservation)).collect()
}

/// An e-mail before a user name: nobody can stand in front of another's e-mail by being called so.
pub async fn credential(pools: &Pools, login: &str) -> sqlx::Result<Option<Credential>> {
    let row = sqlx::query(
        "SELECT account_id, password_hash, active FROM reservation WHERE email = $1
         UNION ALL
         SELECT account_id, password_hash, active FROM reservation WHERE username = $1
         LIMIT 1",
    )
    .bind(login)
    .fetch_optional(pools.readers())
    .await?;
    row.map(|row| {
        Ok(Credential {
            account_id: AccountId(row.try_get(0)?),
            password_hash: row.try_get(1)?,
            state: state(row.try_get(2)?),
        })
    })
    .transpose()
}

pub async fn put_claim_code(
    pools: &Pools,
    account: AccountId,
    code_hash: &[u8; 32],
    expires_at_ms: i64,
) -> sqlx::Result<()> {
    let mut transaction = pools.begin().await?;
    sqlx::query(
        "INSERT INTO claim_code (account_id, code_hash, expires_at_ms) VALUES ($1, $2, $3)
         ON CONFLICT (account_id)
         DO UPDATE SET code_hash = excluded.code_hash, expires_at_ms = excluded.expires_at_ms",
    )
    .bind(account.0)
    .bind(code_hash.as_slice())
    .bind(expires_at_ms)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await
}

pub async fn check_claim_code(
    pools: &Pools,
    account: AccountId,
    code_hash: &[u8; 32],
    now_ms: i64,
) -> sqlx::Result<bool> {
    let found = sqlx::query(
        "SELECT 1 FROM claim_code WHERE account_id = $1 AND code_hash = $2 AND expires_at_ms > $3",
    )
    .bind(account.0)
    .bind(code_hash.as_slice())
    .bind(now_ms)
    .fetch_optional(pools.readers())
    .await?;
    Ok(found.is_some())
}

pub async fn remove_claim_code(pools: &Pools, account: AccountId) -> sqlx::Result<()> {
    let mut transaction = pools.begin().await?;
    sqlx::query("DELETE FROM claim_code WHERE account_id = $1")
        .bind(account.0)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

fn from_row(row: &SqliteRow) -> sqlx::Result<(Reservation, ReservationState)> {
    let reservation = Reservation {
        account_id: AccountId(row.try_get(0)?),
        username: row.try_get(1)?,
        email: row.try_get(2)?,
        password_hash: row.try_get(3)?,
        key: IdempotencyKey::new(row.try_get(4)?).map_err(|error| sqlx::Error::Decode(error.into()))?,
        fingerprint: row.try_get(5)?,
        command: row.try_get(6)?,
        created_at_ms: row.try_get(7)?,
    };
    Ok((reservation, state(row.try_get(8)?)))
}

fn state(active: bool) -> ReservationState {
    if active { ReservationState::Active } else { ReservationState::Pending }
}
