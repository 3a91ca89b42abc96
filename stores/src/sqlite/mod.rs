//! The stores on SQLite, for one process: two handles on the same folder, in one process or two,
//! are not meant to be.
//!
//! The projections (rooms, directory) run with `synchronous=NORMAL`: rows and cursor are one
//! transaction, so a power cut takes back the last batches as a whole, and the log gives them again.
//! A process that is killed loses nothing. The secrets can't be rebuilt: `synchronous=FULL`.

mod database;
mod directory;
mod generations;
mod pools;
mod projected;
mod rooms;
mod secrets;

pub use directory::SqliteDirectoryStore;
pub use rooms::SqliteRoomStore;
pub use secrets::SqliteSecretsStore;

use roomlog_eventlog::Cursor;

use crate::StoreError;

/// SQLite's numbers are signed; what is beyond them is beyond every row.
fn to_i64(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A cursor as two columns and the rows beside them: without the schemas announced so far, which
/// are most of its bytes and hardly ever new.
struct StoredCursor {
    next_offset: i64,
    json: String,
    announced: Vec<String>,
}

impl StoredCursor {
    fn of(store: &'static str, mut cursor: Cursor) -> Result<Self, StoreError> {
        let announced = std::mem::take(&mut cursor.announced);
        let json = serde_json::to_string(&cursor)
            .map_err(|error| StoreError::Damaged { store, what: error.to_string() })?;
        Ok(Self { next_offset: to_i64(cursor.next_offset), json, announced })
    }

    fn cursor(store: &'static str, json: &str, announced: Vec<String>) -> Result<Cursor, StoreError> {
        let cursor: Cursor = serde_json::from_str(json)
            .map_err(|error| StoreError::Damaged { store, what: format!("a cursor: {error}") })?;
        Ok(Cursor { announced, ..cursor })
    }
}
