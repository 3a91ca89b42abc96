//! Wrapped keys. The first one stored wins.

use std::collections::HashMap;

use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::{QueryBuilder, Row, Sqlite};
use uuid::Uuid;

use crate::secrets::KeyOwner;
use crate::sqlite::pools::Pools;

/// SQLite takes 32,766 values a statement; a page of anything needs far fewer keys.
const ROWS_PER_STATEMENT: usize = 5_000;

pub async fn platform_key(pools: &Pools, name: &str, candidate: &[u8]) -> sqlx::Result<Vec<u8>> {
    let mut transaction = pools.begin().await?;
    sqlx::query("INSERT INTO platform_key (name, wrapped) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(name)
        .bind(candidate)
        .execute(&mut *transaction)
        .await?;
    let stored = sqlx::query_scalar("SELECT wrapped FROM platform_key WHERE name = $1")
        .bind(name)
        .fetch_one(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(stored)
}

pub async fn platform_keys(readers: &SqlitePool, prefix: &str) -> sqlx::Result<Vec<(String, Vec<u8>)>> {
    // Not LIKE: a name may hold its wildcards. There are a handful of keys.
    sqlx::query_as(
        "SELECT name, wrapped FROM platform_key WHERE substr(name, 1, length($1)) = $1 ORDER BY name",
    )
    .bind(prefix)
    .fetch_all(readers)
    .await
}

pub async fn remove_platform_key(pools: &Pools, name: &str) -> sqlx::Result<bool> {
    let mut transaction = pools.begin().await?;
    let removed = sqlx::query("DELETE FROM platform_key WHERE name = $1")
        .bind(name)
        .execute(&mut *transaction)
        .await?
        .rows_affected();
    transaction.commit().await?;
    Ok(removed > 0)
}

pub async fn create(pools: &Pools, candidates: &[(KeyOwner, Vec<u8>)]) -> sqlx::Result<Vec<Vec<u8>>> {
    let mut transaction = pools.begin().await?;
    for chunk in candidates.chunks(ROWS_PER_STATEMENT) {
        QueryBuilder::<Sqlite>::new("INSERT INTO content_key (owner_kind, owner_id, wrapped) ")
            .push_values(chunk, |mut row, (owner, wrapped)| {
                let (kind, id) = parts(*owner);
                row.push_bind(kind).push_bind(id).push_bind(wrapped.as_slice());
            })
            .push(" ON CONFLICT DO NOTHING")
            .build()
            .persistent(false)
            .execute(&mut *transaction)
            .await?;
    }
    let owners: Vec<KeyOwner> = candidates.iter().map(|(owner, _)| *owner).collect();
    let stored = select(&mut transaction, &owners).await?;
    transaction.commit().await?;
    stored.into_iter().map(|key| key.ok_or(sqlx::Error::RowNotFound)).collect()
}

pub async fn load(readers: &SqlitePool, owners: &[KeyOwner]) -> sqlx::Result<Vec<Option<Vec<u8>>>> {
    select(&mut *readers.acquire().await?, owners).await
}

async fn select(
    connection: &mut SqliteConnection,
    owners: &[KeyOwner],
) -> sqlx::Result<Vec<Option<Vec<u8>>>> {
    let mut found: HashMap<(String, Uuid), Vec<u8>> = HashMap::with_capacity(owners.len());
    for chunk in owners.chunks(ROWS_PER_STATEMENT) {
        // Not `IN (VALUES …)`: for that SQLite would scan the table.
        let rows = QueryBuilder::<Sqlite>::new("WITH wanted (kind, id) AS (")
            .push_values(chunk, |mut row, &owner| {
                let (kind, id) = parts(owner);
                row.push_bind(kind).push_bind(id);
            })
            .push(
                ") SELECT owner_kind, owner_id, wrapped FROM wanted
                 JOIN content_key ON owner_kind = kind AND owner_id = id",
            )
            .build()
            .persistent(false)
            .fetch_all(&mut *connection)
            .await?;
        for row in rows {
            found.insert((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?);
        }
    }
    let key = |&owner| {
        let (kind, id) = parts(owner);
        found.get(&(kind.to_owned(), id)).cloned()
    };
    Ok(owners.iter().map(key).collect())
}

fn parts(owner: KeyOwner) -> (&'static str, Uuid) {
    match owner {
        KeyOwner::Account(account) => ("a", account.0),
        KeyOwner::Room(room) => ("r", room.0),
    }
}
