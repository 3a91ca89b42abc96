//! What the platform tells about itself: traces across processes (W3C trace context, exported over
//! OTLP), and the table of its metrics.
//!
//! A trace begins with a request, or comes with it, and goes with the command's record through the
//! log: [`trace`] has what the roles need for that, [`export`] what the process needs once.
//! [`metrics`] reads docs/METRICS.md, so that document and `/metrics` say the same.

pub mod export;
pub mod metrics;
pub mod process;

pub mod trace;

pub use export::{Exporter, Options, Process};
pub use trace::{child_of, current_traceparent, is_on, parent_of, sampled, sampled_of};
