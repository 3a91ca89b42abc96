//! What every room store promises.

mod members;
mod replace;

pub use members::*;
pub use replace::*;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use roomlog_domain::visibility::{HistoryRule, Interval, Visibility};
use roomlog_eventlog::TopicPartition;
use roomlog_schemas::event::Seq;
use roomlog_schemas::{AccountId, History, MessageId, RoomId};

use super::{Backend, P0, P1, cursor, refused_as_moved};
use crate::StoreError;
use crate::rooms::{MembershipChange, Page, RoomBatch, RoomStore, StoredEvent, StoredMessage};

type Rooms = dyn Backend<dyn RoomStore>;

const A: RoomId = RoomId::from_u128(0xa << 96);
const B: RoomId = RoomId::from_u128(0xb << 96);
const ANN: AccountId = AccountId::from_u128(1);
const BOB: AccountId = AccountId::from_u128(2);
const CAT: AccountId = AccountId::from_u128(u128::MAX);

fn batch(from: u64, to: u64) -> RoomBatch {
    batch_of(P0, from, to)
}

fn batch_of(partition: TopicPartition, from: u64, to: u64) -> RoomBatch {
    RoomBatch {
        expected_offset: from,
        cursor: cursor(partition, to),
        events: Vec::new(),
        messages: Vec::new(),
        memberships: Vec::new(),
        histories: Vec::new(),
    }
}

fn event(room_id: RoomId, seq: Seq) -> StoredEvent {
    let event = Bytes::from(format!("event {seq} of {room_id}"));
    StoredEvent { room_id, seq, offset: seq * 3, record_time_ms: 1_000 + seq as i64, event }
}

fn message(room_id: RoomId, seq: Seq) -> StoredMessage {
    StoredMessage {
        room_id,
        seq,
        message_id: message_id(room_id, seq),
        author_id: ANN,
        text: Bytes::from(format!("text {seq}")),
        reply_to: (seq > 1).then(|| message_id(room_id, seq - 1)),
        sent_at_ms: -5 + seq as i64,
        source_id: seq.is_multiple_of(2).then(|| format!("source {seq}")),
    }
}

fn message_id(room: RoomId, seq: Seq) -> MessageId {
    MessageId::from_u128(room.0.as_u128() | u128::from(seq))
}

fn joined(room_id: RoomId, account_id: AccountId, seq: Seq) -> MembershipChange {
    MembershipChange::Joined { room_id, account_id, seq }
}

fn left(room_id: RoomId, account_id: AccountId, seq: Seq) -> MembershipChange {
    MembershipChange::Left { room_id, account_id, seq }
}

async fn apply(store: &dyn RoomStore, batch: RoomBatch) {
    store.apply(batch).await.expect("the batch is applied");
}

async fn seqs(store: &dyn RoomStore, page: Page, limit: usize) -> Vec<Seq> {
    let messages = store.messages(A, page, limit).await.expect("a page");
    messages.iter().map(|message| message.seq).collect()
}

pub async fn a_new_store_is_empty(backend: &Rooms) {
    let store = backend.open().await;
    assert_eq!(store.cursor(P0).await.unwrap(), None);
    assert_eq!(store.events(A, 0, 10).await.unwrap(), []);
    assert_eq!(store.seq_range(A).await.unwrap(), None);
    assert_eq!(store.messages(A, Page::Latest, 10).await.unwrap(), []);
    assert_eq!(store.message(A, message_id(A, 1)).await.unwrap(), None);
    assert_eq!(store.known_messages(A, &[message_id(A, 1)]).await.unwrap(), []);
    assert_eq!(store.visibility(A, ANN).await.unwrap(), None);
    assert_eq!(store.rooms_of(ANN).await.unwrap(), []);
    assert_eq!(store.member_ids(A).await.unwrap(), []);
}

fn full_batch() -> RoomBatch {
    RoomBatch {
        events: vec![event(A, 1), event(A, 2), event(B, 1)],
        messages: vec![message(A, 2)],
        memberships: vec![joined(A, ANN, 1)],
        histories: vec![(A, HistoryRule { from: 1, rule: History::FromBeginning })],
        ..batch(0, 7)
    }
}

async fn assert_full_batch_is_there(store: &dyn RoomStore) {
    assert_eq!(store.cursor(P0).await.unwrap(), Some(cursor(P0, 7)));
    assert_eq!(store.events(A, 0, 10).await.unwrap(), [event(A, 1), event(A, 2)]);
    assert_eq!(store.events(B, 0, 10).await.unwrap(), [event(B, 1)]);
    assert_eq!(store.messages(A, Page::Latest, 10).await.unwrap(), [message(A, 2)]);
    let visibility = Visibility {
        intervals: vec![Interval { joined: 1, left: None }],
        rules: vec![HistoryRule { from: 1, rule: History::FromBeginning }],
    };
    assert_eq!(store.visibility(A, ANN).await.unwrap(), Some(visibility));
}

