//! The stores on SQLite.

mod database;
mod directory;
mod directory_changes;
mod generations;
mod pools;
mod pool;
mod rooms;
mod secrets;

pub use directory::SqliteDirectoryStore;
pub use rooms::SqliteRoomStore;
pub use secrets::SqliteSecretsStore;
