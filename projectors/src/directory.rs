//! The projection `directory`: rooms, memberships and accounts, with their names in plain text.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use async_trait::async_trait;
use roomlog_domain::Role;
use roomlog_domain::role::{Definition, Override};
use roomlog_eventlog::{Accepted, Command, Content, Cursor, Topic, TopicPartition};
use roomlog_schemas::event::Seq;
use roomlog_schemas::{AccountId, AccountRegistered, Event, OverrideSet, RoleDefined, RoomCreated, RoomId};
use roomlog_stores::directory::{
    AccountRow, DirectoryBatch, DirectoryChange, OverrideRow, RoleRow, RoomRow, version,
};
use roomlog_stores::progress::Projection;
use roomlog_stores::sealing::{ContentKey, aad};
use roomlog_stores::{DirectoryStore, SealError, Sealer, StoreError};

use crate::ProjectError;
use crate::batch::Batch;
use crate::projector::Projector;

pub(crate) struct Directory {
    pub store: Arc<dyn DirectoryStore>,
    pub sealer: Sealer,
}

#[async_trait]
impl Projector for Directory {
    fn projection(&self) -> Projection {
        Projection::Directory
    }

    fn version(&self) -> u32 {
        version()
    }

    fn topics(&self) -> &'static [Topic] {
        &[Topic::Accounts, Topic::Rooms]
    }

    async fn cursor(&self, partition: TopicPartition) -> Result<Option<Cursor>, StoreError> {
        self.store.cursor(partition).await
    }

    async fn apply(&self, batch: &Batch) -> Result<(), ProjectError> {
        let changes = self.changes(&batch.records).await?;
        let cursor = batch.cursor.clone();
        self.store
            .apply(DirectoryBatch { expected_offset: batch.before.next_offset, cursor, changes })
            .await?;
        Ok(())
    }

    async fn root_of(&self, room: RoomId) -> Result<Option<RoomId>, StoreError> {
        Ok(self.store.room(room).await?.map(|row| row.root_id))
    }

    /// A room's changes go in in the order of their seqs, in transactions; who left and came back
    /// would be out again if the leaving were applied a second time.
    async fn held(&self, room: RoomId) -> Result<Seq, StoreError> {
        Ok(self.store.room(room).await?.map_or(0, |row| row.last_seq))
    }

    async fn beside(&self) -> Result<Arc<dyn Projector>, StoreError> {
        Ok(Arc::new(Self { store: self.store.beside().await?, sealer: self.sealer.clone() }))
    }

    async fn promote(&self) -> Result<(), StoreError> {
        self.store.promote().await
    }
}

impl Directory {
    pub(crate) async fn changes(&self, records: &[Accepted]) -> Result<Vec<DirectoryChange>, ProjectError> {
        let mut changes = Changes::new(self);
        for record in records {
            if let Content::Command(command) = &record.content {
                for event in &command.events {
                    changes.add(record.offset, command, event).await?;
                }
            }
        }
        Ok(changes.finish())
    }
}

/// Collects the changes of one batch.
struct Changes<'a> {
    directory: &'a Directory,
    list: Vec<DirectoryChange>,
    /// Root of each room made in this batch: not in the store yet.
    roots: HashMap<RoomId, RoomId>,
    /// Only the last seq of each room counts, so it is stored once, in the order of first mention.
    last_seqs: Vec<(RoomId, Seq)>,
    last_seq_of: HashMap<RoomId, usize>,
}

impl<'a> Changes<'a> {
    fn new(directory: &'a Directory) -> Self {
        Self {
            directory,
            list: Vec::new(),
            roots: HashMap::new(),
            last_seqs: Vec::new(),
            last_seq_of: HashMap::new(),
        }
    }

    async fn add(&mut self, offset: u64, command: &Command, event: &Event) -> Result<(), ProjectError> {
        let record_time_ms = command.record_time_ms;
        let at_ms = event.imported().map_or(record_time_ms, |imported| imported.time_ms);
        match event {
            Event::AccountRegistered(e) => {
                let row = self.account(e, record_time_ms).await?;
                self.list.push(DirectoryChange::Account(row));
            }
            Event::AccountClaimed(e) => {
                let key = self.account_key(e.account_id).await?;
                let username =
                    open(key.as_ref(), &aad::username(e.account_id), &e.username).unwrap_or_default();
                self.list.push(DirectoryChange::AccountClaimed { account_id: e.account_id, username });
            }
            Event::RoomCreated(e) => {
                let row = self.room(offset, e, record_time_ms).await?;
                self.roots.insert(row.room_id, row.root_id);
                self.list.push(DirectoryChange::Room(row));
            }
            Event::MemberJoined(e) => self.list.push(DirectoryChange::Joined {
                room_id: e.room_id,
                account_id: e.account_id,
                role: e.role.clone(),
                seq: e.seq,
                at_ms,
            }),
            Event::MemberLeft(e) => {
                self.list.push(DirectoryChange::Left { room_id: e.room_id, account_id: e.account_id });
            }
            Event::RoleSet(e) => self.list.push(DirectoryChange::RoleSet {
                room_id: e.room_id,
                account_id: e.account_id,
                role: e.role.clone(),
            }),
            Event::RoleDefined(e) => {
                let row = self.role(e).await?;
                self.list.push(DirectoryChange::Role(row));
            }
            Event::RoleRemoved(e) => {
                let (root_id, role_id) = (e.room_id, e.role_id);
                self.list.push(DirectoryChange::RoleRemoved { root_id, role_id });
            }
            Event::OverrideSet(e) => {
                let row = self.said_of_role(offset, e).await?;
                self.list.push(DirectoryChange::Override(row));
            }
            // Which sessions live is in the secrets store.
            Event::MessageSent(_) | Event::ImportNoted(_) | Event::SessionEnded(_) => {}
        }
        if let Some((room, seq)) = event.timeline() {
            self.reach(room, seq);
        }
        Ok(())
    }

