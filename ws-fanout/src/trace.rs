//! The way of an event to its sockets, in a sampled trace.

use roomlog_telemetry as telemetry;
use tracing::Span;

use crate::ring::Entry;

/// Of the sockets that get an event, so many have a span of their own: a room may have thousands.
const MOST_WRITES: usize = 8;

/// Spans `write` below the current one, `deliver`: from the queue of a socket until the frame has been
/// written to the network.
pub(crate) struct Writes {
    left: usize,
}

impl Writes {
    pub fn of(entry: &Entry, sockets: usize) -> Self {
        if telemetry::sampled().is_none() {
            return Self { left: 0 };
        }
        let deliver = Span::current();
        deliver.record("room", tracing::field::display(entry.room));
        deliver.record("seq", entry.seq);
        deliver.record("sockets", sockets);
        Self { left: MOST_WRITES }
    }

    pub fn next(&mut self) -> Option<Span> {
        self.left = self.left.checked_sub(1)?;
        Some(tracing::info_span!("write"))
    }
}
