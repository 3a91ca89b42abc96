//! The body of a command record: one command with its 1..n events.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError};
use crate::ids::{AccountId, IdempotencyKey};
use crate::registry::Announced;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandRecord {
    /// Never goes back within a partition; milliseconds since 1970.
    pub record_time_ms: i64,
    /// The command's name, for people who read the log.
    pub command: String,
    /// `None` for the platform itself.
    pub actor: Option<AccountId>,
    pub key: Option<IdempotencyKey>,
    /// Of the command's body, keyed; present if and only if the key is.
    pub fingerprint: Option<Bytes>,
    /// Each in single-object encoding.
    pub events: Vec<Bytes>,
}

impl CommandRecord {
    pub const NAME: &'static str = "command_record";

    pub fn encode(&self) -> Result<Bytes, CodecError> {
        codec::encode_record(self)
    }

    pub fn decode(value: &[u8], announced: &Announced) -> Result<Self, CodecError> {
        codec::decode_record(value, announced)
    }
}
