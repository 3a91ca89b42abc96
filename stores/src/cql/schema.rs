//! The keyspace, its fixed tables, and how they change.
//!
//! Fixed are `migrations` (what was done to the keyspace), `locks` (leases of those who change the
//! schema) and `generations` (see there). The rows themselves lie in tables of a generation each,
//! which are made when a generation begins.
//!
//! Several processes may open the store at once, also where there is nothing yet. Whatever changes the
//! schema happens under a lease, a row with a time to live put by a lightweight transaction, and is
//! `IF NOT EXISTS`: a holder that was paused past its lease does no harm. Only keyspace and the tables
//! that a lease needs are made without. Nodes of Cassandra that make a table at the same time give it
//! an id each, and then disagree; so those tables have ids that follow from their names, and made twice
//! they are the same.
//!
//! A change of the schema is one more entry in [`MIGRATIONS`]. It expands before it contracts: a
//! build adds tables and columns that the build before does not miss, and a later one, when no
//! process of the older build lives any more, takes away what is no longer read. A keyspace that was
//! changed by a newer build is refused ([`StoreError::NewerVersion`]). An entry that adds a column to
//! the tables of generations has to add it to those that exist, which `generations` lists. Where rows
//! themselves would differ, [`VERSION`] is raised instead: a new version has generations of its own.
//!
//! The store needs lightweight transactions. Where the server does not offer them on tablets, make
//! the keyspace yourself beforehand, with tablets off.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::connection::Connection;
use super::error::unavailable;
use super::{STORE, tables};
use crate::StoreError;
use crate::rooms::VERSION;

/// What changed the keyspace, oldest first; entry n makes version n + 1.
const MIGRATIONS: &[(&str, &[&str])] = &[(
    "generations",
    &["CREATE TABLE IF NOT EXISTS {keyspace}.generations (
        projection text, generation bigint, current bigint static, last bigint static,
        bucket int, state text, since_ms bigint, PRIMARY KEY (projection, generation))"],
)];

const BOOTSTRAP: &[(&str, &str)] = &[
    (
        "migrations",
        "CREATE TABLE IF NOT EXISTS {keyspace}.migrations (
            store text, version int, what text, PRIMARY KEY (store, version))",
    ),
    ("locks", "CREATE TABLE IF NOT EXISTS {keyspace}.locks (name text PRIMARY KEY, holder uuid)"),
];

/// Longer than all that is done under a lease takes.
const LEASE_SECONDS: i32 = 60;
const TABLE_PATIENCE: Duration = Duration::from_secs(10);
const LEASE_PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(50);

/// Makes the keyspace, or brings it up to what this build knows.
///
/// While others do the same, Cassandra fails with errors of its own ("unknown CF") wherever it has heard of
/// a table by half. Every step may be repeated, so all of them are.
pub(super) async fn prepare(connection: &Connection, replication: &str) -> Result<(), StoreError> {
    let deadline = Instant::now() + TABLE_PATIENCE;
    loop {
        match prepare_once(connection, replication).await {
            Err(error @ StoreError::Unavailable { .. }) if Instant::now() < deadline => {
                tracing::info!(
                    error = &error as &dyn std::error::Error,
                    "the room store's tables cannot be prepared yet"
                );
                tokio::time::sleep(POLL).await;
            }
            prepared => return prepared,
        }
    }
}

async fn prepare_once(connection: &Connection, replication: &str) -> Result<(), StoreError> {
    let keyspace = &connection.config.keyspace;
    let find = connection
        .prepare("SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?")
        .await?;
    // Not asked for where it exists: who may use a keyspace need not be able to make one.
    if connection.row::<(String,)>(&find, (keyspace,)).await?.is_none() {
        let cql = format!("CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {replication}");
        connection.define(&cql).await?;
    }
    let find =
        connection.prepare("SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?").await?;
    let tables = connection.rows::<(String,)>(&find, (keyspace,)).await?;
    for (name, cql) in BOOTSTRAP {
        if !tables.iter().any(|(table,)| table == name) {
            let cql = cql.replace("{keyspace}", keyspace);
            define_first(connection, &format!("{cql} WITH ID = '{}'", table_id(keyspace, name))).await?;
        }
        await_table(connection, name).await?;
    }
    if version(connection).await? < MIGRATIONS.len() {
        let lease = Lease::acquire(connection).await?;
        let migrated = migrate(connection).await;
        lease.release().await;
        migrated?;
    }
    connection.refresh().await
}

