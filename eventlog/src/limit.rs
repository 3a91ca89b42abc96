//! What every backend refuses before it takes a record over.

use crate::frame::MAX_RECORD_LEN;
use crate::partition::TopicPartition;
use crate::port::{LogError, NewRecord};

/// Most bytes of key and headers together: with the largest value still well below the 1 MiB that a
/// Kafka topic takes.
const MAX_COPIES_LEN: usize = 64 * 1024;

/// Whoever appends has checked the size against its own limits; a record past this one would be
/// refused by some backend, so that every backend refuses it.
pub(crate) fn check_record(record: &NewRecord) -> Result<(), LogError> {
    let too_large = |what: &str, len: usize, most: usize| {
        Err(LogError::Fatal(format!("{what} of a record has {len} bytes, more than {most}")))
    };
    if record.value.len() > MAX_RECORD_LEN {
        return too_large("the value", record.value.len(), MAX_RECORD_LEN);
    }
    let copies = copies_len(record);
    if copies > MAX_COPIES_LEN {
        return too_large("key and headers", copies, MAX_COPIES_LEN);
    }
    Ok(())
}

/// Bytes of the key and the headers.
pub(crate) fn copies_len(record: &NewRecord) -> usize {
    let headers: usize = record.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    record.key.len() + headers
}

impl LogError {
    /// A reader cannot begin where no record can have been: the log it knew was another one, or has
    /// lost its end.
    pub(crate) fn beyond_the_end(partition: TopicPartition, offset: u64, end: u64) -> Self {
        LogError::OutOfRange { partition, offset, reason: format!("the log ends at {end}") }
    }
}