pub async fn a_batch_is_there_with_its_cursor_and_after_a_restart(backend: &Rooms) {
    let store = backend.open().await;
    apply(&*store, full_batch()).await;
    assert_full_batch_is_there(&*store).await;
    drop(store);
    assert_full_batch_is_there(&*backend.open().await).await;
}

pub async fn a_batch_from_another_cursor_is_refused_whole(backend: &Rooms) {
    let store = backend.open().await;
    refused_as_moved(store.apply(batch(5, 6)).await, 5, 0);
    apply(&*store, full_batch()).await;
    let again = RoomBatch { events: vec![event(A, 3)], ..batch(0, 8) };
    refused_as_moved(store.apply(again).await, 0, 7);
    let ahead = RoomBatch {
        events: vec![event(A, 3)],
        messages: vec![message(A, 3)],
        memberships: vec![left(A, ANN, 3)],
        histories: vec![(A, HistoryRule { from: 3, rule: History::FromJoin })],
        ..batch(8, 9)
    };
    refused_as_moved(store.apply(ahead).await, 8, 7);
    assert_full_batch_is_there(&*store).await;

    // A batch in which nothing but the cursor moves.
    apply(&*store, batch(7, 9)).await;
    assert_eq!(store.cursor(P0).await.unwrap(), Some(cursor(P0, 9)));
}

pub async fn partitions_have_cursors_of_their_own(backend: &Rooms) {
    let store = backend.open().await;
    apply(&*store, batch_of(P0, 0, 5)).await;
    apply(&*store, batch_of(P1, 0, 3)).await;
    apply(&*store, batch_of(P0, 5, 6)).await;
    assert_eq!(store.cursor(P0).await.unwrap(), Some(cursor(P0, 6)));
    assert_eq!(store.cursor(P1).await.unwrap(), Some(cursor(P1, 3)));
    assert_eq!(store.cursor(TopicPartition::accounts(0)).await.unwrap(), None);
}

pub async fn of_two_writers_of_one_batch_one_is_refused(backend: &Rooms) {
    let store = backend.open().await;
    for offset in 0..20 {
        let (a, b) =
            tokio::join!(store.apply(batch(offset, offset + 1)), store.apply(batch(offset, offset + 1)));
        let (won, lost) = if a.is_ok() { (a, b) } else { (b, a) };
        won.expect("one of them is applied");
        refused_as_moved(lost, offset, offset + 1);
    }
}

