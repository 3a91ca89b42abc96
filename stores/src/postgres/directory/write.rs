//! Writing a batch: a transaction of a few statements, each with all of its rows as arrays, so that a
//! batch takes the same few round trips whatever its size.

use std::borrow::Cow;
use std::collections::BTreeMap;

use roomlog_eventlog::TopicPartition;
use roomlog_schemas::RoomId;
use roomlog_schemas::event::Seq;
use sqlx::{Connection, PgConnection, Result, Row};
use uuid::Uuid;

use super::{read, roles};
use crate::columns::{StoredCursor, to_i64};
use crate::directory::names;
use crate::directory::net::NetChanges;

pub enum Applied {
    Done,
    /// Nothing was done: the stored cursor is not where it was expected.
    CursorIsAt(u64),
}

pub async fn apply(
    connection: &mut PgConnection,
    partition: TopicPartition,
    expected: u64,
    cursor: &StoredCursor,
    changes: &NetChanges,
) -> Result<Applied> {
    let mut transaction = connection.begin().await?;
    // First of all: it locks the cursor, so that nobody else writes rows of this partition.
    if !move_cursor(&mut transaction, partition, expected, cursor).await? {
        return read::next_offset(&mut transaction, partition).await.map(Applied::CursorIsAt);
    }
    put_accounts(&mut transaction, changes).await?;
    claim_accounts(&mut transaction, changes).await?;
    put_rooms(&mut transaction, changes).await?;
    let mut progress = Progress::default();
    remove_members(&mut transaction, changes, &mut progress).await?;
    add_members(&mut transaction, changes, &mut progress).await?;
    roles::change(&mut transaction, changes).await?;
    advance_rooms(&mut transaction, changes, &mut progress).await?;
    transaction.commit().await?;
    Ok(Applied::Done)
}

/// False, and nothing done, if the stored cursor is not at `expected`.
async fn move_cursor(
    connection: &mut PgConnection,
    partition: TopicPartition,
    expected: u64,
    cursor: &StoredCursor,
) -> Result<bool> {
    let mut announced: Option<i64> = sqlx::query_scalar(
        "UPDATE cursors SET next_offset = $3, cursor = $4
         WHERE topic = $1 AND partition = $2 AND next_offset = $5 RETURNING announced",
    )
    .bind(partition.topic.name())
    .bind(read::number(partition))
    .bind(cursor.next_offset)
    .bind(&cursor.json)
    .bind(to_i64(expected))
    .fetch_optional(&mut *connection)
    .await?;
    if announced.is_none() && expected == 0 {
        announced = sqlx::query_scalar(
            "INSERT INTO cursors (topic, partition, next_offset, cursor, announced)
             VALUES ($1, $2, $3, $4, 0) ON CONFLICT DO NOTHING RETURNING announced",
        )
        .bind(partition.topic.name())
        .bind(read::number(partition))
        .bind(cursor.next_offset)
        .bind(&cursor.json)
        .fetch_optional(&mut *connection)
        .await?;
    }
    let Some(announced) = announced else { return Ok(false) };
    add_announced(connection, partition, announced, &cursor.announced).await?;
    Ok(true)
}

async fn add_announced(
    connection: &mut PgConnection,
    partition: TopicPartition,
    stored: i64,
    announced: &[String],
) -> Result<()> {
    let new = announced.get(stored as usize..).unwrap_or_default();
    if new.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "WITH added AS (
           INSERT INTO announced_schemas (topic, partition, position, schema)
           SELECT $1, $2, $3 + n - 1, schema FROM unnest($4::text[]) WITH ORDINALITY AS new (schema, n)
         ) UPDATE cursors SET announced = $5 WHERE topic = $1 AND partition = $2",
    )
    .bind(partition.topic.name())
    .bind(read::number(partition))
    .bind(stored)
    .bind(new)
    .bind(announced.len() as i64)
    .execute(connection)
    .await
    .map(drop)
}

async fn put_accounts(connection: &mut PgConnection, changes: &NetChanges) -> Result<()> {
    if changes.accounts.is_empty() {
        return Ok(());
    }
    let mut ids = Vec::with_capacity(changes.accounts.len());
    let (mut usernames, mut display_names, mut sources, mut registered) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for account in changes.accounts.values() {
        ids.push(account.account_id.0);
        usernames.push(account.username.as_deref().map(text));
        display_names.push(account.display_name.as_deref().map(text));
        sources.push(account.source.as_deref().map(text));
        registered.push(account.registered_at_ms);
    }
    sqlx::query(
        "INSERT INTO accounts (account_id, username, display_name, source, registered_at_ms)
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[])
         ON CONFLICT (account_id) DO UPDATE SET username = excluded.username,
           display_name = excluded.display_name, source = excluded.source,
           registered_at_ms = excluded.registered_at_ms",
    )
    .bind(ids)
    .bind(usernames)
    .bind(display_names)
    .bind(sources)
    .bind(registered)
    .execute(connection)
    .await
    .map(drop)
}

async fn claim_accounts(connection: &mut PgConnection, changes: &NetChanges) -> Result<()> {
    if changes.claims.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = changes.claims.keys().map(|account| account.0).collect();
    let usernames: Vec<_> = changes.claims.values().map(|name| text(name)).collect();
    sqlx::query(
        "UPDATE accounts SET username = claim.username
         FROM unnest($1::uuid[], $2::text[]) AS claim (account_id, username)
         WHERE accounts.account_id = claim.account_id",
    )
    .bind(ids)
    .bind(usernames)
    .execute(connection)
    .await
    .map(drop)
}

