//! Reading rows.

use roomlog_domain::Role;
use roomlog_domain::way::Way;
use roomlog_eventlog::TopicPartition;
use roomlog_schemas::{AccountId, RoleId, RoomId};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Result, Row};
use uuid::Uuid;

use crate::columns::to_i64;
use crate::directory::{AccountRow, MemberRow, OverrideRow, RoleRow, RoomRow};
use crate::directory::{names, way};

/// As JSON, and the schemas announced.
pub async fn cursor(
    connection: &mut PgConnection,
    partition: TopicPartition,
) -> Result<Option<(String, Vec<String>)>> {
    // One statement, so that both are of one moment.
    let rows = sqlx::query(
        "SELECT cursor, schema FROM cursors LEFT JOIN announced_schemas USING (topic, partition)
         WHERE topic = $1 AND partition = $2 ORDER BY position",
    )
    .bind(partition.topic.name())
    .bind(number(partition))
    .fetch_all(connection)
    .await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let mut announced = Vec::new();
    for row in &rows {
        announced.extend(row.try_get::<Option<String>, _>(1)?);
    }
    Ok(Some((first.try_get(0)?, announced)))
}

/// Where the stored cursor is; 0 without one.
pub async fn next_offset(connection: &mut PgConnection, partition: TopicPartition) -> Result<u64> {
    let offset: Option<i64> =
        sqlx::query_scalar("SELECT next_offset FROM cursors WHERE topic = $1 AND partition = $2")
            .bind(partition.topic.name())
            .bind(number(partition))
            .fetch_optional(connection)
            .await?;
    Ok(offset.unwrap_or(0).cast_unsigned())
}

/// Partitions are numbered from 0, far below what the column holds.
pub fn number(partition: TopicPartition) -> i32 {
    i32::try_from(partition.partition).unwrap_or(i32::MAX)
}

pub async fn account(connection: &mut PgConnection, account: AccountId) -> Result<Option<AccountRow>> {
    let row = sqlx::query(
        "SELECT username, display_name, source, registered_at_ms FROM accounts WHERE account_id = $1",
    )
    .bind(account.0)
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        Ok(AccountRow {
            account_id: account,
            username: row.try_get(0)?,
            display_name: row.try_get(1)?,
            source: row.try_get(2)?,
            registered_at_ms: row.try_get(3)?,
        })
    })
    .transpose()
}

macro_rules! select_rooms {
    ($rest:literal) => {
        concat!(
            "SELECT rooms.room_id, root_id, parent_id, kind, access, history, name, creator_id,
                    created_at_ms, last_seq, member_count ",
            $rest
        )
    };
}

pub async fn room(connection: &mut PgConnection, room: RoomId) -> Result<Option<RoomRow>> {
    let row = sqlx::query(select_rooms!("FROM rooms WHERE room_id = $1"))
        .bind(room.0)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(room_from_row).transpose()
}

pub async fn rooms_of(
    connection: &mut PgConnection,
    account: AccountId,
    after: Option<RoomId>,
    limit: usize,
) -> Result<Vec<RoomRow>> {
    let rows = sqlx::query(select_rooms!(
        "FROM memberships JOIN rooms ON rooms.room_id = memberships.room_id
         WHERE memberships.account_id = $1 AND memberships.room_id > $2
         ORDER BY memberships.room_id LIMIT $3"
    ))
    .bind(account.0)
    .bind(after.map_or(Uuid::nil(), |room| room.0))
    .bind(to_i64(limit as u64))
    .fetch_all(connection)
    .await?;
    rows.iter().map(room_from_row).collect()
}

