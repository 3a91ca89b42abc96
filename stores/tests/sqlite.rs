//! What is SQLite's own about these stores: its version, its files, and what is wrong with them.

// Clippy knows the tests themselves, not what they share.
#![allow(clippy::unwrap_used)]

mod backends;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backends::Sqlite;
use roomlog_schemas::{AccountId, RoomId, SessionId};
use roomlog_stores::conformance::Backend;
use roomlog_stores::secrets::{Rotation, Session};
use roomlog_stores::sqlite::{SqliteDirectoryStore, SqliteRoomStore, SqliteSecretsStore};
use roomlog_stores::{DirectoryStore, MasterKey, RoomStore, Sealer, SecretsStore, StoreError};
use rusqlite::Connection;
use sqlx::Connection as _;

/// Older ones can lose a committed write when a checkpoint races a writer.
const OLDEST: (u32, u32, u32) = (3, 51, 3);

fn version(text: &str) -> (u32, u32, u32) {
    let mut numbers = text.split('.').map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap(), numbers.next().unwrap())
}

#[tokio::test]
async fn both_clients_run_a_sqlite_without_the_checkpoint_race() {
    assert!(version(rusqlite::version()) >= OLDEST, "rusqlite has {}", rusqlite::version());
    let mut connection = sqlx::SqliteConnection::connect("sqlite::memory:").await.unwrap();
    let through_sqlx: String =
        sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut connection).await.unwrap();
    assert!(version(&through_sqlx) >= OLDEST, "sqlx has {through_sqlx}");
}

fn files(folder: &Path, beginning: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with(beginning));
    files.sort();
    files
}

#[tokio::test]
async fn files_of_the_secrets_are_their_owners_only() {
    let backend = Sqlite::new();
    let path = backend.0.path().join("secrets.db");
    for _ in 0..2 {
        let store = SqliteSecretsStore::open(backend.0.path()).await.unwrap();
        store.platform_key("x", b"y").await.unwrap();
        let files = files(backend.0.path(), "secrets");
        assert_eq!(files.len(), 3, "the database and SQLite's two files: {files:?}");
        for file in files {
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
        }
        drop(store);
        // Somebody was careless; the next start puts it right.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }
}

#[tokio::test]
async fn no_plain_key_reaches_the_disk() {
    let backend = Sqlite::new();
    let store: Arc<dyn SecretsStore> = backend.open().await;
    let sealer = Sealer::new(store, MasterKey::from_hex(&"07".repeat(32)).unwrap(), 1 << 20);
    let key = sealer.platform_key("x").await.unwrap();
    for file in files(backend.0.path(), "secrets") {
        let bytes = fs::read(&file).unwrap();
        assert!(!bytes.windows(8).any(|window| key.windows(8).any(|part| part == window)), "{file:?}");
    }
}

#[tokio::test]
async fn a_refused_token_is_forgotten_with_its_session() {
    let backend = Sqlite::new();
    let store = SqliteSecretsStore::open(backend.0.path()).await.unwrap();
    for n in 0..50 {
        let session = Session {
            session_id: SessionId::from_u128(n),
            account_id: AccountId::from_u128(1),
            refresh_hash: [n as u8; 32],
            created_at_ms: 0,
            expires_at_ms: if n < 40 { 10 } else { 1_000 },
        };
        store.create_session(&session).await.unwrap();
    }
    let rotation = store.rotate_session(&[45; 32], &[99; 32], 1, 1_000).await.unwrap();
    assert!(matches!(rotation, Rotation::Rotated(_)));
    assert_eq!(store.remove_expired_sessions(10, 25).await.unwrap(), 25);
    assert_eq!(store.remove_expired_sessions(10, 25).await.unwrap(), 15);
    assert_eq!(store.remove_expired_sessions(10, 25).await.unwrap(), 0);
    let database = Connection::open(backend.0.path().join("secrets.db")).unwrap();
    let rows = |table: &str| {
        database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!((rows("session"), rows("refresh_token")), (10, 11));
}

/// The one file of this name that counts.
fn database(folder: &Path, projection: &str) -> PathBuf {
    let mut databases = files(folder, projection);
    databases.retain(|path| path.extension().is_some_and(|extension| extension == "db"));
    assert_eq!(databases.len(), 1, "{databases:?}");
    databases.remove(0)
}

#[tokio::test]
async fn a_replaced_database_leaves_no_file() {
    let backend = Sqlite::new();
    let rooms: Arc<dyn RoomStore> = backend.open().await;
    let first = database(backend.0.path(), "room_events");
    rooms.beside().await.unwrap();
    assert_eq!(files(backend.0.path(), "room_events").len(), 6, "two databases with SQLite's two files");
    rooms.promote().await.unwrap();
    assert_ne!(database(backend.0.path(), "room_events"), first);
    rooms.seq_range(RoomId::from_u128(1)).await.unwrap();
}

#[tokio::test]
async fn a_store_of_a_newer_build_is_refused() {
    let backend = Sqlite::new();
    let folder = backend.0.path();
    drop(SqliteRoomStore::open(folder).await.unwrap());
    drop(SqliteDirectoryStore::open(folder).await.unwrap());
    drop(SqliteSecretsStore::open(folder).await.unwrap());
    Connection::open(database(folder, "room_events"))
        .unwrap()
        .execute_batch("PRAGMA user_version = 9")
        .unwrap();
    for path in [database(folder, "directory"), folder.join("secrets.db")] {
        let sql = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                   VALUES (9, 'later', TRUE, x'00', 1)";
        Connection::open(path).unwrap().execute(sql, []).unwrap();
    }
    let refused = [
        SqliteRoomStore::open(folder).await.err(),
        SqliteDirectoryStore::open(folder).await.err(),
        SqliteSecretsStore::open(folder).await.err(),
    ];
    for error in refused {
        assert!(matches!(error, Some(StoreError::NewerVersion { found: 9, known: 1..9, .. })), "{error:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_damaged() {
    let backend = Sqlite::new();
    let folder = backend.0.path();
    for name in ["room_events.v1.1.db", "directory.v1.1.db", "secrets.db"] {
        fs::write(folder.join(name), "not a database at all, but long enough to be one. ".repeat(100))
            .unwrap();
    }
    let refused = [
        SqliteRoomStore::open(folder).await.err(),
        SqliteDirectoryStore::open(folder).await.err(),
        SqliteSecretsStore::open(folder).await.err(),
    ];
    for error in refused {
        assert!(matches!(error, Some(StoreError::Damaged { .. })), "{error:?}");
    }
}

#[tokio::test]
async fn tables_that_are_not_there_are_damage() {
    let backend = Sqlite::new();
    let folder = backend.0.path();
    let rooms: Arc<dyn RoomStore> = backend.open().await;
    let directory: Arc<dyn DirectoryStore> = backend.open().await;
    for (projection, table) in [("room_events", "room_events"), ("directory", "rooms")] {
        let database = Connection::open(database(folder, projection)).unwrap();
        database.execute(&format!("DROP TABLE {table}"), []).unwrap();
    }
    let refused =
        [rooms.seq_range(RoomId::from_u128(1)).await.err(), directory.room(RoomId::from_u128(1)).await.err()];
    for error in refused {
        assert!(matches!(error, Some(StoreError::Damaged { .. })), "{error:?}");
    }
}
