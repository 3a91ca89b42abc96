//! Wrapped keys. The first one stored wins.

use sqlx::{PgConnection, Result};
use uuid::Uuid;

use crate::secrets::KeyOwner;

pub async fn platform_key(connection: &mut PgConnection, name: &str, candidate: &[u8]) -> Result<Vec<u8>> {
    // Waits for another process that is storing one, so that the key is there for the question after
    // it, which sees all that was committed before it began.
    sqlx::query("INSERT INTO platform_key (name, wrapped) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(name)
        .bind(candidate)
        .execute(&mut *connection)
        .await?;
    sqlx::query_scalar("SELECT wrapped FROM platform_key WHERE name = $1")
        .bind(name)
        .fetch_one(connection)
        .await
}

pub async fn platform_keys(connection: &mut PgConnection, prefix: &str) -> Result<Vec<(String, Vec<u8>)>> {
    // In the order of the bytes, whatever the database's collation is.
    sqlx::query_as(
        r#"SELECT name, wrapped FROM platform_key WHERE starts_with(name, $1) ORDER BY name COLLATE "C""#,
    )
    .bind(prefix)
    .fetch_all(connection)
    .await
}

pub async fn remove_platform_key(connection: &mut PgConnection, name: &str) -> Result<bool> {
    let removed =
        sqlx::query("DELETE FROM platform_key WHERE name = $1").bind(name).execute(connection).await?;
    Ok(removed.rows_affected() > 0)
}

pub async fn create(
    connection: &mut PgConnection,
    candidates: &[(KeyOwner, Vec<u8>)],
) -> Result<Vec<Vec<u8>>> {
    // In the same order everywhere: two that make some of the same keys never wait for each other.
    let mut sorted: Vec<&(KeyOwner, Vec<u8>)> = candidates.iter().collect();
    sorted.sort_by_key(|(owner, _)| *owner);
    let (kinds, ids) = columns(sorted.iter().map(|(owner, _)| *owner));
    let wrapped: Vec<&[u8]> = sorted.iter().map(|(_, wrapped)| wrapped.as_slice()).collect();
    sqlx::query(
        "INSERT INTO content_key (owner_kind, owner_id, wrapped)
         SELECT * FROM unnest($1::text[], $2::uuid[], $3::bytea[]) ON CONFLICT DO NOTHING",
    )
    .bind(kinds)
    .bind(ids)
    .bind(wrapped)
    .execute(&mut *connection)
    .await?;
    let owners: Vec<KeyOwner> = candidates.iter().map(|(owner, _)| *owner).collect();
    let stored = load(connection, &owners).await?;
    stored.into_iter().map(|key| key.ok_or(sqlx::Error::RowNotFound)).collect()
}

pub async fn load(connection: &mut PgConnection, owners: &[KeyOwner]) -> Result<Vec<Option<Vec<u8>>>> {
    let (kinds, ids) = columns(owners.iter().copied());
    sqlx::query_scalar(
        "SELECT wrapped FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS wanted (kind, id, n)
         LEFT JOIN content_key ON owner_kind = kind AND owner_id = id ORDER BY n",
    )
    .bind(kinds)
    .bind(ids)
    .fetch_all(connection)
    .await
}

fn columns(owners: impl Iterator<Item = KeyOwner>) -> (Vec<&'static str>, Vec<Uuid>) {
    let parts = |owner| match owner {
        KeyOwner::Account(account) => ("a", account.0),
        KeyOwner::Room(room) => ("r", room.0),
    };
    owners.map(parts).unzip()
}
