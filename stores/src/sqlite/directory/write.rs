//! Writing a batch, many rows a statement.

use std::collections::BTreeMap;

use roomlog_eventlog::TopicPartition;
use roomlog_schemas::RoomId;
use sqlx::query_builder::Separated;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{QueryBuilder, Row, Sqlite};

use crate::directory::names;
use crate::directory::net::NetChanges;
use crate::sqlite::{StoredCursor, to_i64};

/// At 11 values a row far below SQLite's 32,766 values a statement, and enough that the way to the
/// connection's thread and back no longer counts.
const ROWS_PER_STATEMENT: usize = 500;

/// False, and nothing done, if the stored cursor is not at `expected`.
pub async fn move_cursor(
    connection: &mut SqliteConnection,
    partition: TopicPartition,
    expected: u64,
    cursor: &StoredCursor,
) -> sqlx::Result<bool> {
    let (topic, number) = (partition.topic.name(), i64::from(partition.partition));
    let mut announced: Option<i64> = sqlx::query_scalar(
        "UPDATE cursors SET next_offset = $3, cursor = $4
         WHERE topic = $1 AND partition = $2 AND next_offset = $5 RETURNING announced",
    )
    .bind(topic)
    .bind(number)
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
        .bind(topic)
        .bind(number)
        .bind(cursor.next_offset)
        .bind(&cursor.json)
        .fetch_optional(&mut *connection)
        .await?;
    }
    let Some(announced) = announced else { return Ok(false) };
    add_announced(connection, partition, announced as usize, &cursor.announced).await?;
    Ok(true)
}

async fn add_announced(
    connection: &mut SqliteConnection,
    partition: TopicPartition,
    stored: usize,
    announced: &[String],
) -> sqlx::Result<()> {
    if announced.len() <= stored {
        return Ok(());
    }
    let (topic, number) = (partition.topic.name(), i64::from(partition.partition));
    for (position, schema) in announced.iter().enumerate().skip(stored) {
        sqlx::query(
            "INSERT INTO announced_schemas (topic, partition, position, schema) VALUES ($1, $2, $3, $4)",
        )
        .bind(topic)
        .bind(number)
        .bind(position as i64)
        .bind(schema)
        .execute(&mut *connection)
        .await?;
    }
    sqlx::query("UPDATE cursors SET announced = $3 WHERE topic = $1 AND partition = $2")
        .bind(topic)
        .bind(number)
        .bind(announced.len() as i64)
        .execute(connection)
        .await
        .map(drop)
}

pub async fn apply(connection: &mut SqliteConnection, changes: &NetChanges) -> sqlx::Result<()> {
    put_accounts(connection, changes).await?;
    put_rooms(connection, changes).await?;
    change_members(connection, changes).await?;
    change_roles(connection, changes).await?;
    raise_last_seqs(connection, changes).await
}

