//! The stores on SQLite, for one process.

mod directory;
mod rooms;
mod secrets;

pub use directory::SqliteDirectoryStore;
pub use rooms::SqliteRoomStore;
pub use secrets::SqliteSecretsStore;
