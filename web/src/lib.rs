//! What the HTTP roles share: errors as problem+json, who is asking, positions, and how events and
//! messages look to a client.
//!
//! Errors: a handler returns [`Problem`].

pub mod auth;
pub mod caching;
pub mod commands;
pub mod described;
pub mod ended;
pub mod extract;
pub mod jwks;
pub mod limits;
pub mod position;
pub mod problem;
pub mod token;
pub mod view;

pub use auth::{Administrator, Auth, Authenticated, LoggedOutOrIn};
pub use ended::EndedSessions;
pub use extract::{Json, Path, Query};
pub use position::{MinPositions, Position};
pub use problem::Problem;
