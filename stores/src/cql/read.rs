//! Reading one generation.
//!
//! A room's timeline reaches from its `first_seq` to its `last_seq`, whatever rows there are beyond:
//! a batch's rows are all acknowledged before the end moves over them. Messages and memberships are
//! there no later than the events that they come from, and may be there earlier.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use roomlog_domain::visibility::{HistoryRule, Interval, Visibility};
use roomlog_eventlog::{Cursor, TopicPartition};
use roomlog_schemas::event::Seq;
use roomlog_schemas::{AccountId, History, MessageId, RoomId};
use uuid::Uuid;

use super::connection::Connection;
use super::error::bad_row;
use super::generations::Generation;
use super::memberships::intervals;
use super::{cursor, shards, to_i32, to_i64};
use crate::StoreError;
use crate::rooms::{Page, StoredEvent, StoredMessage};

/// Look-ups of one call that are at work at once.
const AT_ONCE: usize = 16;
/// Buckets asked for at a time; a page rarely needs more.
const BUCKETS: i32 = 4;

type MessageRow = (i64, Uuid, Uuid, Option<Uuid>, i64, Option<String>, Bytes);

#[derive(Clone)]
pub(super) struct Reader {
    pub connection: Arc<Connection>,
    pub generation: Arc<Generation>,
}

impl Reader {
    pub async fn cursor(&self, partition: TopicPartition) -> Result<Option<Cursor>, StoreError> {
        cursor::read(&self.connection, &self.generation, partition).await
    }

    pub async fn seq_range(&self, room: RoomId) -> Result<Option<(Seq, Seq)>, StoreError> {
        let range = self.range(room).await?;
        Ok(range.map(|(first, last)| (first.cast_unsigned(), last.cast_unsigned())))
    }

    async fn range(&self, room: RoomId) -> Result<Option<(i64, i64)>, StoreError> {
        let key = (i32::from(room.slot()), room.0);
        let statement = &self.generation.statements.seq_range;
        let row = self.connection.row::<(Option<i64>, Option<i64>)>(statement, key).await?;
        Ok(row.and_then(|(first, last)| Some((first?, last?))))
    }

    pub async fn events(
        &self,
        room: RoomId,
        from: Seq,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let mut events = Vec::new();
        let Some((first, last)) = self.range(room).await? else { return Ok(events) };
        let mut from = to_i64(from).max(first);
        while from <= last && events.len() < limit {
            let bucket = self.generation.bucket_of(from);
            let wanted = to_i32((limit - events.len()) as u64);
            let values = (room.0, bucket, from, last, wanted);
            let statement = &self.generation.statements.events;
            let rows = self.connection.rows::<(i64, i64, i64, Bytes)>(statement, values).await?;
            events.extend(rows.into_iter().map(|(seq, offset, record_time_ms, event)| StoredEvent {
                room_id: room,
                seq: seq.cast_unsigned(),
                offset: offset.cast_unsigned(),
                record_time_ms,
                event,
            }));
            from = match self.generation.first_of(bucket + 1) {
                next if next > from => next,
                _ => break,
            };
        }
        Ok(events)
    }

    pub async fn messages(
        &self,
        room: RoomId,
        page: Page,
        limit: usize,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        let mut messages = match page {
            _ if limit == 0 => Vec::new(),
            Page::Latest => self.walk(room, None, Direction::Down, limit).await?,
            Page::Before(0) => Vec::new(),
            Page::Before(seq) => self.walk(room, Some(to_i64(seq) - 1), Direction::Down, limit).await?,
            Page::After(seq) => match to_i64(seq).checked_add(1) {
                Some(from) => self.walk(room, Some(from), Direction::Up, limit).await?,
                None => Vec::new(),
            },
        };
        if !matches!(page, Page::After(_)) {
            messages.reverse();
        }
        Ok(messages)
    }

    /// Messages from `from` on, this one included, in the order of the walk.
    async fn walk(
        &self,
        room: RoomId,
        from: Option<i64>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        let statements = &self.generation.statements;
        let (rows, buckets) = match direction {
            Direction::Up => (&statements.messages_up, &statements.message_buckets_up),
            Direction::Down => (&statements.messages_down, &statements.message_buckets_down),
        };
        let seq = from.unwrap_or(i64::MAX);
        let mut messages = Vec::new();
        // The bucket of `from` without asking whether it holds any: it nearly always does.
        let mut next = Vec::from_iter(from.map(|from| self.generation.bucket_of(from)));
        let mut last = i64::MAX;
        loop {
            for bucket in next {
                let wanted = to_i32((limit - messages.len()) as u64);
                let found = self.connection.rows::<MessageRow>(rows, (room.0, bucket, seq, wanted)).await?;
                messages.extend(found.into_iter().map(|row| stored_message(room, row)));
                if messages.len() >= limit {
                    return Ok(messages);
                }
                last = bucket;
            }
            let found = self.connection.rows::<(i64,)>(buckets, (room.0, last, BUCKETS)).await?;
            if found.is_empty() {
                return Ok(messages);
            }
            next = found.into_iter().map(|(bucket,)| bucket).collect();
        }
    }

