//! Projecting around what a projection cannot use.
//!
//! A batch is stored in one write as long as everything in it can be used. When it cannot, the write
//! is tried with the records of some root rooms only, halving them, in place: such a write adds rows
//! but leaves the cursor where it is. What is left is one root room and the first of its records that
//! fails; it is kept with those after it, and only then the cursor moves past the batch.
//!
//! One projector is in charge of a partition, and its writes hold only where its cursor is the stored
//! one. So what it knows of the quarantine, read after the cursor, stays true while its writes
//! succeed; a retry, which is a write in place too, needs no lock.

mod retry;
mod subjects;

use std::collections::{HashMap, HashSet};

use roomlog_eventlog::{Accepted, Content};
use roomlog_schemas::RoomId;
use roomlog_stores::StoreError;
use roomlog_stores::quarantine::{Entry, Quarantine, Scope, Subject};

use crate::batch::Batch;
use crate::pipeline::Pipeline;
use crate::{Error, ProjectError};

use subjects::{Split, pick};

/// What a projector knows of the quarantine in its partition.
pub(crate) struct Keeper {
    /// `None`: what fails stops the projection.
    quarantine: Option<Quarantine>,
    scope: Scope,
    subjects: HashSet<Subject>,
    /// Rooms that only kept records make, and others that were asked for.
    roots: HashMap<RoomId, Subject>,
    /// Rooms whose root cannot be told, because a row of theirs cannot be decoded; of the last split.
    unreadable: HashMap<Subject, StoreError>,
}

/// Why a subject goes to quarantine.
struct Culprit {
    subject: Subject,
    offset: u64,
    error: Error,
}

impl Keeper {
    /// Has to be read after the cursor that the projector goes on from.
    pub async fn load(
        pipeline: &Pipeline,
        quarantine: Option<Quarantine>,
        scope: Scope,
    ) -> Result<Self, Error> {
        let mut this = Self {
            quarantine,
            scope,
            subjects: HashSet::new(),
            roots: HashMap::new(),
            unreadable: HashMap::new(),
        };
        this.reload(pipeline).await?;
        Ok(this)
    }

    async fn reload(&mut self, pipeline: &Pipeline) -> Result<(), Error> {
        let Some(quarantine) = self.quarantine.clone() else { return Ok(()) };
        let store = quarantine.store();
        self.subjects = pipeline
            .again(|| async { Ok(store.subjects(self.scope, pipeline.partition).await?) })
            .await?
            .into_iter()
            .collect();
        self.roots = match self.subjects.is_empty() {
            true => HashMap::new(),
            false => {
                pipeline.again(|| async { Ok(store.rooms(self.scope).await?) }).await?.into_iter().collect()
            }
        };
        Ok(())
    }

    /// Stores one batch; what the projection cannot use is kept.
    pub async fn store(&mut self, pipeline: &Pipeline, batch: &Batch) -> Result<(), Error> {
        if self.subjects.is_empty() {
            match pipeline.apply(batch).await {
                Err(error) if self.quarantine.is_some() && error.is_of_records() => {}
                outcome => return outcome,
            }
        }
        // Twice where another process has ended a quarantine.
        loop {
            let split = self.split(pipeline, &batch.records).await?;
            if self.keep_followers(pipeline, batch, &split).await? {
                return self.store_others(pipeline, batch, &split).await;
            }
            self.reload(pipeline).await?;
        }
    }

    /// Keeps what belongs to a quarantine; false if the store knows of none there.
    async fn keep_followers(&self, pipeline: &Pipeline, batch: &Batch, split: &Split) -> Result<bool, Error> {
        let mut entries = Vec::new();
        for &subject in split.subjects.iter().filter(|subject| self.subjects.contains(subject)) {
            entries.extend(self.entries(batch, split, subject, None));
        }
        let are_known = self.put(pipeline, &entries).await?;
        if are_known && entries.iter().any(|entry| !entry.rooms.is_empty()) {
            self.tell_readers(pipeline).await?;
        }
        Ok(are_known)
    }

    async fn store_others(&mut self, pipeline: &Pipeline, batch: &Batch, split: &Split) -> Result<(), Error> {
        let (mut others, mut culprits) = (Vec::new(), Vec::new());
        for &subject in split.subjects.iter().filter(|subject| !self.subjects.contains(subject)) {
            match self.unreadable.remove(&subject) {
                None => others.push(subject),
                Some(error) => culprits.extend(unreadable(batch, split, subject, error)),
            }
        }
        if culprits.is_empty() {
            let whole = batch.with(pick(&batch.records, split, &others));
            match pipeline.apply(&whole).await {
                Err(error) if error.is_of_records() => {}
                outcome => return outcome,
            }
        }
        if !others.is_empty() {
            culprits.extend(self.find_culprits(pipeline, batch, split, others).await?);
        }
        let mut entries = Vec::new();
        for culprit in &culprits {
            let (projection, partition) = (pipeline.projector.projection().name(), pipeline.partition);
            tracing::error!(
                projection,
                %partition,
                subject = %culprit.subject,
                offset = culprit.offset,
                error = &culprit.error as &dyn std::error::Error,
                "a root room or account goes to quarantine: the projection goes on without it until it is retried"
            );
            entries.extend(self.entries(batch, split, culprit.subject, Some(culprit)));
        }
        self.put(pipeline, &entries).await?;
        self.subjects.extend(culprits.iter().map(|culprit| culprit.subject));
        self.tell_readers(pipeline).await?;
        pipeline.apply(&batch.with(Vec::new())).await
    }

