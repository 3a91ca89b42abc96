//! What a writer is asked, and how it answers.

use bytes::Bytes;
use roomlog_domain::{Answer, Command, Context, Rejection};
use roomlog_schemas::{AccountId, IdempotencyKey};

/// Milliseconds since 1970 by this process's clock.
pub type Millis = i64;

/// Names a request within one writer.
pub type RequestId = u64;

#[derive(Debug, Clone)]
pub struct Request {
    /// `None` for the platform itself.
    pub actor: Option<AccountId>,
    /// With the fingerprint of the command's body. The platform's own commands need none: they are
    /// repeatable by nature.
    pub key: Option<(IdempotencyKey, Bytes)>,
    pub command: Command,
    pub context: Context,
    /// Nothing is decided after it, and an answer is due by then.
    pub deadline: Millis,
    /// W3C trace context, for the record's header.
    pub traceparent: Option<String>,
}

/// Every request gets exactly one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// In the log, now or by an earlier attempt with the same key.
    Accepted { answer: Answer, offset: u64 },
    /// Nothing had to change, as of this offset.
    Unchanged { answer: Answer, offset: u64 },
    /// Decided against; not remembered.
    Rejected(Rejection),
    /// The key was used with another body.
    KeyReused,
    /// The key is too old, or from too far ahead, to know what became of it.
    KeyExpired,
    /// The events are larger than a record may be; nothing was written.
    TooLarge,
    /// Not decided in time, or not ready to decide; nothing was written.
    Unavailable,
    /// As many requests as may wait are waiting; nothing was written.
    Overloaded,
    /// Another process owns the partition, or soon will: to be asked there. This attempt wrote nothing
    /// that counts. Never an answer to a client.
    Moved,
    /// Written, but whether it counts was not known in time.
    Unknown,
}

impl Outcome {
    pub const fn name(&self) -> &'static str {
        match self {
            Outcome::Accepted { .. } => "accepted",
            Outcome::Unchanged { .. } => "unchanged",
            Outcome::Rejected(_) => "rejected",
            Outcome::KeyReused => "key_reused",
            Outcome::KeyExpired => "key_expired",
            Outcome::TooLarge => "too_large",
            Outcome::Unavailable => "unavailable",
            Outcome::Overloaded => "overloaded",
            Outcome::Moved => "moved",
            Outcome::Unknown => "unknown",
        }
    }
}
