//! The single writer of each partition.
//!
//! [`core`] has the rules and no I/O; [`driver`] connects it to the log and the clock. The
//! simulation runs the same core under faults.

pub mod checkpoints;
pub mod core;
pub mod driver;
mod encode;
pub mod ownership;
pub mod request;
pub mod share;
pub mod snapshots;
pub(crate) mod trace;
pub mod window;

#[cfg(test)]
pub mod mutation;
#[cfg(test)]
mod simulation;

pub use request::{Outcome, Request};