async fn put_accounts(connection: &mut SqliteConnection, changes: &NetChanges) -> sqlx::Result<()> {
    let accounts = statements(
        "INSERT INTO accounts (account_id, username, display_name, source, registered_at_ms) ",
        changes.accounts.values(),
        |mut row, account| {
            row.push_bind(account.account_id.0)
                .push_bind(account.username.as_deref())
                .push_bind(account.display_name.as_deref())
                .push_bind(account.source.as_deref())
                .push_bind(account.registered_at_ms);
        },
        " ON CONFLICT (account_id) DO UPDATE SET username = excluded.username,
            display_name = excluded.display_name, source = excluded.source,
            registered_at_ms = excluded.registered_at_ms",
    );
    run(connection, accounts).await?;
    for (account, username) in &changes.claims {
        sqlx::query("UPDATE accounts SET username = $2 WHERE account_id = $1")
            .bind(account.0)
            .bind(username)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn put_rooms(connection: &mut SqliteConnection, changes: &NetChanges) -> sqlx::Result<()> {
    let rooms = statements(
        "INSERT INTO rooms (room_id, root_id, parent_id, kind, access, history, name, creator_id,
                            created_at_ms, last_seq, member_count) ",
        changes.rooms.values(),
        |mut row, room| {
            row.push_bind(room.room_id.0)
                .push_bind(room.root_id.0)
                .push_bind(room.parent_id.map(|parent| parent.0))
                .push_bind(names::kind_name(room.kind))
                .push_bind(names::access_name(room.access))
                .push_bind(names::history_name(room.history))
                .push_bind(room.name.as_str())
                .push_bind(room.creator_id.0)
                .push_bind(room.created_at_ms)
                .push("0, 0");
        },
        " ON CONFLICT (room_id) DO UPDATE SET root_id = excluded.root_id,
            parent_id = excluded.parent_id, kind = excluded.kind, access = excluded.access,
            history = excluded.history, name = excluded.name, creator_id = excluded.creator_id,
            created_at_ms = excluded.created_at_ms",
    );
    run(connection, rooms).await.map(drop)
}

/// The counts follow from the rows that were really removed and added.
async fn change_members(connection: &mut SqliteConnection, changes: &NetChanges) -> sqlx::Result<()> {
    let remove = statements(
        // Not `IN (VALUES …)`: for that SQLite would scan the table.
        "WITH gone (room_id, account_id) AS (",
        &changes.left,
        |mut row, (room, account)| {
            row.push_bind(room.0).push_bind(account.0);
        },
        ") DELETE FROM memberships
         WHERE (room_id, account_id) IN (SELECT room_id, account_id FROM gone) RETURNING room_id",
    );
    let add = statements(
        "INSERT INTO memberships (room_id, account_id, role, joined_seq, joined_at_ms) ",
        &changes.joined,
        |mut row, ((room, account), joined)| {
            row.push_bind(room.0)
                .push_bind(account.0)
                .push_bind(joined.role.as_str())
                .push_bind(to_i64(joined.seq))
                .push_bind(joined.at_ms);
        },
        " ON CONFLICT (room_id, account_id) DO NOTHING RETURNING room_id",
    );
    let removed = run(connection, remove).await?;
    let added = run(connection, add).await?;
    let mut counts: BTreeMap<RoomId, i64> = BTreeMap::new();
    for (rows, change) in [(removed, -1), (added, 1)] {
        for row in rows {
            *counts.entry(RoomId(row.try_get(0)?)).or_default() += change;
        }
    }
    let count = statements(
        "WITH change (room_id, members) AS (",
        counts.iter().filter(|(_, change)| **change != 0),
        |mut row, (room, change)| {
            row.push_bind(room.0).push_bind(*change);
        },
        ") UPDATE rooms SET member_count = member_count + change.members FROM change
         WHERE rooms.room_id = change.room_id",
    );
    run(connection, count).await.map(drop)
}

async fn change_roles(connection: &mut SqliteConnection, changes: &NetChanges) -> sqlx::Result<()> {
    let set = statements(
        "WITH held (room_id, account_id, role) AS (",
        &changes.member_roles,
        |mut row, ((room, account), role)| {
            row.push_bind(room.0).push_bind(account.0).push_bind(role.as_str());
        },
        ") UPDATE memberships SET role = held.role FROM held
         WHERE memberships.room_id = held.room_id AND memberships.account_id = held.account_id",
    );
    run(connection, set).await?;
    for (root, role) in &changes.removed_roles {
        sqlx::query("DELETE FROM roles WHERE root_id = $1 AND role_id = $2")
            .bind(root.0)
            .bind(role.0)
            .execute(&mut *connection)
            .await?;
        sqlx::query("DELETE FROM role_overrides WHERE root_id = $1 AND role = $2")
            .bind(root.0)
            .bind(role.to_string())
            .execute(&mut *connection)
            .await?;
    }
    let roles = statements(
        "INSERT INTO roles (root_id, role_id, name, rank, permissions) ",
        changes.roles.values(),
        |mut row, role| {
            row.push_bind(role.root_id.0)
                .push_bind(role.role_id.0)
                .push_bind(role.name.as_str())
                .push_bind(i64::from(role.definition.rank))
                .push_bind(names::permissions_text(role.definition.permissions));
        },
        " ON CONFLICT (root_id, role_id) DO UPDATE SET name = excluded.name, rank = excluded.rank,
            permissions = excluded.permissions",
    );
    run(connection, roles).await?;
    let (taken_back, said): (Vec<_>, Vec<_>) = changes.overrides.values().partition(|row| row.set.is_empty());
    for row in taken_back {
        sqlx::query("DELETE FROM role_overrides WHERE room_id = $1 AND role = $2")
            .bind(row.room_id.0)
            .bind(row.role.to_string())
            .execute(&mut *connection)
            .await?;
    }
    let overrides = statements(
        "INSERT INTO role_overrides (room_id, role, root_id, allow_names, deny_names) ",
        said,
        |mut row, said| {
            row.push_bind(said.room_id.0)
                .push_bind(said.role.to_string())
                .push_bind(said.root_id.0)
                .push_bind(names::permissions_text(said.set.allow))
                .push_bind(names::permissions_text(said.set.deny));
        },
        " ON CONFLICT (room_id, role) DO UPDATE SET root_id = excluded.root_id,
            allow_names = excluded.allow_names, deny_names = excluded.deny_names",
    );
    run(connection, overrides).await.map(drop)
}

async fn raise_last_seqs(connection: &mut SqliteConnection, changes: &NetChanges) -> sqlx::Result<()> {
    let raise = statements(
        "WITH reached (room_id, seq) AS (",
        &changes.last_seqs,
        |mut row, (room, seq)| {
            row.push_bind(room.0).push_bind(to_i64(*seq));
        },
        ") UPDATE rooms SET last_seq = reached.seq FROM reached
         WHERE rooms.room_id = reached.room_id AND rooms.last_seq < reached.seq",
    );
    run(connection, raise).await.map(drop)
}

/// Statements for all rows, full ones and a last one: `before VALUES (…), (…) after`.
fn statements<T>(
    before: &'static str,
    rows: impl IntoIterator<Item = T>,
    push: impl Fn(Separated<'_, Sqlite, &'static str>, T),
    after: &'static str,
) -> Vec<Statement> {
    let mut rows = rows.into_iter().peekable();
    let mut statements = Vec::new();
    while rows.peek().is_some() {
        let mut query = QueryBuilder::new(before);
        let mut len = 0;
        query.push_values(rows.by_ref().take(ROWS_PER_STATEMENT), |row, item| {
            len += 1;
            push(row, item);
        });
        query.push(after);
        statements.push(Statement { query, is_full: len == ROWS_PER_STATEMENT });
    }
    statements
}

struct Statement {
    query: QueryBuilder<Sqlite>,
    is_full: bool,
}

/// What the statements return, if they return anything.
async fn run(connection: &mut SqliteConnection, statements: Vec<Statement>) -> sqlx::Result<Vec<SqliteRow>> {
    let mut returned = Vec::new();
    for mut statement in statements {
        // Full statements are all alike; others would only crowd the cache.
        let query = statement.query.build().persistent(statement.is_full);
        returned.extend(query.fetch_all(&mut *connection).await?);
    }
    Ok(returned)
}
