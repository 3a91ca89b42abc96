//! The stores' ports, their implementations, and sealing.
//!
//! * [`RoomStore`]: history, for resume and pages (projection `room_events`).
//! * [`DirectoryStore`]: rooms, memberships and accounts, for lists (projection `directory`).
//! * [`QuarantineStore`]: records that a projection could not use, until they are retried.
//! * [`SecretsStore`]: what must never be in the log: password hashes, keys, refresh tokens.
//!
//! [`sqlite`] has all of them for one process; [`postgres`] has the directory and the secrets for many.
//! Every implementation of a port passes that port's suite in `conformance`.
//! Errors: everything here returns [`StoreError`].

mod columns;
pub mod cql;
pub mod directory;
pub mod error;
mod migrations;
pub mod objects;
pub mod postgres;
pub mod progress;
pub mod quarantine;
pub mod rooms;
pub mod sealing;
pub mod secrets;
pub mod signal;
pub mod sqlite;

#[cfg(any(test, feature = "testing"))]
pub mod conformance;

pub use directory::DirectoryStore;
pub use error::StoreError;
pub use quarantine::QuarantineStore;
pub use rooms::RoomStore;
pub use sealing::{MasterKey, SealError, Sealer};
pub use secrets::SecretsStore;
