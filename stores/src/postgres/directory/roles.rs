//! Writing what a batch says of roles; each statement only where there is something to write.

use roomlog_schemas::RoleId;
use sqlx::{PgConnection, Result};
use uuid::Uuid;

use super::write::text;
use crate::directory::net::NetChanges;
use crate::directory::{OverrideRow, names};

pub async fn change(connection: &mut PgConnection, changes: &NetChanges) -> Result<()> {
    set_member_roles(connection, changes).await?;
    remove_roles(connection, changes).await?;
    put_roles(connection, changes).await?;
    let (taken_back, said): (Vec<_>, Vec<_>) = changes.overrides.values().partition(|row| row.set.is_empty());
    take_back(connection, &taken_back).await?;
    put_overrides(connection, &said).await
}

async fn set_member_roles(connection: &mut PgConnection, changes: &NetChanges) -> Result<()> {
    if changes.member_roles.is_empty() {
        return Ok(());
    }
    let (rooms, accounts): (Vec<Uuid>, Vec<Uuid>) =
        changes.member_roles.keys().map(|(room, account)| (room.0, account.0)).unzip();
    sqlx::query(
        "UPDATE memberships SET role = held.role
         FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS held (room_id, account_id, role)
         WHERE memberships.room_id = held.room_id AND memberships.account_id = held.account_id",
    )
    .bind(rooms)
    .bind(accounts)
    .bind(changes.member_roles.values().map(|role| text(role)).collect::<Vec<_>>())
    .execute(connection)
    .await
    .map(drop)
}

async fn remove_roles(connection: &mut PgConnection, changes: &NetChanges) -> Result<()> {
    if changes.removed_roles.is_empty() {
        return Ok(());
    }
    let roots = || changes.removed_roles.iter().map(|(root, _)| root.0).collect::<Vec<Uuid>>();
    let roles = || changes.removed_roles.iter().map(|(_, role)| *role);
    sqlx::query(
        "DELETE FROM role_overrides USING unnest($1::uuid[], $2::text[]) AS gone (root_id, role)
         WHERE role_overrides.root_id = gone.root_id AND role_overrides.role = gone.role",
    )
    .bind(roots())
    .bind(roles().map(|role: RoleId| role.to_string()).collect::<Vec<_>>())
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "DELETE FROM roles USING unnest($1::uuid[], $2::uuid[]) AS gone (root_id, role_id)
         WHERE roles.root_id = gone.root_id AND roles.role_id = gone.role_id",
    )
    .bind(roots())
    .bind(roles().map(|role| role.0).collect::<Vec<_>>())
    .execute(connection)
    .await
    .map(drop)
}

async fn put_roles(connection: &mut PgConnection, changes: &NetChanges) -> Result<()> {
    if changes.roles.is_empty() {
        return Ok(());
    }
    let roles = || changes.roles.values();
    sqlx::query(
        "INSERT INTO roles (root_id, role_id, name, rank, permissions)
         SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::text[])
         ON CONFLICT (root_id, role_id) DO UPDATE SET name = excluded.name, rank = excluded.rank,
           permissions = excluded.permissions",
    )
    .bind(roles().map(|role| role.root_id.0).collect::<Vec<_>>())
    .bind(roles().map(|role| role.role_id.0).collect::<Vec<_>>())
    .bind(roles().map(|role| text(&role.name)).collect::<Vec<_>>())
    .bind(roles().map(|role| i64::from(role.definition.rank)).collect::<Vec<_>>())
    .bind(roles().map(|role| names::permissions_text(role.definition.permissions)).collect::<Vec<_>>())
    .execute(connection)
    .await
    .map(drop)
}

async fn take_back(connection: &mut PgConnection, rows: &[&OverrideRow]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "DELETE FROM role_overrides USING unnest($1::uuid[], $2::text[]) AS gone (room_id, role)
         WHERE role_overrides.room_id = gone.room_id AND role_overrides.role = gone.role",
    )
    .bind(rows.iter().map(|row| row.room_id.0).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.role.to_string()).collect::<Vec<_>>())
    .execute(connection)
    .await
    .map(drop)
}

async fn put_overrides(connection: &mut PgConnection, rows: &[&OverrideRow]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO role_overrides (room_id, role, root_id, allow_names, deny_names)
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[])
         ON CONFLICT (room_id, role) DO UPDATE SET root_id = excluded.root_id,
           allow_names = excluded.allow_names, deny_names = excluded.deny_names",
    )
    .bind(rows.iter().map(|row| row.room_id.0).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.role.to_string()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.root_id.0).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| names::permissions_text(row.set.allow)).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| names::permissions_text(row.set.deny)).collect::<Vec<_>>())
    .execute(connection)
    .await
    .map(drop)
}
