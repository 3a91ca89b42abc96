//! Who else is there: heartbeats of the platform's processes on the topic `members`, and what each
//! process concludes from them. Everything here is a hint: what a wrong one costs is time, never
//! correctness.
//!
//! * [`Heartbeat`]: what a process says of itself, twice a second.
//! * [`Roster`]: who lives and who owns what, as far as one process has heard; no I/O.
//! * [`rendezvous`]: who comes first for a piece of work, the same for everyone who sees the same
//!   processes.
//! * [`Members`]: sends the own heartbeats and listens to all.

mod heartbeat;
pub mod rendezvous;
mod roster;
mod service;

pub use heartbeat::{Heartbeat, Owned, ProcessId, Role};
pub use roster::{Member, Millis, Named, Roster};
pub use service::{Handle, Members};

/// Between two heartbeats of a process.
pub const HEARTBEAT_MS: Millis = 500;
/// A process that has not been heard for this long is taken for dead, and a partition that nobody
/// has named for this long for ownerless.
pub const SILENCE_MS: Millis = 2_000;
