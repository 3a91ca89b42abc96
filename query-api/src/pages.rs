//! Pages of what the caller may see.

use roomlog_schemas::RoomId;
use roomlog_schemas::event::Seq;
use roomlog_stores::rooms::{Page, StoredMessage};
use roomlog_stores::{RoomStore, StoreError};
use uuid::Uuid;

use crate::access::View;

/// Of `limit + 1` rows asked for, the page and the cursor of the next.
pub(crate) fn cut<Row>(
    mut rows: Vec<Row>,
    limit: usize,
    id: impl Fn(&Row) -> Uuid,
) -> (Vec<Row>, Option<String>) {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = rows.last().filter(|_| more).map(|row| id(row).to_string());
    (rows, next_cursor)
}

/// Messages in rising seq, and how to go on in both directions.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MessagesRead {
    pub messages: Vec<StoredMessage>,
    /// In the direction of the page.
    pub has_more: bool,
    pub next_before_seq: Option<Seq>,
    pub next_after_seq: Seq,
}

/// At most `limit` messages that `view` shows, with at most `max_reads` reads of the store.
pub(crate) async fn read_messages(
    store: &dyn RoomStore,
    room: RoomId,
    view: &View,
    page: Page,
    limit: usize,
    max_reads: usize,
) -> Result<MessagesRead, StoreError> {
    let newest = view.last.saturating_add(1);
    match page {
        Page::Latest => read_before(store, room, view, newest, limit, max_reads).await,
        Page::Before(seq) => read_before(store, room, view, seq.min(newest), limit, max_reads).await,
        Page::After(seq) => read_after(store, room, view, seq, limit, max_reads).await,
    }
}

async fn read_before(
    store: &dyn RoomStore,
    room: RoomId,
    view: &View,
    before: Seq,
    limit: usize,
    max_reads: usize,
) -> Result<MessagesRead, StoreError> {
    let mut messages = Vec::new();
    let mut next_before_seq = None;
    let ranges = view.ranges().into_iter().rev().filter(|range| *range.start() < before);
    for (reads, range) in ranges.enumerate() {
        let bound = before.min(range.end().saturating_add(1));
        if reads == max_reads {
            next_before_seq = Some(bound);
            break;
        }
        // One more than there is room for tells whether there are more.
        let missing = limit - messages.len();
        let mut older = store.messages(room, Page::Before(bound), missing + 1).await?;
        older.retain(|message| range.contains(&message.seq));
        let surplus = older.len().saturating_sub(missing);
        older.drain(..surplus);
        older.append(&mut messages);
        messages = older;
        if surplus > 0 {
            next_before_seq = Some(messages.first().map_or(bound, |message| message.seq));
            break;
        }
    }
    Ok(MessagesRead {
        messages,
        has_more: next_before_seq.is_some(),
        next_before_seq,
        next_after_seq: before.saturating_sub(1),
    })
}

async fn read_after(
    store: &dyn RoomStore,
    room: RoomId,
    view: &View,
    after: Seq,
    limit: usize,
    max_reads: usize,
) -> Result<MessagesRead, StoreError> {
    let ranges = view.ranges();
    let older_exist = ranges.first().is_some_and(|range| *range.start() <= after);
    let mut messages: Vec<StoredMessage> = Vec::new();
    let mut stopped_at = None;
    for (reads, range) in ranges.into_iter().filter(|range| *range.end() > after).enumerate() {
        let bound = after.max(range.start().saturating_sub(1));
        if reads == max_reads {
            stopped_at = Some(bound);
            break;
        }
        let missing = limit - messages.len();
        let mut newer = store.messages(room, Page::After(bound), missing + 1).await?;
        newer.retain(|message| range.contains(&message.seq));
        let surplus = newer.len() > missing;
        newer.truncate(missing);
        messages.append(&mut newer);
        if surplus {
            stopped_at = Some(messages.last().map_or(bound, |message| message.seq));
            break;
        }
    }
    Ok(MessagesRead {
        messages,
        has_more: stopped_at.is_some(),
        next_before_seq: older_exist.then_some(after.saturating_add(1)),
        next_after_seq: stopped_at.unwrap_or(view.last.max(after)),
    })
}
