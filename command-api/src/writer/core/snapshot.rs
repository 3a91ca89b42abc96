//! What a writer may start from instead of reading its partition from the start.

use roomlog_domain::State;
use roomlog_eventlog::Cursor;
use serde::{Deserialize, Serialize};

use crate::writer::window::Window;

/// Everything that replay builds, as of one cursor. A start from it gives the same state as a start
/// from offset 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    pub cursor: Cursor,
    pub state: State,
    /// With the horizons of its accounts.
    pub window: Window,
}
