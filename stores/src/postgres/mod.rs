//! The directory, the quarantine and the secrets on PostgreSQL 15 or newer, for any number of processes at once: all
//! of them read and write the same rows, nothing is kept in memory between calls.
//!
//! Each store has a schema and a pool of connections of its own, so the secrets can lie in another
//! database and be backed up apart. Both commit with `synchronous_commit=on`: a write has reached the
//! server's disk when it returns (with synchronous replication the standby's too). The directory needs
//! that as well, though the log could give its rows again: a server that forgets a batch in a crash
//! would move the cursor back under projectors that are still running.
//!
//! Errors: a lost connection, a restart, a fail-over, a deadlock or a timeout is `Unavailable`; a wrong
//! password, a missing right or a certificate that is not trusted is `Refused`; values that no row can
//! hold are `RowsRefused`; tables that are not as they should be are `Damaged`. See `error.rs`.
//!
//! Settings of the session (`search_path`, timeouts) go with the start of a connection, and statements
//! are prepared: a pooler in front of the server has to keep a session for each connection
//! (PgBouncer: `pool_mode=session`).

mod config;
mod database;
mod directory;
mod error;
mod maintenance;
mod quarantine;
mod secrets;

pub use config::{
    ACQUIRE_TIMEOUT, DIRECTORY_SCHEMA, MAX_CONNECTIONS, PostgresConfig, QUARANTINE_SCHEMA, SECRETS_SCHEMA,
    STATEMENT_TIMEOUT, TlsMode,
};
pub use directory::PostgresDirectoryStore;
pub use quarantine::PostgresQuarantineStore;
pub use secrets::PostgresSecretsStore;
