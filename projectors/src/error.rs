//! What can go wrong with a projection.

use roomlog_eventlog::{LogError, ReadError, TopicPartition};
use roomlog_schemas::{CodecError, RoomId};
use roomlog_stores::{SealError, StoreError};

/// Why a projection could not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("reading the log")]
    Read(#[from] ReadError),
    /// The projection stands where it stood before these records.
    #[error("projecting the records from offset {from} up to {next}")]
    Project {
        from: u64,
        next: u64,
        #[source]
        source: ProjectError,
    },
    /// The projection's own cursor could not be read, or its store not be prepared or swapped in.
    #[error("the projection's store failed")]
    Store(#[from] StoreError),
    /// `accounts/0` holds nothing yet: the platform was never started on this log.
    #[error("the log is empty")]
    NoLog,
    #[error("a task of the projection panicked")]
    Panicked,
    /// These stopped; what each ran into is in the log and in its status.
    #[error("{count} stopped, the first is {projection} in {partition}: {reason}")]
    Stopped { count: usize, projection: &'static str, partition: TopicPartition, reason: String },
}

/// Why a batch of records could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a key could not be used")]
    Seal(#[from] SealError),
    #[error("the event at offset {offset} cannot be encoded")]
    Encode {
        offset: u64,
        #[source]
        source: CodecError,
    },
    #[error("the room {room} made at offset {offset} lies in {parent}, which the projection does not hold")]
    UnknownParent { offset: u64, room: RoomId, parent: RoomId },
    #[error("the event at offset {offset} is about the room {room}, which the projection does not hold")]
    UnknownRoom { offset: u64, room: RoomId },
}

impl From<LogError> for Error {
    fn from(error: LogError) -> Self {
        Error::Read(error.into())
    }
}

impl Error {
    /// Whether waiting and trying again may help.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Error::Read(ReadError::Log(LogError::Unavailable(_))) => true,
            Error::Project { source: ProjectError::Store(error), .. }
            | Error::Project { source: ProjectError::Seal(SealError::Store(error)), .. }
            | Error::Store(error) => matches!(error, StoreError::Unavailable { .. }),
            _ => false,
        }
    }

    /// Whether another process has moved the projection's cursor.
    pub(crate) fn is_cursor_moved(&self) -> bool {
        matches!(
            self,
            Error::Project { source: ProjectError::Store(StoreError::CursorMoved { .. }), .. }
                | Error::Store(StoreError::CursorMoved { .. })
        )
    }

    /// The error with all that caused it, on one line.
    pub(crate) fn chain(&self) -> String {
        chain(self)
    }
}

/// An error with all that caused it, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
