//! A story that a log could tell, in batches of any size, and what a store has to show of it.

// Clippy knows the tests themselves, not what they share.
#![allow(clippy::unwrap_used)]

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use roomlog_domain::visibility::HistoryRule;
use roomlog_eventlog::{Cursor, LogIdentity, PartitionCounts, TopicPartition};
use roomlog_schemas::{AccountId, History, MessageId, RoomId};
use roomlog_stores::RoomStore;
use roomlog_stores::rooms::{MembershipChange, Page, RoomBatch, StoredEvent, StoredMessage};
use uuid::Uuid;

pub const P0: TopicPartition = TopicPartition::rooms(0);
/// The first two lie in one slot.
pub const ROOMS: [RoomId; 3] =
    [RoomId::from_u128(0xa), RoomId::from_u128(0xb), RoomId::from_u128(0xc << 120)];
const ACCOUNTS: [AccountId; 3] =
    [AccountId::from_u128(1), AccountId::from_u128(2 << 100), AccountId::from_u128(u128::MAX)];

pub fn cursor(next_offset: u64) -> Cursor {
    let partitions = PartitionCounts { accounts: 1, rooms: 1 };
    let identity = LogIdentity { log_id: Uuid::from_u128(1), partitions };
    let announced = (0..next_offset.min(40) / 8).map(|n| format!("\"schema {n}\"")).collect();
    Cursor { next_offset, announced, ..Cursor::start(identity, P0) }
}

pub fn batch(from: u64, to: u64) -> RoomBatch {
    let (events, messages, memberships, histories) = Default::default();
    RoomBatch { expected_offset: from, cursor: cursor(to), events, messages, memberships, histories }
}

pub fn event(room_id: RoomId, seq: u64, offset: u64) -> StoredEvent {
    let event = Bytes::from(format!("event {seq} of {room_id}"));
    StoredEvent { room_id, seq, offset, record_time_ms: 1_000 + offset as i64, event }
}

pub fn message(room_id: RoomId, seq: u64, text: &str) -> StoredMessage {
    let id = |seq: u64| MessageId::from_u128(room_id.0.as_u128() ^ u128::from(seq) << 32);
    StoredMessage {
        room_id,
        seq,
        message_id: id(seq),
        author_id: ACCOUNTS[0],
        text: Bytes::copy_from_slice(text.as_bytes()),
        reply_to: seq.is_multiple_of(3).then(|| id(seq - 1)),
        sent_at_ms: -(seq as i64),
        source_id: seq.is_multiple_of(2).then(|| format!("source {seq}")),
    }
}

/// Records of one event each.
pub struct Story(Vec<RoomBatch>);

impl Story {
    /// `length` is the offset after the last record.
    pub fn new(length: u64) -> Self {
        Self((0..length).map(record).collect())
    }

    /// The records from one offset up to another.
    pub fn batch(&self, from: u64, to: u64) -> RoomBatch {
        let mut whole = batch(from, to);
        for record in &self.0[from as usize..to as usize] {
            whole.events.extend(record.events.iter().cloned());
            whole.messages.extend(record.messages.iter().cloned());
            whole.memberships.extend(record.memberships.iter().cloned());
            whole.histories.extend(record.histories.iter().copied());
        }
        whole
    }

    /// Applies all of it in batches of these sizes, over and over.
    pub async fn apply(&self, store: &dyn RoomStore, sizes: &[u64]) {
        let (mut at, mut sizes) = (0, sizes.iter().cycle());
        while at < self.0.len() as u64 {
            let end = (at + sizes.next().unwrap()).min(self.0.len() as u64);
            store.apply(self.batch(at, end)).await.unwrap();
            at = end;
        }
    }

