//! What one batch changes in the directory's rows.

use std::collections::BTreeMap;

use roomlog_schemas::RoomId;
use roomlog_schemas::event::Seq;
use sqlx::SqliteConnection;

use crate::directory::{AccountRow, DirectoryChange, RoomRow};

/// In the order of the log; a room's last seq is written once, whatever number of events reached it.
pub async fn apply(connection: &mut SqliteConnection, changes: &[DirectoryChange]) -> sqlx::Result<()> {
    let mut last_seqs: BTreeMap<RoomId, Seq> = BTreeMap::new();
    for change in changes {
        match change {
            DirectoryChange::Account(row) => insert_account(connection, row).await?,
            DirectoryChange::AccountClaimed { account_id, username } => {
                sqlx::query("UPDATE accounts SET username = ?2 WHERE account_id = ?1")
                    .bind(account_id.0.as_bytes().as_slice())
                    .bind(username)
                    .execute(&mut *connection)
                    .await?;
            }
            DirectoryChange::Room(row) => insert_room(connection, row).await?,
            DirectoryChange::Joined { room_id, account_id, role, seq, at_ms } => {
                let inserted = sqlx::query(
                    "INSERT INTO memberships (room_id, account_id, role, joined_seq, joined_at_ms)
                     VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (room_id, account_id) DO NOTHING",
                )
                .bind(room_id.0.as_bytes().as_slice())
                .bind(account_id.0.as_bytes().as_slice())
                .bind(role)
                .bind(*seq as i64)
                .bind(at_ms)
                .execute(&mut *connection)
                .await?;
                count_members(connection, *room_id, inserted.rows_affected() as i64).await?;
            }
            DirectoryChange::Left { room_id, account_id } => {
                let removed = sqlx::query("DELETE FROM memberships WHERE room_id = ?1 AND account_id = ?2")
                    .bind(room_id.0.as_bytes().as_slice())
                    .bind(account_id.0.as_bytes().as_slice())
                    .execute(&mut *connection)
                    .await?;
                count_members(connection, *room_id, -(removed.rows_affected() as i64)).await?;
            }
            DirectoryChange::LastSeq { room_id, seq } => {
                last_seqs.insert(*room_id, *seq);
            }
        }
    }
    for (room_id, seq) in last_seqs {
        sqlx::query("UPDATE rooms SET last_seq = ?2 WHERE room_id = ?1")
            .bind(room_id.0.as_bytes().as_slice())
            .bind(seq as i64)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn count_members(connection: &mut SqliteConnection, room: RoomId, change: i64) -> sqlx::Result<()> {
    if change != 0 {
        sqlx::query("UPDATE rooms SET member_count = member_count + ?2 WHERE room_id = ?1")
            .bind(room.0.as_bytes().as_slice())
            .bind(change)
            .execute(connection)
            .await?;
    }
    Ok(())
}

async fn insert_account(connection: &mut SqliteConnection, row: &AccountRow) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO accounts (account_id, username, display_name, source, registered_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (account_id) DO NOTHING",
    )
    .bind(row.account_id.0.as_bytes().as_slice())
    .bind(&row.username)
    .bind(&row.display_name)
    .bind(&row.source)
    .bind(row.registered_at_ms)
    .execute(connection)
    .await
    .map(drop)
}

async fn insert_room(connection: &mut SqliteConnection, row: &RoomRow) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO rooms (room_id, root_id, parent_id, kind, access, history, name, creator_id, created_at_ms,
                            last_seq, member_count)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT (room_id) DO NOTHING",
    )
    .bind(row.room_id.0.as_bytes().as_slice())
    .bind(row.root_id.0.as_bytes().as_slice())
    .bind(row.parent_id.map(|id| id.0.as_bytes().to_vec()))
    .bind(word(&row.kind))
    .bind(word(&row.access))
    .bind(word(&row.history))
    .bind(&row.name)
    .bind(row.creator_id.0.as_bytes().as_slice())
    .bind(row.created_at_ms)
    .bind(row.last_seq as i64)
    .bind(row.member_count as i64)
    .execute(connection)
    .await
    .map(drop)
}

/// The name of an enumeration's value, as its JSON has it.
fn word(value: &impl serde::Serialize) -> Option<String> {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned))
}
