//! What the log holds: ids, events, and their Avro encoding.
//!
//! Every event type has its schemas in `avro/<event>/v<N>.avsc`, every version ever written.
//! Values are in Avro single-object encoding (the schema's fingerprint travels with them), so the
//! log reads without a registry.

pub mod codec;
pub mod event;
pub mod ids;
pub mod next_build;
pub mod record;
pub mod registry;

pub use codec::{CodecError, decode_event, encode_event};
pub use event::*;
pub use ids::{AccountId, IdKey, IdempotencyKey, MessageId, RoleId, RoomId, SessionId, Slot};
pub use record::CommandRecord;
pub use registry::{Announced, Registry};
