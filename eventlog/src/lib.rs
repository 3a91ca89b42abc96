//! The event log: its port, the accept rule that every reader runs, and its backends.
//!
//! A log is a set of partitions of append-only records. Whether a record *counts* is not the
//! backend's business: every reader runs [`Chain::accept`] over the records of a partition, in
//! order, and gets the same answer (see `docs/adr/0002-hash-chain-is-the-fence.md`).
//!
//! Errors: a backend returns [`LogError`]; reading accepted records returns [`ReadError`].

pub mod broadcast;
pub mod chain;
pub mod chaos_mutation;
mod cold;
pub mod cursor;
pub mod follow;
pub mod frame;
pub mod kafka;
mod limit;
pub mod partition;
mod per_partition;
pub mod port;
pub mod reader;
pub mod sqlite;
mod tail;
pub mod trace;

#[cfg(any(test, feature = "testing"))]
pub mod conformance;
#[cfg(any(test, feature = "testing"))]
pub mod memory;

pub use broadcast::{Broadcast, BroadcastTopic, LocalBroadcast};
pub use chain::{Chain, Head, LogIdentity, SkipReason, Verdict};
pub use cursor::Cursor;
pub use follow::{Accepted, Command, Content, FollowError, Follower, Outcome};
pub use frame::{Claim, ClaimId, Frame, FrameError, Kind};
pub use kafka::{KafkaBroadcast, KafkaConfig, KafkaLog, KafkaSecurity};
pub use partition::{PartitionCounts, Topic, TopicPartition};
pub use port::{Appended, EventLog, LogError, LogReader, LogRecord, NewRecord};
pub use reader::{AcceptedReader, ReadError, discover_identity, ensure_identity, prove};
pub use sqlite::{ReadOnlySqliteLog, SqliteLog};
pub use trace::TraceContext;
