//! Accepted records in batches: as many as are there, without waiting for more.

use std::sync::Arc;

use futures::FutureExt;
use roomlog_eventlog::{Accepted, AcceptedReader, Cursor, EventLog, LogError, ReadError};

/// Labels the reader's metrics.
const READER: &str = "projectors";

/// What one write to a store covers. `records` may be empty: then all that was read was skipped.
#[derive(Debug)]
pub(crate) struct Batch {
    pub records: Vec<Accepted>,
    /// Where the projection stands before the batch.
    pub from: u64,
    /// And after it.
    pub cursor: Cursor,
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
    next_offset: u64,
    /// Met after records that had to be handed out first.
    failed: Option<ReadError>,
}

impl Batches {
    pub async fn open(log: &Arc<dyn EventLog>, cursor: &Cursor, bounds: Bounds) -> Result<Self, ReadError> {
        let reader = AcceptedReader::open(log, cursor, READER).await?;
        Ok(Self { reader, bounds, next_offset: cursor.next_offset, failed: None })
    }

    /// Waits for the next records, and adds what more is there already, until a bound is passed.
    /// After `Log(Unavailable)` the call may be repeated, after other errors not.
    pub async fn next(&mut self) -> Result<Batch, ReadError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut records = self.reader.next().await?;
        // Taken after every read: a read that fails may have moved the reader.
        let mut cursor = self.reader.cursor();
        while self.has_room(&records) {
            match self.reader.next().now_or_never() {
                Some(Ok(more)) => {
                    records.extend(more);
                    cursor = self.reader.cursor();
                }
                Some(Err(ReadError::Log(LogError::Unavailable(_)))) | None => break,
                Some(Err(error)) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        let from = std::mem::replace(&mut self.next_offset, cursor.next_offset);
        Ok(Batch { records, from, cursor })
    }

    fn has_room(&self, records: &[Accepted]) -> bool {
        records.len() < self.bounds.records
            && records.iter().map(|record| record.value.len()).sum::<usize>() < self.bounds.bytes
    }
}
