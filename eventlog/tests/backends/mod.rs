//! The backends as the conformance suite needs them.

// Each test binary uses some of it.
#![allow(dead_code)]

pub mod kafka;
pub mod memory;
pub mod sqlite;
