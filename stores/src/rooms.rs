//! Port of the room store: immutable events of each room's timeline, the messages derived from
//! them, and who was a member when.

use async_trait::async_trait;
use bytes::Bytes;
use roomlog_domain::visibility::{HistoryRule, Interval, Visibility};
use roomlog_eventlog::{Cursor, TopicPartition};
use roomlog_schemas::event::Seq;
use roomlog_schemas::{AccountId, MessageId, RoomId};
use std::sync::Arc;

use crate::StoreError;

/// Name of the projection that fills this store.
pub const PROJECTION: &str = "room_events";
/// Raised when a rebuild would give other rows.
pub const VERSION: u32 = 1;

/// One event of a room's timeline, as the log holds it: content is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    pub room_id: RoomId,
    pub seq: Seq,
    /// Offset of its record in the room's partition.
    pub offset: u64,
    pub record_time_ms: i64,
    /// Avro single-object encoding.
    pub event: Bytes,
}

/// The latest version of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    pub room_id: RoomId,
    pub seq: Seq,
    pub message_id: MessageId,
    pub author_id: AccountId,
    /// Sealed under the author's and the room's keys.
    pub text: Bytes,
    pub reply_to: Option<MessageId>,
    /// The original time of an imported message, else record time; milliseconds since 1970.
    pub sent_at_ms: i64,
    /// The id that an imported message had in its source.
    pub source_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MembershipChange {
    Joined {
        room_id: RoomId,
        account_id: AccountId,
        seq: Seq,
    },
    /// `seq` is the event of leaving, the last that the account may see.
    Left {
        room_id: RoomId,
        account_id: AccountId,
        seq: Seq,
    },
}

/// What one batch of records adds. Applying a batch again changes nothing.
#[derive(Debug, Clone)]
pub struct RoomBatch {
    /// The offset that the stored cursor must be at (0 without one).
    pub expected_offset: u64,
    /// Where the projection stands after the batch.
    pub cursor: Cursor,
    pub events: Vec<StoredEvent>,
    pub messages: Vec<StoredMessage>,
    pub memberships: Vec<MembershipChange>,
    /// The history rule from a seq on.
    pub histories: Vec<(RoomId, HistoryRule)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// The newest messages.
    Latest,
    /// The newest messages with a seq below this one.
    Before(Seq),
    /// The oldest messages with a seq above this one.
    After(Seq),
}

/// Reads see every batch whose `apply` has returned, and everything that the cursor covers.
///
/// Before `apply` has returned they may see part of the batch. Of each room, at any moment:
///
/// * the timeline ([`seq_range`](Self::seq_range), [`events`](Self::events)) has no hole that the log
///   does not have, and never gets shorter;
/// * what its events brought (messages, memberships, history rules) is there no later than they are,
///   and may be there earlier: so who reads the end of a timeline first and then, up to there, the
///   rest, reads nothing that lacks something.
///
/// One room may be ahead of another one. A store with transactions shows batches whole.
#[async_trait]
pub trait RoomStore: Send + Sync + 'static {
    /// Where the projection stands in a partition; `None` before its first batch.
    async fn cursor(&self, partition: TopicPartition) -> Result<Option<Cursor>, StoreError>;

    /// Stores rows and cursor, for good when it returns. Fails with `CursorMoved` if the stored cursor
    /// is not at `expected_offset`, and then without effect. After another error, or if it was cut
    /// short, it may be called again, with the same records in a batch of any size.
    ///
    /// Of two processes that apply the same records at the same time both may succeed where the store
    /// has no transactions: the rows are the same, the cursor never goes back, and the one that is
    /// behind fails at its next batch. `CursorMoved` also tells a projector that the store was
    /// replaced ([`promote`](Self::promote)) and that it has to begin again at the stored cursor.
    async fn apply(&self, batch: RoomBatch) -> Result<(), StoreError>;

    /// Events with seq ≥ `from` in rising seq, at most `limit`.
    async fn events(&self, room: RoomId, from: Seq, limit: usize) -> Result<Vec<StoredEvent>, StoreError>;

    /// First and last stored seq of a room's timeline.
    async fn seq_range(&self, room: RoomId) -> Result<Option<(Seq, Seq)>, StoreError>;

    /// At most `limit` messages, in rising seq whatever the direction.
    async fn messages(
        &self,
        room: RoomId,
        page: Page,
        limit: usize,
    ) -> Result<Vec<StoredMessage>, StoreError>;

    async fn message(&self, room: RoomId, message: MessageId) -> Result<Option<StoredMessage>, StoreError>;

    /// Which of these messages the room holds.
    async fn known_messages(
        &self,
        room: RoomId,
        messages: &[MessageId],
    ) -> Result<Vec<MessageId>, StoreError>;

    /// What the account may see of the room; `None` if it never was a member.
    async fn visibility(&self, room: RoomId, account: AccountId) -> Result<Option<Visibility>, StoreError>;

    /// Every room that the account is a member of now, with its intervals, in the order of ids.
    async fn rooms_of(&self, account: AccountId) -> Result<Vec<(RoomId, Vec<Interval>)>, StoreError>;

    /// Who is a member now, in the order of ids.
    async fn member_ids(&self, room: RoomId) -> Result<Vec<AccountId>, StoreError>;

    /// An empty store beside this one, to be filled from the log and then [`promote`](Self::promote)d.
    /// Anything left there by an earlier attempt is dropped.
    async fn beside(&self) -> Result<Arc<dyn RoomStore>, StoreError>;

    /// Replaces this store's content by that of the store made by [`beside`](Self::beside), at once
    /// and for good. Other processes read the new content within a second.
    async fn promote(&self) -> Result<(), StoreError>;
}
