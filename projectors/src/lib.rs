//! Projections: what queries read, built from the log.
//!
//! ```text
//!   log partition ──► AcceptedReader ──► batch ──► rows + cursor, in one write ──► Progress
//!                                          │            │
//!                          log away: wait ─┘            └─ store away: the same batch again
//! ```
//!
//! * [`Projectors`] keeps every projection up to date, one task per projection and partition.
//! * [`list`] tells how far each is; [`rebuild`] builds one anew from offset 0 and swaps it in.
//! * [`retry`] has what is in quarantine applied after all.
//!
//! Nothing is dropped: what a projection cannot use goes to quarantine with the rest of its root room,
//! until it is retried in order. A record that cannot be read stops the projections in that partition,
//! in sight (log, metric, [`Handle`]), while the others go on.
//!
//! Errors: everything here returns [`Error`].

mod backoff;
mod batch;
mod charge;
mod directory;
mod error;
mod identity;
mod lag;
mod list;
mod pipeline;
mod projector;
mod quarantine;
mod rebuild;
mod retry;
mod room_events;
mod service;
mod status;
mod task;
mod trace;

#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use error::{Error, ProjectError};
pub use list::{Listing, list};
pub use projector::Stores;
pub use rebuild::{RebuildProgress, Rebuilt, rebuild};
pub use retry::{Retried, retry};
pub use service::{Options, Projectors};
pub use status::{Handle, PartitionStatus, State};
