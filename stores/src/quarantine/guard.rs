//! Stores as readers should see them while some rooms are in quarantine.
//!
//! While nothing is in quarantine, an operation costs one look more.

use std::sync::Arc;

use async_trait::async_trait;
use roomlog_domain::visibility::{Interval, Visibility};
use roomlog_domain::way::Way;
use roomlog_eventlog::{Cursor, TopicPartition};
use roomlog_schemas::event::Seq;
use roomlog_schemas::{AccountId, Announced, Event, MessageId, RoomId, decode_event};

use super::{Known, Quarantine, Subject};
use crate::directory::{AccountRow, DirectoryBatch, MemberRow, OverrideRow, RoleRow, RoomRow};
use crate::progress::Projection;
use crate::rooms::{Page, RoomBatch, StoredEvent, StoredMessage};
use crate::{DirectoryStore, RoomStore, StoreError};

/// The root of a room, by the events that made it and the rooms above it; `None` if the store does
/// not know the room. A room above it that the store does not know ends the way.
pub async fn root_of(store: &dyn RoomStore, room: RoomId) -> Result<Option<RoomId>, StoreError> {
    let mut root = None;
    let mut next = Some(room);
    while let Some(room) = next {
        let Some(first) = store.events(room, 1, 1).await?.into_iter().next() else { break };
        root = Some(room);
        next = match decode_event(&first.event, &Announced::default()) {
            Ok(Event::RoomCreated(e)) => e.parent_id,
            Ok(_) => None,
            Err(error) => {
                return Err(StoreError::BadRow { store: "room", what: format!("an event: {error}") });
            }
        };
        // What is above is not in the store; it counts all the same.
        root = next.or(root);
    }
    Ok(root)
}

fn refused(projection: Projection, subject: Subject) -> StoreError {
    StoreError::Quarantined { projection: projection.name(), subject: subject.0 }
}

/// What is known of a room without asking a store: its subject if the room is that itself, or was
/// made by a kept record.
fn directly(known: &Known, projection: Projection, room: RoomId) -> Option<Subject> {
    let itself = Some(Subject::root(room)).filter(|subject| known.holds(projection, *subject));
    itself.or_else(|| known.subject_of(projection, room))
}

pub(super) struct GuardedRooms {
    pub inner: Arc<dyn RoomStore>,
    pub quarantine: Quarantine,
}

impl GuardedRooms {
    async fn subject(&self, room: RoomId) -> Result<Option<Subject>, StoreError> {
        const ROOMS: Projection = Projection::RoomEvents;
        let known = self.quarantine.known();
        if known.is_empty(ROOMS) {
            return Ok(None);
        }
        if let Some(subject) = directly(&known, ROOMS, room) {
            return Ok(Some(subject));
        }
        let root = root_of(&*self.inner, room).await?;
        Ok(root.and_then(|root| directly(&known, ROOMS, root)))
    }

    async fn check(&self, room: RoomId) -> Result<(), StoreError> {
        match self.subject(room).await? {
            None => Ok(()),
            Some(subject) => Err(refused(Projection::RoomEvents, subject)),
        }
    }
}

/// A check after the read: a room that goes to quarantine does so before its rows are left out.
#[async_trait]
impl RoomStore for GuardedRooms {
    async fn cursor(&self, partition: TopicPartition) -> Result<Option<Cursor>, StoreError> {
        self.inner.cursor(partition).await
    }

    async fn apply(&self, batch: RoomBatch) -> Result<(), StoreError> {
        self.inner.apply(batch).await
    }

    async fn events(&self, room: RoomId, from: Seq, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        let read = self.inner.events(room, from, limit).await?;
        self.check(room).await.map(|()| read)
    }

    async fn seq_range(&self, room: RoomId) -> Result<Option<(Seq, Seq)>, StoreError> {
        let read = self.inner.seq_range(room).await?;
        self.check(room).await.map(|()| read)
    }

    async fn messages(
        &self,
        room: RoomId,
        page: Page,
        limit: usize,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        let read = self.inner.messages(room, page, limit).await?;
        self.check(room).await.map(|()| read)
    }

    async fn message(&self, room: RoomId, message: MessageId) -> Result<Option<StoredMessage>, StoreError> {
        let read = self.inner.message(room, message).await?;
        self.check(room).await.map(|()| read)
    }

    async fn known_messages(
        &self,
        room: RoomId,
        messages: &[MessageId],
    ) -> Result<Vec<MessageId>, StoreError> {
        let read = self.inner.known_messages(room, messages).await?;
        self.check(room).await.map(|()| read)
    }

