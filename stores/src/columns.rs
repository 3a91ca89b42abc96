//! What the stores on SQL databases share: how values become columns.

use roomlog_eventlog::Cursor;

use crate::StoreError;

/// SQL's numbers are signed; what is beyond them is beyond every row.
pub(crate) fn to_i64(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A cursor as two columns and the rows beside them: without the schemas announced so far, which
/// are most of its bytes and hardly ever new.
pub(crate) struct StoredCursor {
    pub next_offset: i64,
    pub json: String,
    pub announced: Vec<String>,
}

impl StoredCursor {
    pub fn of(store: &'static str, mut cursor: Cursor) -> Result<Self, StoreError> {
        let announced = std::mem::take(&mut cursor.announced);
        let json = serde_json::to_string(&cursor)
            .map_err(|error| StoreError::Damaged { store, what: error.to_string() })?;
        Ok(Self { next_offset: to_i64(cursor.next_offset), json, announced })
    }

    pub fn cursor(store: &'static str, json: &str, announced: Vec<String>) -> Result<Cursor, StoreError> {
        let cursor: Cursor = serde_json::from_str(json)
            .map_err(|error| StoreError::Damaged { store, what: format!("a cursor: {error}") })?;
        Ok(Cursor { announced, ..cursor })
    }
}