/// The keyspace may have been made by another process just now, at another node: then this one refuses,
/// until it has heard of it.
async fn define_first(connection: &Connection, cql: &str) -> Result<(), StoreError> {
    let deadline = Instant::now() + TABLE_PATIENCE;
    loop {
        match connection.define(cql).await {
            Err(StoreError::Refused { .. }) if Instant::now() < deadline => {
                tokio::time::sleep(POLL).await;
            }
            defined => return defined,
        }
    }
}

/// The same in every process.
fn table_id(keyspace: &str, table: &str) -> Uuid {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&blake3::hash(format!("{keyspace}.{table}").as_bytes()).as_bytes()[..16]);
    Uuid::new_v8(bytes)
}

/// Cassandra lists a table that somebody else makes a moment before it can be used.
async fn await_table(connection: &Connection, name: &str) -> Result<(), StoreError> {
    let cql = format!("SELECT * FROM {}.{name} LIMIT 1", connection.config.keyspace);
    let deadline = Instant::now() + TABLE_PATIENCE;
    loop {
        match connection.prepare(&cql).await {
            Err(StoreError::Refused { .. }) if Instant::now() < deadline => {
                tokio::time::sleep(POLL).await;
            }
            prepared => return prepared.map(drop),
        }
    }
}

/// The keyspace's version, which is one that this build knows.
async fn version(connection: &Connection) -> Result<usize, StoreError> {
    let keyspace = &connection.config.keyspace;
    let cql = format!("SELECT version FROM {keyspace}.migrations WHERE store = ?");
    let versions = connection.rows::<(i32,)>(&connection.prepare(&cql).await?, (STORE,)).await?;
    let found = versions.into_iter().map(|(version,)| version).max().unwrap_or(0);
    let known = MIGRATIONS.len();
    if found as usize > known {
        return Err(StoreError::NewerVersion { store: STORE, found: found.into(), known: known as i64 });
    }
    Ok(found as usize)
}

async fn migrate(connection: &Connection) -> Result<(), StoreError> {
    let keyspace = &connection.config.keyspace;
    let cql =
        format!("INSERT INTO {keyspace}.migrations (store, version, what) VALUES (?, ?, ?) IF NOT EXISTS");
    let done = connection.prepare_conditional(&cql).await?;
    // Again, for somebody else may have been first.
    for (n, (what, statements)) in MIGRATIONS.iter().enumerate().skip(version(connection).await?) {
        for cql in *statements {
            connection.define(&cql.replace("{keyspace}", keyspace)).await?;
        }
        connection.is_applied(&done, (STORE, n as i32 + 1, what)).await?;
        tracing::info!(keyspace, version = n + 1, what, "the keyspace was brought up to date");
    }
    Ok(())
}

/// The tables of a generation.
pub(super) async fn create_tables(connection: &Connection, generation: i64) -> Result<(), StoreError> {
    for (table, columns) in tables::TABLES {
        let table = tables::name(connection, table, generation);
        connection.define(&format!("CREATE TABLE IF NOT EXISTS {table} ({columns})")).await?;
    }
    Ok(())
}

pub(super) async fn drop_tables(connection: &Connection, generation: i64) -> Result<(), StoreError> {
    for (table, _) in tables::TABLES {
        let table = tables::name(connection, table, generation);
        connection.define(&format!("DROP TABLE IF EXISTS {table}")).await?;
    }
    Ok(())
}

/// The right to change the schema, for a time. Who drops it without `release` keeps others waiting
/// until it ends.
pub(super) struct Lease<'a> {
    connection: &'a Connection,
    name: String,
    holder: Uuid,
}

impl<'a> Lease<'a> {
    pub async fn acquire(connection: &'a Connection) -> Result<Self, StoreError> {
        let keyspace = &connection.config.keyspace;
        let lease = Self { connection, name: format!("{STORE}.v{VERSION}"), holder: random() };
        let cql = format!(
            "INSERT INTO {keyspace}.locks (name, holder) VALUES (?, ?) IF NOT EXISTS USING TTL {LEASE_SECONDS}"
        );
        let (insert, deadline) =
            (connection.prepare_conditional(&cql).await?, Instant::now() + LEASE_PATIENCE);
        loop {
            if connection.is_applied(&insert, (&lease.name, lease.holder)).await? {
                return Ok(lease);
            }
            if Instant::now() >= deadline {
                return Err(unavailable("another process is changing the schema"));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    pub async fn release(self) {
        let cql =
            format!("DELETE FROM {}.locks WHERE name = ? IF holder = ?", self.connection.config.keyspace);
        let released = async {
            let delete = self.connection.prepare_conditional(&cql).await?;
            self.connection.is_applied(&delete, (&self.name, self.holder)).await
        };
        if let Err(error) = released.await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "a lease on the schema ends only with its time");
        }
    }
}

fn random() -> Uuid {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system gives random numbers");
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}
