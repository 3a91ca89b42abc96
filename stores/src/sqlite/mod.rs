//! The stores on SQLite, for one process: two handles on the same folder, in one process or two,
//! are not meant to be.
//!
//! The projections (rooms, directory) run with `synchronous=NORMAL`: rows and cursor are one
//! transaction, so a power cut takes back the last batches as a whole, and the log gives them again.
//! A process that is killed loses nothing. The secrets can't be rebuilt, and what is in quarantine must
//! be kept before a projection goes on: `synchronous=FULL`.

mod database;
mod directory;
mod generations;
mod pools;
mod projected;
mod quarantine;
mod rooms;
mod secrets;

pub use directory::SqliteDirectoryStore;
pub use quarantine::SqliteQuarantineStore;
pub use rooms::SqliteRoomStore;
pub use secrets::SqliteSecretsStore;

use crate::columns::{StoredCursor, to_i64};

/// Primary result codes that trying again does not change: an error in a statement, such as a table
/// that is not there; a damaged file; a constraint; a value of another type; no database.
const FATAL: [i32; 5] = [1, 11, 19, 20, 26];

/// Those of them, and one more, that say that the rows are at fault: too big, against a constraint, of
/// another type.
const REFUSALS: [i32; 3] = [18, 19, 20];

fn is_refusal(code: i32) -> bool {
    REFUSALS.contains(&(code & 0xff))
}

/// An extended code has the primary one in its low byte.
fn is_fatal(code: i32) -> bool {
    FATAL.contains(&(code & 0xff))
}
