//! For tests, also of other crates: valid logs, and stores to project them into.

mod log;
mod world;

use std::path::Path;
use std::sync::Arc;

use roomlog_stores::sqlite::{SqliteDirectoryStore, SqliteRoomStore, SqliteSecretsStore};
use roomlog_stores::{MasterKey, Sealer};

pub use log::TestLog;
pub use world::{TestRoom, World};

use crate::Stores;

/// Bytes of keys that a test keeps in memory.
const KEY_CACHE: usize = 1024 * 1024;

/// SQLite stores in a folder, opened or made.
pub async fn sqlite_stores(folder: &Path) -> Stores {
    let secrets = SqliteSecretsStore::open(folder).await.expect("the secrets store opens");
    let master = MasterKey::from_hex(&"07".repeat(32)).expect("64 hexadecimal digits");
    Stores {
        rooms: Arc::new(SqliteRoomStore::open(folder).await.expect("the room store opens")),
        directory: Arc::new(SqliteDirectoryStore::open(folder).await.expect("the directory opens")),
        sealer: Sealer::new(Arc::new(secrets), master, KEY_CACHE),
    }
}