    /// What a store promises at any moment: what the cursor covers is there, no timeline has a hole,
    /// and nothing is missing that its events brought.
    pub async fn assert_whole(&self, store: &dyn RoomStore) {
        let covered = store.cursor(P0).await.unwrap().map_or(0, |cursor| cursor.next_offset);
        for room in ROOMS {
            let last = store.seq_range(room).await.unwrap().map_or(0, |(_, last)| last);
            let events = store.events(room, 1, 10_000).await.unwrap();
            let messages = store.messages(room, Page::Latest, 10_000).await.unwrap();
            let mut changes = Vec::new();
            let mut visible = Vec::new();
            for record in &self.0 {
                for event in record.events.iter().filter(|event| event.room_id == room) {
                    if event.offset < covered {
                        assert!(event.seq <= last, "{room}: the cursor covers {}", event.seq);
                    }
                    if event.seq <= last {
                        visible.push(event.clone());
                        let sent = record.messages.iter().filter(|message| message.seq == event.seq);
                        for message in sent {
                            let found = messages.iter().any(|stored| stored.message_id == message.message_id);
                            assert!(found, "{room}: message {} is not there", message.seq);
                            let by_id = store.message(room, message.message_id).await.unwrap();
                            assert_eq!(by_id.map(|message| message.seq), Some(message.seq));
                        }
                        changes.extend(record.memberships.iter().map(|change| (event.seq, change.clone())));
                    }
                }
            }
            assert!(events.starts_with(&visible), "{room}: a hole below {last}");
            for (seq, change) in changes {
                let MembershipChange::Joined { account_id, .. } = change else { continue };
                let visibility = store.visibility(room, account_id).await.unwrap().unwrap();
                assert!(visibility.intervals.iter().any(|interval| interval.contains(seq)), "{room}: {seq}");
                assert!(!visibility.rules.is_empty(), "{room}: no rule");
            }
        }
    }
}

/// Rooms take turns; every second record of a room is about a message, of those every fourth an edit.
fn record(offset: u64) -> RoomBatch {
    let mut record = batch(offset, offset + 1);
    let room_id = ROOMS[offset as usize % ROOMS.len()];
    let seq = offset / ROOMS.len() as u64 + 1;
    record.events.push(event(room_id, seq, offset));
    let account_id = ACCOUNTS[seq as usize / 2 % ACCOUNTS.len()];
    match seq {
        1 => record.histories.push((room_id, HistoryRule { from: 1, rule: History::FromBeginning })),
        9 => record.histories.push((room_id, HistoryRule { from: 9, rule: History::FromJoin })),
        _ if seq.is_multiple_of(8) => {
            record.messages.push(message(room_id, 2, &format!("edited at {offset}")))
        }
        _ if seq.is_multiple_of(2) => {
            record.messages.push(message(room_id, seq, &format!("sent at {offset}")))
        }
        _ if (seq / 6).is_multiple_of(2) => {
            record.memberships.push(MembershipChange::Joined { room_id, account_id, seq })
        }
        _ => record.memberships.push(MembershipChange::Left { room_id, account_id, seq }),
    }
    record
}

/// Both show the same, whichever way it is asked for.
pub async fn assert_same(store: &dyn RoomStore, model: &dyn RoomStore) {
    assert_eq!(store.cursor(P0).await.unwrap(), model.cursor(P0).await.unwrap());
    for room in ROOMS {
        assert_eq!(store.seq_range(room).await.unwrap(), model.seq_range(room).await.unwrap());
        let events = model.events(room, 0, 10_000).await.unwrap();
        assert_eq!(store.events(room, 0, 10_000).await.unwrap(), events);
        let messages = model.messages(room, Page::Latest, 10_000).await.unwrap();
        assert!(!messages.is_empty());
        assert_eq!(store.messages(room, Page::Latest, 10_000).await.unwrap(), messages);
        for message in messages {
            assert_eq!(store.message(room, message.message_id).await.unwrap(), Some(message));
        }
        assert_eq!(store.member_ids(room).await.unwrap(), model.member_ids(room).await.unwrap());
        for account in ACCOUNTS {
            let visibility = model.visibility(room, account).await.unwrap();
            assert_eq!(store.visibility(room, account).await.unwrap(), visibility);
        }
    }
    for account in ACCOUNTS {
        assert_eq!(store.rooms_of(account).await.unwrap(), model.rooms_of(account).await.unwrap());
    }
}

/// Whether it was done after so many polls; else it is dropped where it is.
pub async fn cut_short<T>(work: impl Future<Output = T>, polls: usize) -> bool {
    let mut work = pin!(work);
    let mut left = polls;
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(_) => Poll::Ready(true),
        Poll::Pending if left <= 1 => Poll::Ready(false),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}
