//! The projection `room_events`: each room's timeline, its messages, and who was a member when.

use std::sync::Arc;

use async_trait::async_trait;
use roomlog_domain::visibility::HistoryRule;
use roomlog_eventlog::{Accepted, Command, Content, Cursor, Topic, TopicPartition};
use roomlog_schemas::event::Seq;
use roomlog_schemas::{Event, MessageSent, RoomId, encode_event};
use roomlog_stores::progress::Projection;
use roomlog_stores::rooms::{MembershipChange, RoomBatch, StoredEvent, StoredMessage, VERSION};
use roomlog_stores::{RoomStore, StoreError};

use crate::ProjectError;
use crate::batch::Batch;
use crate::projector::Projector;

pub(crate) struct RoomEvents {
    pub store: Arc<dyn RoomStore>,
}

#[async_trait]
impl Projector for RoomEvents {
    fn projection(&self) -> Projection {
        Projection::RoomEvents
    }

    fn version(&self) -> u32 {
        VERSION
    }

    fn topics(&self) -> &'static [Topic] {
        &[Topic::Rooms]
    }

    async fn cursor(&self, partition: TopicPartition) -> Result<Option<Cursor>, StoreError> {
        self.store.cursor(partition).await
    }

    async fn apply(&self, batch: &Batch) -> Result<(), ProjectError> {
        let rows = rows(&batch.records)?;
        self.store
            .apply(RoomBatch {
                expected_offset: batch.before.next_offset,
                cursor: batch.cursor.clone(),
                events: rows.events,
                messages: rows.messages,
                memberships: rows.memberships,
                histories: rows.histories,
            })
            .await?;
        Ok(())
    }

    async fn root_of(&self, room: RoomId) -> Result<Option<RoomId>, StoreError> {
        roomlog_stores::quarantine::root_of(&*self.store, room).await
    }

    /// All may come again: a store without transactions may hold later rows than those that it lacks.
    async fn held(&self, _room: RoomId) -> Result<Seq, StoreError> {
        Ok(0)
    }

    async fn beside(&self) -> Result<Arc<dyn Projector>, StoreError> {
        Ok(Arc::new(Self { store: self.store.beside().await? }))
    }

    async fn promote(&self) -> Result<(), StoreError> {
        self.store.promote().await
    }
}

/// What records add to the store, in the order of the log.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    pub events: Vec<StoredEvent>,
    pub messages: Vec<StoredMessage>,
    pub memberships: Vec<MembershipChange>,
    pub histories: Vec<(RoomId, HistoryRule)>,
}

pub(crate) fn rows(records: &[Accepted]) -> Result<Rows, ProjectError> {
    let mut rows = Rows::default();
    for record in records {
        if let Content::Command(command) = &record.content {
            for event in &command.events {
                rows.add(record.offset, command, event)?;
            }
        }
    }
    Ok(rows)
}

impl Rows {
    fn add(&mut self, offset: u64, command: &Command, event: &Event) -> Result<(), ProjectError> {
        let Some((room_id, seq)) = event.timeline() else { return Ok(()) };
        // In this build's version of its schema, whichever one the log has it in.
        let encoded = encode_event(event).map_err(|source| ProjectError::Encode { offset, source })?;
        let record_time_ms = command.record_time_ms;
        self.events.push(StoredEvent { room_id, seq, offset, record_time_ms, event: encoded });
        match event {
            Event::AccountRegistered(_)
            | Event::AccountClaimed(_)
            | Event::SessionEnded(_)
            | Event::ImportNoted(_)
            | Event::RoleSet(_)
            | Event::RoleDefined(_)
            | Event::RoleRemoved(_)
            | Event::OverrideSet(_) => {}
            Event::RoomCreated(e) => {
                self.histories.push((room_id, HistoryRule { from: seq, rule: e.history }))
            }
            Event::MemberJoined(e) => {
                self.memberships.push(MembershipChange::Joined { room_id, account_id: e.account_id, seq });
            }
            Event::MemberLeft(e) => {
                self.memberships.push(MembershipChange::Left { room_id, account_id: e.account_id, seq });
            }
            Event::MessageSent(e) => self.messages.push(message(e, record_time_ms)),
        }
        Ok(())
    }
}

fn message(e: &MessageSent, record_time_ms: i64) -> StoredMessage {
    StoredMessage {
        room_id: e.room_id,
        seq: e.seq,
        message_id: e.message_id,
        author_id: e.author_id,
        text: e.text.clone(),
        reply_to: e.reply_to,
        sent_at_ms: e.imported.as_ref().map_or(record_time_ms, |imported| imported.time_ms),
        source_id: e.imported.as_ref().map(|imported| imported.source_id.clone()),
    }
}

#[cfg(test)]
#[path = "room_events_tests.rs"]
mod tests;
