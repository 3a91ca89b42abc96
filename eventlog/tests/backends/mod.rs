//! The backends as the conformance suite needs them.

pub mod memory;
pub mod sqlite;
