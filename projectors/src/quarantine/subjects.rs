//! Which root room or account each event is about.

use std::collections::HashSet;
use std::sync::Arc;

use roomlog_eventlog::{Accepted, Command, Content};
use roomlog_schemas::{Event, RoomId};
use roomlog_stores::StoreError;
use roomlog_stores::quarantine::Subject;

use super::Keeper;
use crate::Error;
use crate::pipeline::Pipeline;

/// Rooms whose roots are remembered; more than are busy at once.
const MOST_ROOTS: usize = 100_000;

/// The subjects of a batch.
pub(super) struct Split {
    /// In the order of first mention.
    pub subjects: Vec<Subject>,
    /// For each record, one for each of its events.
    pub of: Vec<Vec<Subject>>,
}

/// The records with the events of these subjects only, in the order of the log; without those that
/// have none of them.
pub(super) fn pick(records: &[Accepted], split: &Split, subjects: &[Subject]) -> Vec<Accepted> {
    let subjects: HashSet<Subject> = subjects.iter().copied().collect();
    let mut picked = Vec::with_capacity(records.len());
    for (record, of) in records.iter().zip(&split.of) {
        let Content::Command(command) = &record.content else { continue };
        let mut wanted = of.iter().map(|subject| subjects.contains(subject));
        if let Some(content) = filter(command, |_| wanted.next().unwrap_or(false)) {
            picked.push(Accepted { content: Content::Command(content), ..record.clone() });
        }
    }
    picked
}

/// The command with some of its events; `None` if that are none.
pub(super) fn filter(command: &Arc<Command>, mut keep: impl FnMut(&Event) -> bool) -> Option<Arc<Command>> {
    let events: Vec<Event> = command.events.iter().filter(|event| keep(event)).cloned().collect();
    match events.len() {
        0 => None,
        n if n == command.events.len() => Some(command.clone()),
        _ => Some(Arc::new(Command { events, ..Command::clone(command) })),
    }
}

/// The rooms of the subject that the command makes.
pub(super) fn rooms_made(command: &Command, of: &[Subject], subject: Subject) -> Vec<RoomId> {
    let events = command.events.iter().zip(of).filter(|(_, of)| **of == subject);
    events
        .filter_map(|(event, _)| match event {
            Event::RoomCreated(e) => Some(e.room_id),
            _ => None,
        })
        .collect()
}

impl Keeper {
    pub(super) async fn split_once(
        &mut self,
        pipeline: &Pipeline,
        records: &[Accepted],
    ) -> Result<Split, Error> {
        self.unreadable.clear();
        if self.roots.len() > MOST_ROOTS {
            self.reload(pipeline).await?;
        }
        let mut split = Split { subjects: Vec::new(), of: Vec::with_capacity(records.len()) };
        let mut seen = HashSet::new();
        for record in records {
            let mut of = Vec::new();
            if let Content::Command(command) = &record.content {
                for event in &command.events {
                    let subject = self.subject(pipeline, event).await?;
                    if seen.insert(subject) {
                        split.subjects.push(subject);
                    }
                    of.push(subject);
                }
            }
            split.of.push(of);
        }
        Ok(split)
    }

    pub(super) async fn subject(&mut self, pipeline: &Pipeline, event: &Event) -> Result<Subject, Error> {
        match event {
            Event::AccountRegistered(e) => Ok(Subject::account(e.account_id)),
            Event::AccountClaimed(e) => Ok(Subject::account(e.account_id)),
            Event::SessionEnded(e) => Ok(Subject::account(e.account_id)),
            Event::RoomCreated(e) => {
                let subject = match e.parent_id {
                    None => Subject::root(e.room_id),
                    Some(parent) => self.subject_of_room(pipeline, parent).await?,
                };
                self.roots.insert(e.room_id, subject);
                Ok(subject)
            }
            Event::MemberJoined(e) => self.subject_of_room(pipeline, e.room_id).await,
            Event::MemberLeft(e) => self.subject_of_room(pipeline, e.room_id).await,
            Event::MessageSent(e) => self.subject_of_room(pipeline, e.room_id).await,
            Event::ImportNoted(e) => self.subject_of_room(pipeline, e.room_id).await,
            Event::RoleSet(e) => self.subject_of_room(pipeline, e.room_id).await,
            Event::RoleDefined(e) => self.subject_of_room(pipeline, e.room_id).await,
            Event::RoleRemoved(e) => self.subject_of_room(pipeline, e.room_id).await,
            Event::OverrideSet(e) => self.subject_of_room(pipeline, e.room_id).await,
        }
    }

    /// A room that the projection does not hold counts as a root itself; so does one with a row that
    /// cannot be decoded, which is remembered as `unreadable`.
    async fn subject_of_room(&mut self, pipeline: &Pipeline, room: RoomId) -> Result<Subject, Error> {
        if let Some(subject) = self.roots.get(&room) {
            return Ok(*subject);
        }
        // One that went to quarantine by itself.
        let itself = Subject::root(room);
        if self.subjects.contains(&itself) {
            return Ok(itself);
        }
        let root = match pipeline.projector.root_of(room).await {
            Ok(root) => root.unwrap_or(room),
            Err(error @ StoreError::BadRow { .. }) => {
                self.unreadable.insert(itself, error);
                return Ok(itself);
            }
            Err(error) => return Err(error.into()),
        };
        // A sub-room of one that only kept records make.
        let subject = self.roots.get(&root).copied().unwrap_or(Subject::root(root));
        self.roots.insert(room, subject);
        Ok(subject)
    }
}