pub async fn events_come_from_a_seq_on(backend: &Rooms) {
    let store = backend.open().await;
    // Not in the order of seqs, and beside another room.
    let events = [3, 1, 2, 4, 5].map(|seq| event(A, seq));
    apply(&*store, RoomBatch { events: events.into(), ..batch(0, 1) }).await;
    apply(&*store, RoomBatch { events: vec![event(B, 9), event(A, 6)], ..batch(1, 2) }).await;

    let read = async |from, limit| {
        let events = store.events(A, from, limit).await.unwrap();
        events.iter().map(|event| event.seq).collect::<Vec<_>>()
    };
    assert_eq!(read(0, 100).await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(read(3, 2).await, [3, 4]);
    assert_eq!(read(6, 100).await, [6]);
    assert_eq!(read(7, 100).await, [0; 0]);
    assert_eq!(read(Seq::MAX, 100).await, [0; 0]);
    assert_eq!(read(0, 0).await, [0; 0]);
    assert_eq!(store.seq_range(A).await.unwrap(), Some((1, 6)));
    assert_eq!(store.seq_range(B).await.unwrap(), Some((9, 9)));
}

pub async fn messages_come_in_pages_of_rising_seq(backend: &Rooms) {
    let store = backend.open().await;
    let messages = (2..=20).step_by(2).map(|seq| message(A, seq)).collect();
    apply(&*store, RoomBatch { messages, ..batch(0, 1) }).await;
    apply(&*store, RoomBatch { messages: vec![message(B, 3)], ..batch(1, 2) }).await;

    assert_eq!(seqs(&*store, Page::Latest, 3).await, [16, 18, 20]);
    assert_eq!(seqs(&*store, Page::Latest, 0).await, [0; 0]);
    assert_eq!(seqs(&*store, Page::Latest, 100).await.len(), 10);
    assert_eq!(seqs(&*store, Page::Before(8), 2).await, [4, 6]);
    assert_eq!(seqs(&*store, Page::Before(9), 2).await, [6, 8]);
    assert_eq!(seqs(&*store, Page::Before(2), 2).await, [0; 0]);
    assert_eq!(seqs(&*store, Page::Before(0), 2).await, [0; 0]);
    assert_eq!(seqs(&*store, Page::Before(Seq::MAX), 2).await, [18, 20]);
    assert_eq!(seqs(&*store, Page::After(8), 2).await, [10, 12]);
    assert_eq!(seqs(&*store, Page::After(0), 2).await, [2, 4]);
    assert_eq!(seqs(&*store, Page::After(18), 2).await, [20]);
    assert_eq!(seqs(&*store, Page::After(20), 2).await, [0; 0]);
    assert_eq!(seqs(&*store, Page::After(Seq::MAX), 2).await, [0; 0]);
    assert_eq!(store.messages(B, Page::Latest, 9).await.unwrap(), [message(B, 3)]);
}

pub async fn a_message_is_found_by_its_id_in_its_room(backend: &Rooms) {
    let store = backend.open().await;
    let messages = vec![message(A, 1), message(A, 2), message(B, 1)];
    apply(&*store, RoomBatch { messages, ..batch(0, 1) }).await;
    for seq in [1, 2] {
        assert_eq!(store.message(A, message_id(A, seq)).await.unwrap(), Some(message(A, seq)));
    }
    assert_eq!(store.message(B, message_id(A, 1)).await.unwrap(), None);

    let asked = [message_id(A, 2), message_id(A, 3), message_id(B, 1), message_id(A, 1)];
    let mut known = store.known_messages(A, &asked).await.unwrap();
    known.sort();
    assert_eq!(known, [message_id(A, 1), message_id(A, 2)]);
    assert_eq!(store.known_messages(A, &[]).await.unwrap(), []);
}

pub async fn a_message_keeps_its_latest_text(backend: &Rooms) {
    let store = backend.open().await;
    apply(&*store, RoomBatch { messages: vec![message(A, 2)], ..batch(0, 1) }).await;
    let edited = StoredMessage { text: Bytes::from_static(b"edited"), ..message(A, 2) };
    apply(&*store, RoomBatch { messages: vec![edited.clone()], ..batch(1, 2) }).await;
    assert_eq!(store.messages(A, Page::Latest, 9).await.unwrap(), std::slice::from_ref(&edited));
    assert_eq!(store.message(A, edited.message_id).await.unwrap(), Some(edited));
}

/// One event and one message each of two rooms at `seq`, which is also the offset.
fn step(seq: Seq) -> RoomBatch {
    RoomBatch {
        events: vec![event(A, seq), event(B, seq)],
        messages: vec![message(A, seq), message(B, seq)],
        ..batch(seq - 1, seq)
    }
}

pub async fn readers_meet_whole_batches_while_there_is_writing(backend: &Rooms) {
    const STEPS: Seq = 300;
    let store = backend.open().await;
    let readers: Vec<_> = (0..6)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut last = 0;
                while last < STEPS {
                    let written = store.cursor(P0).await.unwrap().map_or(0, |cursor| cursor.next_offset);
                    let events = store.events(A, 1, 1_000).await.unwrap();
                    assert!(events.len() as u64 >= written, "what the cursor covers is there");
                    assert_eq!(events.last().map_or(0, |event| event.seq), events.len() as u64, "no holes");
                    let range = store.seq_range(B).await.unwrap().map_or(0, |(_, last)| last);
                    assert!(range >= events.len() as u64, "one batch, both rooms");
                    assert!(range >= last, "time does not go back");
                    last = range;
                }
            })
        })
        .collect();
    for seq in 1..=STEPS {
        apply(&*store, step(seq)).await;
        let latest = store.messages(A, Page::Latest, 1).await.unwrap();
        assert_eq!(latest[0].seq, seq, "a batch is there when `apply` has returned");
    }
    for reader in readers {
        reader.await.unwrap();
    }
}

/// Also where there is no cursor yet: so a projector finds the rows that the store refuses.
pub async fn a_batch_that_leaves_the_cursor_where_it_is_stores_its_rows(backend: &Rooms) {
    let store = backend.open().await;
    for seq in 1..=2 {
        apply(&*store, RoomBatch { events: vec![event(A, seq)], ..batch(0, 0) }).await;
    }
    apply(&*store, batch(0, 5)).await;
    apply(&*store, RoomBatch { events: vec![event(A, 3)], ..batch(5, 5) }).await;
    assert_eq!(store.cursor(P0).await.unwrap(), Some(cursor(P0, 5)));
    refused_as_moved(store.apply(batch(4, 4)).await, 4, 5);
    apply(&*store, batch(5, 9)).await;
    let events = store.events(A, 1, 10).await.unwrap();
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 3]);
}
