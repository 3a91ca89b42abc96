//! Who holds a user name and an e-mail, and with what password.

use roomlog_schemas::{AccountId, IdempotencyKey};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Result, Row};

use crate::columns::to_i64;
use crate::secrets::{Credential, Reservation, ReservationState, Reserved};

/// A row that was in the way can be voided before it is looked at; then the way is free.
const ATTEMPTS: u32 = 10;

macro_rules! select_reservations {
    ($rest:literal) => {
        concat!(
            "SELECT account_id, username, email, password_hash, idempotency_key, fingerprint, command,
                    created_at_ms, active FROM reservation ",
            $rest
        )
    };
}

pub async fn reserve(connection: &mut PgConnection, reservation: &Reservation) -> Result<Reserved> {
    for _ in 0..ATTEMPTS {
        // The unique constraints decide; an insert waits for another one that is not committed yet.
        let inserted = sqlx::query(
            "INSERT INTO reservation (account_id, username, email, password_hash, idempotency_key, \
                                      fingerprint, command, created_at_ms, active)
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
        .execute(&mut *connection)
        .await?;
        if inserted.rows_affected() > 0 {
            return Ok(Reserved::New);
        }
        if let Some(reserved) = who_is_in_the_way(connection, reservation).await? {
            return Ok(reserved);
        }
    }
    Err(sqlx::Error::RowNotFound)
}

async fn who_is_in_the_way(
    connection: &mut PgConnection,
    reservation: &Reservation,
) -> Result<Option<Reserved>> {
    let rows = sqlx::query(select_reservations!("WHERE account_id = $1 OR username = $2 OR email = $3"))
        .bind(reservation.account_id.0)
        .bind(&reservation.username)
        .bind(&reservation.email)
        .fetch_all(connection)
        .await?;
    let mut holders = Vec::new();
    for row in &rows {
        let (holder, state) = from_row(row)?;
        if holder.account_id == reservation.account_id {
            return Ok(Some(Reserved::Existing(Box::new(holder), state)));
        }
        holders.push(holder);
    }
    if holders.iter().any(|holder| holder.username == reservation.username) {
        return Ok(Some(Reserved::UsernameTaken));
    }
    Ok((!holders.is_empty()).then_some(Reserved::EmailTaken))
}

pub async fn complete(connection: &mut PgConnection, account: AccountId) -> Result<()> {
    sqlx::query("UPDATE reservation SET active = TRUE WHERE account_id = $1 AND NOT active")
        .bind(account.0)
        .execute(connection)
        .await
        .map(drop)
}

pub async fn void(connection: &mut PgConnection, account: AccountId) -> Result<()> {
    sqlx::query("DELETE FROM reservation WHERE account_id = $1 AND NOT active")
        .bind(account.0)
        .execute(connection)
        .await
        .map(drop)
}

pub async fn pending(
    connection: &mut PgConnection,
    before_ms: i64,
    limit: usize,
) -> Result<Vec<Reservation>> {
    let rows = sqlx::query(select_reservations!(
        "WHERE NOT active AND created_at_ms < $1 ORDER BY created_at_ms, account_id LIMIT $2"
    ))
    .bind(before_ms)
    .bind(to_i64(limit as u64))
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| from_row(row).map(|(reservation, _)| reservation)).collect()
}

/// An e-mail before a user name: nobody can stand in front of another's e-mail by being called so.
pub async fn credential(connection: &mut PgConnection, login: &str) -> Result<Option<Credential>> {
    let row = sqlx::query(
        "SELECT account_id, password_hash, active, 0 AS place FROM reservation WHERE email = $1
         UNION ALL
         SELECT account_id, password_hash, active, 1 FROM reservation WHERE username = $1
         ORDER BY place LIMIT 1",
    )
    .bind(login)
    .fetch_optional(connection)
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

fn from_row(row: &PgRow) -> Result<(Reservation, ReservationState)> {
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
