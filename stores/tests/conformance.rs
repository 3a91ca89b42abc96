//! The stores' conformance suites on every backend.

mod backends;

use backends::Sqlite;
use roomlog_stores::{
    directory_store_conformance, quarantine_store_conformance, room_store_conformance,
    secrets_store_conformance,
};

room_store_conformance!(sqlite_rooms, Some(Sqlite::new()));
directory_store_conformance!(sqlite_directory, Some(Sqlite::new()));
quarantine_store_conformance!(sqlite_quarantine, Some(Sqlite::new()));
secrets_store_conformance!(sqlite_secrets, Some(Sqlite::new()));