    fn reach(&mut self, room: RoomId, seq: Seq) {
        match self.last_seq_of.entry(room) {
            Entry::Occupied(at) => self.last_seqs[*at.get()].1 = seq,
            Entry::Vacant(free) => {
                free.insert(self.last_seqs.len());
                self.last_seqs.push((room, seq));
            }
        }
    }

    fn finish(mut self) -> Vec<DirectoryChange> {
        self.list
            .extend(self.last_seqs.iter().map(|&(room_id, seq)| DirectoryChange::LastSeq { room_id, seq }));
        self.list
    }

    async fn account(
        &self,
        e: &AccountRegistered,
        registered_at_ms: i64,
    ) -> Result<AccountRow, ProjectError> {
        let account_id = e.account_id;
        let named = e.username.is_some() || e.display_name.is_some();
        let key = if named { self.account_key(account_id).await? } else { None };
        let name = |aad: [u8; 17], sealed: &Option<bytes::Bytes>| open(key.as_ref(), &aad, sealed.as_ref()?);
        Ok(AccountRow {
            account_id,
            username: name(aad::username(account_id), &e.username),
            display_name: name(aad::display_name(account_id), &e.display_name),
            source: e.source.clone(),
            registered_at_ms,
        })
    }

    async fn room(&self, offset: u64, e: &RoomCreated, created_at_ms: i64) -> Result<RoomRow, ProjectError> {
        let room_id = e.room_id;
        let root_id = match e.parent_id {
            None => room_id,
            Some(parent) => self.root_of(parent).await?.ok_or(ProjectError::UnknownParent {
                offset,
                room: room_id,
                parent,
            })?,
        };
        let key = present(self.directory.sealer.room_key(room_id).await)?;
        Ok(RoomRow {
            room_id,
            root_id,
            parent_id: e.parent_id,
            kind: e.kind,
            access: e.access,
            history: e.history,
            name: open(key.as_ref(), &aad::room_name(room_id), &e.name).unwrap_or_default(),
            creator_id: e.creator_id,
            created_at_ms,
            last_seq: e.seq,
            member_count: 0,
        })
    }

    async fn role(&self, e: &RoleDefined) -> Result<RoleRow, ProjectError> {
        let key = present(self.directory.sealer.room_key(e.room_id).await)?;
        let name = open(key.as_ref(), &aad::role_name(e.role_id), &e.name).unwrap_or_default();
        Ok(RoleRow {
            root_id: e.room_id,
            role_id: e.role_id,
            name,
            definition: Definition::of_event(e.rank, &e.permissions),
        })
    }

    async fn said_of_role(&self, offset: u64, e: &OverrideSet) -> Result<OverrideRow, ProjectError> {
        let room = e.room_id;
        let unknown = ProjectError::UnknownRoom { offset, room };
        let root_id = self.root_of(room).await?.ok_or(unknown)?;
        let set = Override::of_event(&e.allow, &e.deny);
        Ok(OverrideRow { room_id: room, root_id, role: Role::of_event(&e.role), set })
    }

    /// A room and all its sub-rooms are in one partition, so a parent is in this batch or stored.
    async fn root_of(&self, room: RoomId) -> Result<Option<RoomId>, StoreError> {
        match self.roots.get(&room) {
            Some(root) => Ok(Some(*root)),
            None => Ok(self.directory.store.room(room).await?.map(|row| row.root_id)),
        }
    }

    async fn account_key(&self, account: AccountId) -> Result<Option<ContentKey>, SealError> {
        present(self.directory.sealer.account_key(account).await)
    }
}

/// A destroyed key is no error: the name is gone, the row stays.
fn present(key: Result<ContentKey, SealError>) -> Result<Option<ContentKey>, SealError> {
    match key {
        Ok(key) => Ok(Some(key)),
        Err(SealError::Destroyed(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A name that its own key does not open is absent, as it is for every reader of the log.
fn open(key: Option<&ContentKey>, aad: &[u8], sealed: &[u8]) -> Option<String> {
    match key?.open(aad, sealed).map(String::from_utf8) {
        Ok(Ok(name)) => Some(name),
        _ => {
            metrics::counter!("roomlog_unreadable_content_total").increment(1);
            tracing::error!("a sealed name could not be opened with its own key");
            None
        }
    }
}

#[cfg(test)]
#[path = "directory_tests.rs"]
mod tests;
