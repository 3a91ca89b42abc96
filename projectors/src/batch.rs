//! Accepted records in batches: as many as are there, without waiting for more.

use std::sync::Arc;

use futures::FutureExt;
use roomlog_eventlog::{Accepted, AcceptedReader, Cursor, EventLog, ReadError};

/// Labels the reader's metrics.
const READER: &str = "projectors";

/// What one write to a store covers. `records` may be empty: then all that was read was skipped.
#[derive(Debug)]
pub(crate) struct Batch {
    pub records: Vec<Accepted>,
    /// Where the projection stands before the batch.
    pub before: Cursor,
    /// And after it.
    pub cursor: Cursor,
}

impl Batch {
    /// Rows that leave the cursor where it is.
    pub fn at(cursor: &Cursor, records: Vec<Accepted>) -> Self {
        Self { records, before: cursor.clone(), cursor: cursor.clone() }
    }

    /// The same step of the cursor with other records.
    pub fn with(&self, records: Vec<Accepted>) -> Self {
        Self { records, before: self.before.clone(), cursor: self.cursor.clone() }
    }

    /// Records of the batch without a step of the cursor.
    pub fn in_place(&self, records: Vec<Accepted>) -> Self {
        Self::at(&self.before, records)
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub records: usize,
    pub bytes: usize,
}

/// Reads a partition from a cursor in batches.
pub(crate) struct Batches {
    reader: AcceptedReader,
    bounds: Bounds,
    /// After what was read last.
    cursor: Cursor,
    is_behind: bool,
}

impl Batches {
    pub async fn open(log: &Arc<dyn EventLog>, cursor: &Cursor, bounds: Bounds) -> Result<Self, ReadError> {
        let reader = AcceptedReader::open(log, cursor, READER).await?;
        Ok(Self { reader, bounds, cursor: cursor.clone(), is_behind: false })
    }

    /// After the last batch.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// Whether the last batch ended at a bound: more may be there.
    pub fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Waits for the next records, and adds what more is there already, until a bound is passed.
    /// What can be read before an error comes first. After `Log(Unavailable)` the call may be
    /// repeated; other errors come again.
    pub async fn next(&mut self) -> Result<Batch, ReadError> {
        let mut records = self.reader.next().await?;
        while self.has_room(&records) {
            match self.reader.next().now_or_never() {
                Some(Ok(more)) => records.extend(more),
                // The next call meets the error again.
                Some(Err(_)) | None => break,
            }
        }
        self.is_behind = !self.has_room(&records);
        let cursor = self.reader.cursor();
        let before = std::mem::replace(&mut self.cursor, cursor.clone());
        Ok(Batch { records, before, cursor })
    }

    fn has_room(&self, records: &[Accepted]) -> bool {
        records.len() < self.bounds.records
            && records.iter().map(|record| record.value.len()).sum::<usize>() < self.bounds.bytes
    }
}