    /// Stores in place what can be used, and finds what cannot.
    async fn find_culprits(
        &self,
        pipeline: &Pipeline,
        batch: &Batch,
        split: &Split,
        subjects: Vec<Subject>,
    ) -> Result<Vec<Culprit>, Error> {
        let mut culprits = Vec::new();
        let mut parts = vec![subjects];
        while let Some(mut part) = parts.pop() {
            match pipeline.apply(&batch.in_place(pick(&batch.records, split, &part))).await {
                Ok(()) => {}
                Err(error) if error.is_of_records() => match part[..] {
                    [subject] => {
                        culprits.extend(self.first_failure(pipeline, batch, split, subject).await?);
                    }
                    _ => {
                        parts.push(part.split_off(part.len() / 2));
                        parts.push(part);
                    }
                },
                Err(error) => return Err(error),
            }
        }
        Ok(culprits)
    }

    /// Stores one record after the other. There may be no failure where only all together did.
    async fn first_failure(
        &self,
        pipeline: &Pipeline,
        batch: &Batch,
        split: &Split,
        subject: Subject,
    ) -> Result<Option<Culprit>, Error> {
        for record in pick(&batch.records, split, &[subject]) {
            let offset = record.offset;
            match pipeline.apply(&batch.in_place(vec![record])).await {
                Ok(()) => {}
                Err(error) if error.is_of_records() => return Ok(Some(Culprit { subject, offset, error })),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The records of the batch that are of this subject, from the failure on if there is one.
    fn entries(
        &self,
        batch: &Batch,
        split: &Split,
        subject: Subject,
        culprit: Option<&Culprit>,
    ) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (record, of) in batch.records.iter().zip(&split.of) {
            let Content::Command(command) = &record.content else { continue };
            let is_before = culprit.is_some_and(|culprit| record.offset < culprit.offset);
            if is_before || !of.contains(&subject) {
                continue;
            }
            let failed = culprit.filter(|culprit| culprit.offset == record.offset);
            entries.push(Entry {
                subject,
                partition: batch.cursor.partition,
                offset: record.offset,
                record_time_ms: command.record_time_ms,
                record: record.value.clone(),
                error: failed.map(|culprit| culprit.error.reason()),
                rooms: subjects::rooms_made(command, of, subject),
            });
        }
        entries
    }

    async fn put(&self, pipeline: &Pipeline, entries: &[Entry]) -> Result<bool, Error> {
        let Some(quarantine) = self.quarantine.as_ref().filter(|_| !entries.is_empty()) else {
            return Ok(true);
        };
        let known =
            pipeline.again(|| async { Ok(quarantine.store().put(self.scope, entries).await?) }).await?;
        if known {
            let projection = self.scope.projection.name();
            metrics::counter!("roomlog_projection_quarantined_records_total", "projection" => projection)
                .increment(entries.len() as u64);
        }
        Ok(known)
    }

    /// Readers of this process hear of it before rows are left out; those of others within a second.
    async fn tell_readers(&self, pipeline: &Pipeline) -> Result<(), Error> {
        match self.quarantine.as_ref().filter(|_| !self.scope.is_beside) {
            Some(quarantine) => pipeline.again(|| async { Ok(quarantine.refresh().await?) }).await,
            None => Ok(()),
        }
    }

    async fn split(&mut self, pipeline: &Pipeline, records: &[Accepted]) -> Result<Split, Error> {
        let mut retry = pipeline.retry();
        loop {
            match self.split_once(pipeline, records).await {
                Ok(split) => {
                    retry.succeeded();
                    return Ok(split);
                }
                Err(error) => retry.pause(error).await?,
            }
        }
    }
}

/// The room goes to quarantine by itself, from its first record in the batch on: it may belong to a root
/// that is there already.
fn unreadable(batch: &Batch, split: &Split, subject: Subject, source: StoreError) -> Option<Culprit> {
    let mut records = batch.records.iter().zip(&split.of);
    let (first, _) = records.find(|(_, of)| of.contains(&subject))?;
    let (from, next) = (first.offset, first.offset + 1);
    let error = Error::Project { from, next, source: source.into() };
    Some(Culprit { subject, offset: first.offset, error })
}

impl Error {
    /// Whether records are at fault, so that the projection can go on without them.
    pub(crate) fn is_of_records(&self) -> bool {
        use roomlog_stores::SealError;
        match self {
            Error::Project { source, .. } => match source {
                ProjectError::Store(error) => {
                    matches!(error, StoreError::RowsRefused { .. } | StoreError::BadRow { .. })
                }
                ProjectError::Seal(error) => !matches!(error, SealError::Store(_)),
                ProjectError::Encode { .. }
                | ProjectError::UnknownParent { .. }
                | ProjectError::UnknownRoom { .. } => true,
            },
            _ => false,
        }
    }

    /// What went wrong with the records, without where.
    fn reason(&self) -> String {
        match self {
            Error::Project { source, .. } => crate::error::chain(source),
            other => other.chain(),
        }
    }
}
