//! Port of the quarantine: records that a projection could not use, and those of the same root room
//! after them, kept until they are retried in order.
//!
//! ```text
//!   offset   10   11   12   13   14   15          R: a record of the root room
//!            R    .    R!   .    R    .           R!: one that the projection cannot use
//!            │    │    │    │    │    │
//!   rows     x    x         x         x           the projection goes on …
//!   kept               12        14               … without the room, from the first failure on
//! ```
//!
//! What is kept is written before the projection's cursor moves past it. The other way round a crash
//! would lose it; this way a record may be kept that is stored as well, and applying it again changes
//! nothing.
//!
//! [`Quarantine`] is what a process knows of it: guards for readers, marks for projectors.

mod guard;
mod known;
mod statements;

use async_trait::async_trait;
use bytes::Bytes;
use roomlog_eventlog::{Topic, TopicPartition};
use roomlog_schemas::{AccountId, RoomId};
use serde::Serialize;
use uuid::Uuid;

use crate::StoreError;
use crate::progress::Projection;

pub use guard::root_of;
pub use known::{Known, Quarantine};
pub(crate) use statements::quarantine_statements;

/// What goes to quarantine as a whole: a root room with all its sub-rooms, or an account. The topic
/// of its partition says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Subject(pub Uuid);

impl Subject {
    pub const fn root(room: RoomId) -> Self {
        Self(room.0)
    }

    pub const fn account(account: AccountId) -> Self {
        Self(account.0)
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A projection, or the one that is being built beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scope {
    pub projection: Projection,
    pub is_beside: bool,
}

impl Scope {
    pub const fn current(projection: Projection) -> Self {
        Self { projection, is_beside: false }
    }

    pub const fn beside(projection: Projection) -> Self {
        Self { projection, is_beside: true }
    }
}

/// A record that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub subject: Subject,
    pub partition: TopicPartition,
    pub offset: u64,
    /// Milliseconds since 1970.
    pub record_time_ms: i64,
    /// The record's value as the log has it, frame included.
    pub record: Bytes,
    /// Why the projection could not use it; `None` if it is kept because of one before it.
    pub error: Option<String>,
    /// Rooms of the subject that the record makes: they may be in no store.
    pub rooms: Vec<RoomId>,
}

/// A subject in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Quarantined {
    pub projection: &'static str,
    pub subject: Subject,
    pub partition: TopicPartition,
    /// Records kept.
    pub records: u64,
    /// Of the first of them.
    pub first_offset: u64,
    /// Record time of the first of them, milliseconds since 1970.
    pub since_ms: i64,
    /// The first one there is.
    pub error: String,
    /// Somebody wants it to be retried, and nobody has begun.
    pub retry_requested: bool,
    /// Retries that met an error again.
    pub failed_retries: u64,
}

impl Quarantined {
    pub fn is_root_room(&self) -> bool {
        self.partition.topic == Topic::Rooms
    }
}

/// Every write is durable when it returns, and complete or without effect.
#[async_trait]
pub trait QuarantineStore: Send + Sync + 'static {
    /// Keeps records; one that is kept already stays as it is. An entry with an error puts its
    /// subject into quarantine. False, and nothing is kept, if an entry without one is of a subject
    /// that is in none: the caller knows less than the store.
    async fn put(&self, scope: Scope, entries: &[Entry]) -> Result<bool, StoreError>;

    async fn is_quarantined(&self, scope: Scope, subject: Subject) -> Result<bool, StoreError>;

    /// All that are in quarantine, by projection and subject.
    async fn list(&self) -> Result<Vec<Quarantined>, StoreError>;

    /// The subjects of a partition in quarantine, in their order.
    async fn subjects(&self, scope: Scope, partition: TopicPartition) -> Result<Vec<Subject>, StoreError>;

    /// The rooms that kept records make, with their subjects.
    async fn rooms(&self, scope: Scope) -> Result<Vec<(RoomId, Subject)>, StoreError>;

    /// The kept records of a subject from this offset on, by offset, at most `limit`.
    async fn entries(
        &self,
        scope: Scope,
        subject: Subject,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError>;

    /// Lets go of the records up to and including this offset: the projection holds them. True if
    /// none is left; then the quarantine of the subject is over.
    async fn remove(&self, scope: Scope, subject: Subject, through: u64) -> Result<bool, StoreError>;

    /// Marks one subject, or all, to be retried; how many that are.
    async fn request_retry(
        &self,
        projection: Projection,
        subject: Option<Subject>,
    ) -> Result<u64, StoreError>;

    /// Takes the mark away; true for the one that did, who then retries: out of two at the same time
    /// one could undo what the other did after it.
    async fn take_retry(&self, projection: Projection, subject: Subject) -> Result<bool, StoreError>;

    /// The retry met this error at this offset.
    async fn retry_failed(
        &self,
        scope: Scope,
        subject: Subject,
        offset: u64,
        error: &str,
    ) -> Result<(), StoreError>;

    /// Empties the quarantine of the projection that is being built beside.
    async fn begin_beside(&self, projection: Projection) -> Result<(), StoreError>;

    /// Before the projection beside replaces the current one: what it lacks is lacking now too.
    async fn begin_promote(&self, projection: Projection) -> Result<(), StoreError>;

    /// After that: only what the new one lacks is lacking any more.
    async fn finish_promote(&self, projection: Projection) -> Result<(), StoreError>;
}