    async fn visibility(&self, room: RoomId, account: AccountId) -> Result<Option<Visibility>, StoreError> {
        let read = self.inner.visibility(room, account).await?;
        self.check(room).await.map(|()| read)
    }

    /// Without rooms in quarantine: who was removed from one may still stand in its rows.
    async fn rooms_of(&self, account: AccountId) -> Result<Vec<(RoomId, Vec<Interval>)>, StoreError> {
        let mut rooms = self.inner.rooms_of(account).await?;
        if !self.quarantine.known().is_empty(Projection::RoomEvents) {
            let mut shown = Vec::with_capacity(rooms.len());
            for (room, intervals) in rooms {
                if self.subject(room).await?.is_none() {
                    shown.push((room, intervals));
                }
            }
            rooms = shown;
        }
        Ok(rooms)
    }

    async fn member_ids(&self, room: RoomId) -> Result<Vec<AccountId>, StoreError> {
        let read = self.inner.member_ids(room).await?;
        self.check(room).await.map(|()| read)
    }

    async fn beside(&self) -> Result<Arc<dyn RoomStore>, StoreError> {
        self.inner.beside().await
    }

    async fn promote(&self) -> Result<(), StoreError> {
        self.inner.promote().await
    }
}

pub(super) struct GuardedDirectory {
    pub inner: Arc<dyn DirectoryStore>,
    pub quarantine: Quarantine,
}

const DIRECTORY: Projection = Projection::Directory;

impl GuardedDirectory {
    async fn check(&self, room: RoomId) -> Result<(), StoreError> {
        let known = self.quarantine.known();
        if known.is_empty(DIRECTORY) {
            return Ok(());
        }
        let mut subject = directly(&known, DIRECTORY, room);
        if subject.is_none() {
            let root = self.inner.room(room).await?.map(|row| row.root_id);
            subject = root.and_then(|root| directly(&known, DIRECTORY, root));
        }
        subject.map_or(Ok(()), |subject| Err(refused(DIRECTORY, subject)))
    }
}

#[async_trait]
impl DirectoryStore for GuardedDirectory {
    async fn cursor(&self, partition: TopicPartition) -> Result<Option<Cursor>, StoreError> {
        self.inner.cursor(partition).await
    }

    async fn apply(&self, batch: DirectoryBatch) -> Result<(), StoreError> {
        self.inner.apply(batch).await
    }

    async fn account(&self, account: AccountId) -> Result<Option<AccountRow>, StoreError> {
        let read = self.inner.account(account).await?;
        let subject = Subject::account(account);
        match self.quarantine.known().holds(DIRECTORY, subject) {
            true => Err(refused(DIRECTORY, subject)),
            false => Ok(read),
        }
    }

    async fn room(&self, room: RoomId) -> Result<Option<RoomRow>, StoreError> {
        let read = self.inner.room(room).await?;
        self.check(room).await.map(|()| read)
    }

    async fn rooms_of(
        &self,
        account: AccountId,
        after: Option<RoomId>,
        limit: usize,
    ) -> Result<Vec<RoomRow>, StoreError> {
        self.inner.rooms_of(account, after, limit).await
    }

    async fn members(
        &self,
        room: RoomId,
        after: Option<AccountId>,
        limit: usize,
    ) -> Result<Vec<MemberRow>, StoreError> {
        let read = self.inner.members(room, after, limit).await?;
        self.check(room).await.map(|()| read)
    }

    async fn is_member(&self, room: RoomId, account: AccountId) -> Result<bool, StoreError> {
        let read = self.inner.is_member(room, account).await?;
        self.check(room).await.map(|()| read)
    }

    async fn roles(&self, root: RoomId) -> Result<Vec<RoleRow>, StoreError> {
        let read = self.inner.roles(root).await?;
        self.check(root).await.map(|()| read)
    }

    async fn overrides(&self, room: RoomId) -> Result<Vec<OverrideRow>, StoreError> {
        let read = self.inner.overrides(room).await?;
        self.check(room).await.map(|()| read)
    }

    async fn way(&self, room: RoomId, account: AccountId) -> Result<Option<Way>, StoreError> {
        let read = self.inner.way(room, account).await?;
        self.check(room).await.map(|()| read)
    }

    fn is_incomplete(&self) -> bool {
        !self.quarantine.known().is_empty(DIRECTORY)
    }

    fn is_quarantined(&self, root: RoomId) -> bool {
        self.quarantine.known().holds(DIRECTORY, Subject::root(root))
    }

    async fn beside(&self) -> Result<Arc<dyn DirectoryStore>, StoreError> {
        self.inner.beside().await
    }

    async fn promote(&self) -> Result<(), StoreError> {
        self.inner.promote().await
    }
}