async fn put_rooms(connection: &mut PgConnection, changes: &NetChanges) -> Result<()> {
    if changes.rooms.is_empty() {
        return Ok(());
    }
    let rooms = || changes.rooms.values();
    sqlx::query(
        "INSERT INTO rooms (room_id, root_id, parent_id, kind, access, history, name, creator_id,
                            created_at_ms, last_seq, member_count)
         SELECT *, 0, 0 FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[],
                                    $6::text[], $7::text[], $8::uuid[], $9::bigint[])
         ON CONFLICT (room_id) DO UPDATE SET root_id = excluded.root_id,
           parent_id = excluded.parent_id, kind = excluded.kind, access = excluded.access,
           history = excluded.history, name = excluded.name, creator_id = excluded.creator_id,
           created_at_ms = excluded.created_at_ms",
    )
    .bind(rooms().map(|room| room.room_id.0).collect::<Vec<_>>())
    .bind(rooms().map(|room| room.root_id.0).collect::<Vec<_>>())
    .bind(rooms().map(|room| room.parent_id.map(|parent| parent.0)).collect::<Vec<_>>())
    .bind(rooms().map(|room| names::kind_name(room.kind)).collect::<Vec<_>>())
    .bind(rooms().map(|room| names::access_name(room.access)).collect::<Vec<_>>())
    .bind(rooms().map(|room| names::history_name(room.history)).collect::<Vec<_>>())
    .bind(rooms().map(|room| text(&room.name)).collect::<Vec<_>>())
    .bind(rooms().map(|room| room.creator_id.0).collect::<Vec<_>>())
    .bind(rooms().map(|room| room.created_at_ms).collect::<Vec<_>>())
    .execute(connection)
    .await
    .map(drop)
}

/// What a batch adds to its rooms' numbers: change of the member count, and the seq reached.
type Progress = BTreeMap<RoomId, (i64, Seq)>;

/// The counts follow from the rows that were really removed and added.
async fn remove_members(
    connection: &mut PgConnection,
    changes: &NetChanges,
    progress: &mut Progress,
) -> Result<()> {
    if changes.left.is_empty() {
        return Ok(());
    }
    let (rooms, accounts): (Vec<Uuid>, Vec<Uuid>) =
        changes.left.iter().map(|(room, account)| (room.0, account.0)).unzip();
    let removed = sqlx::query(
        "WITH removed AS (
           DELETE FROM memberships USING unnest($1::uuid[], $2::uuid[]) AS gone (room_id, account_id)
           WHERE memberships.room_id = gone.room_id AND memberships.account_id = gone.account_id
           RETURNING memberships.room_id
         ) SELECT room_id, count(*) FROM removed GROUP BY room_id",
    )
    .bind(rooms)
    .bind(accounts)
    .fetch_all(connection)
    .await?;
    for row in removed {
        progress.entry(RoomId(row.try_get(0)?)).or_default().0 -= row.try_get::<i64, _>(1)?;
    }
    Ok(())
}

async fn add_members(
    connection: &mut PgConnection,
    changes: &NetChanges,
    progress: &mut Progress,
) -> Result<()> {
    if changes.joined.is_empty() {
        return Ok(());
    }
    let (rooms, accounts): (Vec<Uuid>, Vec<Uuid>) =
        changes.joined.keys().map(|(room, account)| (room.0, account.0)).unzip();
    let joined = || changes.joined.values();
    let added = sqlx::query(
        "WITH added AS (
           INSERT INTO memberships (room_id, account_id, role, joined_seq, joined_at_ms)
           SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[])
           ON CONFLICT (room_id, account_id) DO NOTHING RETURNING room_id
         ) SELECT room_id, count(*) FROM added GROUP BY room_id",
    )
    .bind(rooms)
    .bind(accounts)
    .bind(joined().map(|joined| text(&joined.role)).collect::<Vec<_>>())
    .bind(joined().map(|joined| to_i64(joined.seq)).collect::<Vec<_>>())
    .bind(joined().map(|joined| joined.at_ms).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    for row in added {
        progress.entry(RoomId(row.try_get(0)?)).or_default().0 += row.try_get::<i64, _>(1)?;
    }
    Ok(())
}

/// Both numbers at once: a row that changes is written whole.
async fn advance_rooms(
    connection: &mut PgConnection,
    changes: &NetChanges,
    progress: &mut Progress,
) -> Result<()> {
    for (room, seq) in &changes.last_seqs {
        progress.entry(*room).or_default().1 = *seq;
    }
    if progress.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE rooms SET member_count = member_count + change.members,
                          last_seq = greatest(last_seq, change.seq)
         FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS change (room_id, members, seq)
         WHERE rooms.room_id = change.room_id AND (change.members <> 0 OR rooms.last_seq < change.seq)",
    )
    .bind(progress.keys().map(|room| room.0).collect::<Vec<_>>())
    .bind(progress.values().map(|(members, _)| *members).collect::<Vec<_>>())
    .bind(progress.values().map(|(_, seq)| to_i64(*seq)).collect::<Vec<_>>())
    .execute(connection)
    .await
    .map(drop)
}

/// PostgreSQL's text holds every character but one, which would stop the projection for ever.
pub fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}