    pub async fn message(
        &self,
        room: RoomId,
        message: MessageId,
    ) -> Result<Option<StoredMessage>, StoreError> {
        let Some(seq) = self.seq_of(room, message).await? else { return Ok(None) };
        let key = (room.0, self.generation.bucket_of(seq), seq);
        let row = self.connection.row::<MessageRow>(&self.generation.statements.message, key).await?;
        Ok(row.map(|row| stored_message(room, row)))
    }

    pub async fn known_messages(
        &self,
        room: RoomId,
        messages: Vec<MessageId>,
    ) -> Result<Vec<MessageId>, StoreError> {
        let reader = self.clone();
        stream::iter(messages)
            .map(move |message| {
                let reader = reader.clone();
                async move { Ok(reader.seq_of(room, message).await?.map(|_| message)) }
            })
            .buffered(AT_ONCE)
            .try_filter_map(|message| async move { Ok(message) })
            .try_collect()
            .await
    }

    async fn seq_of(&self, room: RoomId, message: MessageId) -> Result<Option<i64>, StoreError> {
        let statement = &self.generation.statements.message_seq;
        let row = self.connection.row::<(Option<i64>,)>(statement, (room.0, message.0)).await?;
        Ok(row.and_then(|(seq,)| seq))
    }

    pub async fn visibility(
        &self,
        room: RoomId,
        account: AccountId,
    ) -> Result<Option<Visibility>, StoreError> {
        let statements = &self.generation.statements;
        let changes = self.connection.rows::<(i64, i8)>(&statements.changes_in_room, (account.0, room.0));
        let rules = self.connection.rows::<(i64, String)>(&statements.history_rules, (room.0,));
        let (changes, rules) = tokio::try_join!(changes, rules)?;
        let intervals = intervals(changes);
        if intervals.is_empty() {
            return Ok(None);
        }
        let rules = rules
            .into_iter()
            .map(|(from, name)| rule(&name).map(|rule| HistoryRule { from: from.cast_unsigned(), rule }));
        Ok(Some(Visibility { intervals, rules: rules.collect::<Result<_, _>>()? }))
    }

    pub async fn rooms_of(&self, account: AccountId) -> Result<Vec<(RoomId, Vec<Interval>)>, StoreError> {
        let statement = &self.generation.statements.changes_of_account;
        let changes = self.connection.rows::<(Uuid, i64, i8)>(statement, (account.0,)).await?;
        let rooms = changes.chunk_by(|a, b| a.0 == b.0).map(|changes| {
            let intervals = intervals(changes.iter().map(|&(_, seq, change)| (seq, change)));
            (RoomId(changes[0].0), intervals)
        });
        let mut rooms: Vec<_> = rooms.filter(|(_, intervals)| is_member(intervals)).collect();
        // CQL has an order of its own for ids.
        rooms.sort_by_key(|&(room, _)| room);
        Ok(rooms)
    }

    pub async fn member_ids(&self, room: RoomId) -> Result<Vec<AccountId>, StoreError> {
        let reader = self.clone();
        let changes: Vec<Vec<(Uuid, i64, i8)>> = stream::iter(shards())
            .map(move |shard| {
                let reader = reader.clone();
                async move {
                    let statement = &reader.generation.statements.accounts_by_room;
                    reader.connection.rows::<(Uuid, i64, i8)>(statement, (room.0, shard)).await
                }
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        let accounts = changes.iter().flat_map(|changes| changes.chunk_by(|a, b| a.0 == b.0));
        let members = accounts
            .filter(|changes| is_member(&intervals(changes.iter().map(|&(_, seq, change)| (seq, change)))));
        let mut members: Vec<_> = members.map(|changes| AccountId(changes[0].0)).collect();
        members.sort();
        Ok(members)
    }
}

#[derive(Clone, Copy)]
enum Direction {
    Up,
    Down,
}

fn is_member(intervals: &[Interval]) -> bool {
    intervals.last().is_some_and(|last| last.left.is_none())
}

fn stored_message(room_id: RoomId, row: MessageRow) -> StoredMessage {
    let (seq, message_id, author_id, reply_to, sent_at_ms, source_id, text) = row;
    StoredMessage {
        room_id,
        seq: seq.cast_unsigned(),
        message_id: MessageId(message_id),
        author_id: AccountId(author_id),
        text,
        reply_to: reply_to.map(MessageId),
        sent_at_ms,
        source_id,
    }
}

pub(super) const fn rule_name(rule: History) -> &'static str {
    match rule {
        History::FromBeginning => "from_beginning",
        History::FromJoin => "from_join",
    }
}

fn rule(name: &str) -> Result<History, StoreError> {
    [History::FromBeginning, History::FromJoin]
        .into_iter()
        .find(|&rule| rule_name(rule) == name)
        .ok_or_else(|| bad_row(format!("no history rule is called {name:?}")))
}