pub async fn members(
    connection: &mut PgConnection,
    room: RoomId,
    after: Option<AccountId>,
    limit: usize,
) -> Result<Vec<MemberRow>> {
    let rows = sqlx::query(
        "SELECT memberships.account_id, username, display_name, role, joined_seq, joined_at_ms
         FROM memberships LEFT JOIN accounts ON accounts.account_id = memberships.account_id
         WHERE memberships.room_id = $1 AND memberships.account_id > $2
         ORDER BY memberships.account_id LIMIT $3",
    )
    .bind(room.0)
    .bind(after.map_or(Uuid::nil(), |account| account.0))
    .bind(to_i64(limit as u64))
    .fetch_all(connection)
    .await?;
    let member = |row: &PgRow| {
        Ok(MemberRow {
            account_id: AccountId(row.try_get(0)?),
            username: row.try_get(1)?,
            display_name: row.try_get(2)?,
            role: row.try_get(3)?,
            joined_seq: unsigned(row, 4)?,
            joined_at_ms: row.try_get(5)?,
        })
    };
    rows.iter().map(member).collect()
}

pub async fn is_member(connection: &mut PgConnection, room: RoomId, account: AccountId) -> Result<bool> {
    let found = sqlx::query("SELECT 1 FROM memberships WHERE room_id = $1 AND account_id = $2")
        .bind(room.0)
        .bind(account.0)
        .fetch_optional(connection)
        .await?;
    Ok(found.is_some())
}

pub async fn roles(connection: &mut PgConnection, root: RoomId) -> Result<Vec<RoleRow>> {
    let rows =
        sqlx::query("SELECT role_id, name, rank, permissions FROM roles WHERE root_id = $1 ORDER BY role_id")
            .bind(root.0)
            .fetch_all(connection)
            .await?;
    let role = |row: &PgRow| {
        Ok(RoleRow {
            root_id: root,
            role_id: RoleId(row.try_get(0)?),
            name: row.try_get(1)?,
            definition: names::definition(row.try_get(2)?, row.try_get(3)?),
        })
    };
    rows.iter().map(role).collect()
}

pub async fn overrides(connection: &mut PgConnection, room: RoomId) -> Result<Vec<OverrideRow>> {
    let rows = sqlx::query(
        "SELECT role, root_id, allow_names, deny_names FROM role_overrides WHERE room_id = $1 ORDER BY role",
    )
    .bind(room.0)
    .fetch_all(connection)
    .await?;
    let set = |row: &PgRow| {
        Ok(OverrideRow {
            room_id: room,
            role: Role::of_event(row.try_get(0)?),
            root_id: RoomId(row.try_get(1)?),
            set: names::set(row.try_get(2)?, row.try_get(3)?),
        })
    };
    rows.iter().map(set).collect()
}

pub async fn way(connection: &mut PgConnection, room: RoomId, account: AccountId) -> Result<Option<Way>> {
    let rows = sqlx::query(way::STATEMENT).bind(room.0).bind(account.0).fetch_all(connection).await?;
    let mut assembly = way::Assembly::default();
    for row in &rows {
        assembly.add(way::Part {
            kind: row.try_get(0)?,
            id: row.try_get(1)?,
            role: row.try_get(2)?,
            rank: row.try_get(3)?,
            allow: row.try_get(4)?,
            deny: row.try_get(5)?,
        });
    }
    Ok(assembly.finish())
}

fn room_from_row(row: &PgRow) -> Result<RoomRow> {
    Ok(RoomRow {
        room_id: RoomId(row.try_get(0)?),
        root_id: RoomId(row.try_get(1)?),
        parent_id: row.try_get::<Option<Uuid>, _>(2)?.map(RoomId),
        kind: named(row, 3, names::kind)?,
        access: named(row, 4, names::access)?,
        history: named(row, 5, names::history)?,
        name: row.try_get(6)?,
        creator_id: AccountId(row.try_get(7)?),
        created_at_ms: row.try_get(8)?,
        last_seq: unsigned(row, 9)?,
        member_count: unsigned(row, 10)?,
    })
}

fn named<T>(row: &PgRow, column: usize, named: fn(&str) -> Option<T>) -> Result<T> {
    let name: &str = row.try_get(column)?;
    named(name).ok_or_else(|| sqlx::Error::Decode(format!("column {column} holds {name:?}").into()))
}

fn unsigned(row: &PgRow, column: usize) -> Result<u64> {
    row.try_get(column).map(i64::cast_unsigned)
}
