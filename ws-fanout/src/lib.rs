//! The live stream, `GET /v1/stream`: events of rooms to sockets, each once and in order.
//!
//! ```text
//!   log partition ──► tail ──► room ──► queue of each live socket ──► socket
//!                               │ ring                                  ▲
//!                               └──────────► catch-up ──────────────────┘
//!   room store ──────────────────────────────┘
//! ```
//!
//! * A [`tail`] follows a partition of the log from the cursor of the projection `room_events`: what
//!   lies before it is in the room store, what comes after goes through the tail. It runs while a
//!   socket needs it, or always. What an account joins where none runs is heard of by [`joining`].
//! * A [`room`] holds the newest events (its ring) and the sockets attached to it. An event is
//!   encoded once, and the same bytes go to every socket.
//! * A [`socket`] has, for each room, the next seq that it has to send. It is *live* when the tail
//!   hands it events, and *behind* while it reads them itself, from ring or store. Every seq goes
//!   out once, because only the next one ever does.
//!
//! The protocol is described in `docs/asyncapi.yaml`.
//!
//! Errors: before the upgrade a [`Problem`](roomlog_web::Problem), on the socket a frame `error` and
//! a [`CloseReason`].

mod accounts;
mod backoff;
mod catch_up;
mod close;
mod compression;
mod encode;
mod frame;
mod handle;
mod hub;
mod joining;
mod opening;
mod options;
mod origin;
mod partition;
pub mod protocol;
mod queue;
mod ring;
mod room;
mod service;
mod sight;
mod socket;
mod stored;
mod tail;
mod telemetry;
mod trace;
mod upgrade;

pub use close::CloseReason;
pub use handle::{Handle, PartitionStatus, State};
pub use options::Options;
pub use service::{Fanout, FanoutDeps};
