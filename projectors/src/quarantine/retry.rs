//! Applying kept records in order.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use roomlog_eventlog::{Accepted, Command, Content, Cursor, Frame};
use roomlog_schemas::event::Seq;
use roomlog_schemas::{Announced, CodecError, CommandRecord, RoomId, decode_event};
use roomlog_stores::progress::Projection;
use roomlog_stores::quarantine::{self, Known, Quarantine, Subject};

use super::Keeper;
use super::subjects::filter;
use crate::Error;
use crate::batch::Batch;
use crate::error::chain;
use crate::pipeline::Pipeline;

/// Kept records that are applied in one write.
const AT_ONCE: usize = 200;

impl Keeper {
    /// Returns when somebody wants something in this partition to be retried. Cancel-safe.
    pub async fn retry_wanted(&self) -> Vec<Subject> {
        let Some(quarantine) = &self.quarantine else { return std::future::pending().await };
        let mut known = quarantine.watch();
        loop {
            let wanted = self.wanted(self.scope.projection, &known.borrow_and_update().clone());
            if !wanted.is_empty() {
                return wanted;
            }
            if known.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn wanted(&self, projection: Projection, known: &Known) -> Vec<Subject> {
        // Subjects of other partitions are other projectors' work.
        known.retries(projection).filter(|subject| self.subjects.contains(subject)).collect()
    }

    /// Retries a subject that is marked for it, while the projection stands at this cursor; nothing if
    /// another took the mark. If all that is kept can be used, the quarantine is over; what cannot
    /// stays, with all after it. False if all that is left lies ahead of the cursor, kept by a projector
    /// that was killed before it passed: the mark stays until it is read again.
    pub async fn retry(
        &mut self,
        pipeline: &Pipeline,
        cursor: &Cursor,
        subject: Subject,
    ) -> Result<bool, Error> {
        let Some(quarantine) = self.quarantine.clone() else { return Ok(true) };
        let (store, projection) = (quarantine.store(), self.scope.projection);
        let mut is_done = true;
        if pipeline.again(|| async { Ok(store.take_retry(projection, subject).await?) }).await? {
            let outcome = self.apply_all(pipeline, cursor, subject, &quarantine).await;
            if !matches!(outcome, Ok(true)) {
                // Or somebody moved the cursor, or the stores are away.
                store.request_retry(projection, Some(subject)).await?;
            }
            is_done = outcome?;
        }
        self.tell_readers(pipeline).await?;
        Ok(is_done)
    }

    /// In order and in place.
    async fn apply_all(
        &mut self,
        pipeline: &Pipeline,
        cursor: &Cursor,
        subject: Subject,
        quarantine: &Quarantine,
    ) -> Result<bool, Error> {
        let (store, scope) = (quarantine.store(), self.scope);
        let (projection, partition) = (scope.projection.name(), pipeline.partition);
        let announced = Announced::from_json(cursor.announced.iter().map(String::as_str));
        loop {
            let mut entries =
                pipeline.again(|| async { Ok(store.entries(scope, subject, 0, AT_ONCE).await?) }).await?;
            // What lies ahead is still to be read from the log.
            entries.retain(|entry| entry.offset < cursor.next_offset);
            let Some(last) = entries.last().map(|entry| entry.offset) else { return Ok(false) };
            let failure = match &announced {
                Ok(announced) => self.apply_kept(pipeline, cursor, subject, &entries, announced).await?,
                Err(error) => entries.first().map(|entry| (entry.offset, chain(error))),
            };
            let through = failure.as_ref().map_or(Some(last), |(offset, _)| offset.checked_sub(1));
            let mut is_over = false;
            if let Some(through) = through {
                is_over =
                    pipeline.again(|| async { Ok(store.remove(scope, subject, through).await?) }).await?;
            }
            if let Some((offset, reason)) = failure {
                tracing::error!(projection, %partition, %subject, offset, reason, "a retry failed");
                pipeline
                    .again(|| async { Ok(store.retry_failed(scope, subject, offset, &reason).await?) })
                    .await?;
                return Ok(true);
            }
            if is_over {
                tracing::info!(projection, %partition, %subject, "its quarantine is over");
                self.reload(pipeline).await?;
                return Ok(true);
            }
        }
    }

    /// The offset and the reason of the first record that cannot be used, if there is one; all before
    /// it are stored.
    async fn apply_kept(
        &mut self,
        pipeline: &Pipeline,
        cursor: &Cursor,
        subject: Subject,
        entries: &[quarantine::Entry],
        announced: &Announced,
    ) -> Result<Option<(u64, String)>, Error> {
        let mut records = Vec::with_capacity(entries.len());
        for entry in entries {
            match decode(entry, announced) {
                Ok(record) => records.push(record),
                // Those before it go in first.
                Err(_) if !records.is_empty() => break,
                Err(reason) => return Ok(Some((entry.offset, reason))),
            }
        }
        let is_all = records.len() == entries.len();
        let missing = self.missing(pipeline, subject, &records).await?;
        match pipeline.apply(&Batch::at(cursor, missing)).await {
            Ok(()) if is_all => return Ok(None),
            Ok(()) => {}
            Err(error) if error.is_of_records() => {}
            Err(error) => return Err(error),
        }
        for record in &records {
            let missing = self.missing(pipeline, subject, std::slice::from_ref(record)).await?;
            match pipeline.apply(&Batch::at(cursor, missing)).await {
                Ok(()) => {}
                Err(error) if error.is_of_records() => return Ok(Some((record.offset, error.reason()))),
                Err(error) => return Err(error),
            }
        }
        Ok(entries
            .get(records.len())
            .and_then(|entry| decode(entry, announced).err().map(|reason| (entry.offset, reason))))
    }

    /// The records with the events of the subject that the projection does not hold.
    async fn missing(
        &mut self,
        pipeline: &Pipeline,
        subject: Subject,
        records: &[Accepted],
    ) -> Result<Vec<Accepted>, Error> {
        let split = self.split(pipeline, records).await?;
        let mut held: HashMap<RoomId, Seq> = HashMap::new();
        for record in super::pick(records, &split, &[subject]) {
            let Content::Command(command) = &record.content else { continue };
            for (room, _) in command.events.iter().filter_map(|event| event.timeline()) {
                if let Entry::Vacant(unknown) = held.entry(room) {
                    let last = || async { Ok(pipeline.projector.held(room).await?) };
                    unknown.insert(pipeline.again(last).await?);
                }
            }
        }
        let picked = super::pick(records, &split, &[subject]).into_iter().filter_map(|record| {
            let Content::Command(command) = &record.content else { return None };
            let command = filter(command, |event| {
                event.timeline().is_none_or(|(room, seq)| held.get(&room).is_none_or(|held| seq > *held))
            })?;
            Some(Accepted { content: Content::Command(command), ..record })
        });
        Ok(picked.collect())
    }
}

fn decode(entry: &quarantine::Entry, announced: &Announced) -> Result<Accepted, String> {
    let Frame::Record { body, .. } = Frame::decode(&entry.record).map_err(|error| chain(&error))? else {
        return Err("a claim was kept".to_owned());
    };
    let command = command(body, announced).map_err(|error| chain(&error))?;
    Ok(Accepted {
        offset: entry.offset,
        append_time_ms: entry.record_time_ms,
        value: entry.record.clone(),
        content: Content::Command(Arc::new(command)),
        // Its trace ended when it was kept.
        trace: None,
    })
}

fn command(body: &[u8], announced: &Announced) -> Result<Command, CodecError> {
    let record = CommandRecord::decode(body, announced)?;
    let events = record.events.iter().map(|event| decode_event(event, announced));
    Ok(Command {
        record_time_ms: record.record_time_ms,
        events: events.collect::<Result<_, _>>()?,
        name: record.command,
        actor: record.actor,
        key: record.key,
        fingerprint: record.fingerprint,
    })
}
