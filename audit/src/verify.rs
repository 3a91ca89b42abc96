//! Reads a partition through the accept rule alone and holds it against checkpoints: what an auditor does.
//!
//! ```text
//!   log          0 ───── record ───── record ───── record ──── record ── end
//!   checkpoints          ▲ head?                   ▲ head?     └─ tail ─┘
//! ```
//!
//! Both are read once, side by side, so memory does not grow with either.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{Peekable, Stream, StreamExt};
use roomlog_eventlog::{
    Chain, EventLog, FrameError, Head, LogError, LogIdentity, LogReader, LogRecord, TopicPartition, Verdict,
};
use uuid::Uuid;

use crate::archive::ArchiveError;
use crate::checkpoint::{Checkpoint, Stand};
use crate::form::Time;
use crate::keys::{CheckpointError, KeyChain};

/// A log that has an end and gives nothing before it is taken for broken after so long.
const READ_LIMIT: Duration = Duration::from_secs(60);
/// Findings kept of one partition; the others are only counted.
const MOST_FINDINGS: usize = 20;

/// That the log is not what was signed, or a checkpoint not what it must be.
#[derive(Debug, thiserror::Error)]
pub enum Finding {
    #[error(
        "the records between offset {since} and {until} are not those that were signed on {dated}: they were \
         changed, or written anew"
    )]
    Changed { since: u64, until: u64, dated: Time },
    #[error("the log ends at offset {end}, but on {dated} it had been read to {signed}: it was cut off")]
    Truncated { end: u64, signed: u64, dated: Time },
    #[error("the log cannot be read from its beginning: {0}")]
    Gone(LogError),
    #[error("the record at offset {offset} cannot be judged")]
    Unreadable {
        offset: u64,
        #[source]
        source: FrameError,
    },
    #[error("the checkpoint at offset {next_offset} is of another log, {log_id}")]
    ForeignLog { next_offset: u64, log_id: Uuid },
    #[error("the checkpoint at offset {next_offset} proves nothing: {source}")]
    Checkpoint {
        next_offset: u64,
        #[source]
        source: CheckpointError,
    },
}

/// Why verifying could not be done; says nothing about the log.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("the log cannot be read")]
    Log(#[from] LogError),
    #[error("nothing comes behind offset {0}, which is not the log's end")]
    Silent(u64),
    #[error("the checkpoints cannot be read")]
    Archive(#[from] ArchiveError),
    #[error("the checkpoints cannot be read: {0}")]
    Source(String),
    #[error("a checkpoint at offset {found} comes after one at {before}: they have to be in order")]
    OutOfOrder { before: u64, found: u64 },
}

/// What was found in one partition.
#[derive(Debug)]
pub struct Report {
    pub partition: TopicPartition,
    /// Claims included.
    pub accepted: u64,
    /// By reason.
    pub skipped: BTreeMap<&'static str, u64>,
    /// Everything below has been read.
    pub next_offset: u64,
    pub head: Head,
    /// Checkpoints that the log agrees with.
    pub agreeing: u64,
    /// Offset and time of the last of them.
    pub last: Option<(u64, Time)>,
    /// Accepted records that no checkpoint covers.
    pub tail: u64,
    pub findings: Vec<Finding>,
    /// Findings beyond those.
    pub more_findings: u64,
}

impl Report {
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    fn find(&mut self, finding: Finding) {
        if self.findings.len() < MOST_FINDINGS {
            self.findings.push(finding);
        } else {
            self.more_findings += 1;
        }
    }
}

/// Verifies one partition of the log of this identity, up to its end as of now or the last checkpoint,
/// whatever is later. The checkpoints have to be in the order of their offsets and of this partition.
/// `progress` is told of records that have been read.
pub async fn verify<E>(
    log: &Arc<dyn EventLog>,
    identity: LogIdentity,
    partition: TopicPartition,
    keys: Option<&KeyChain>,
    checkpoints: impl Stream<Item = Result<Checkpoint, E>> + Send + Unpin,
    progress: impl FnMut(u64) + Send,
) -> Result<Report, VerifyError>
where
    E: Into<VerifyError> + Send,
{
    let chain = Chain::new(partition, Some(identity));
    let report = Report {
        partition,
        accepted: 0,
        skipped: BTreeMap::new(),
        next_offset: 0,
        head: chain.head(),
        agreeing: 0,
        last: None,
        tail: 0,
        findings: Vec::new(),
        more_findings: 0,
    };
    let checkpoints = checkpoints.peekable();
    Verifier { log, chain, keys, checkpoints, report, changed: false, reader: None, progress }.run().await
}

struct Verifier<'a, S: Stream, P> {
    log: &'a Arc<dyn EventLog>,
    chain: Chain,
    keys: Option<&'a KeyChain>,
    checkpoints: Peekable<S>,
    report: Report,
    /// Once the head is another, every later one is.
    changed: bool,
    reader: Option<Box<dyn LogReader>>,
    progress: P,
}

impl<S, E, P> Verifier<'_, S, P>
where
    S: Stream<Item = Result<Checkpoint, E>> + Send + Unpin,
    E: Into<VerifyError> + Send,
    P: FnMut(u64) + Send,
{
    async fn run(mut self) -> Result<Report, VerifyError> {
        let partition = self.report.partition;
        let mut end = self.log.end(partition).await?;
        loop {
            match self.read_to(end).await {
                Ok(()) => {}
                Err(Stop::Found(finding)) => {
                    self.report.find(finding);
                    return Ok(self.report);
                }
                Err(Stop::Failed(error)) => return Err(error),
            }
            // Checkpoints of what was appended in the meantime, or of what is no longer there.
            match self.next_offset().await? {
                None => return Ok(self.report),
                Some(signed) if signed <= self.report.next_offset => self.compare().await?,
                Some(signed) => {
                    end = self.log.end(partition).await?;
                    if end < signed {
                        self.compare_with_nothing(end).await?;
                    }
                }
            }
        }
    }

    async fn read_to(&mut self, end: u64) -> Result<(), Stop> {
        while self.report.next_offset < end {
            let records = self.records().await?;
            let count = records.len() as u64;
            for record in records {
                while let Some(signed) = self.next_offset().await?
                    && signed <= record.offset
                {
                    self.compare().await?;
                }
                self.judge(&record)?;
            }
            (self.progress)(count);
        }
        Ok(())
    }

    async fn records(&mut self) -> Result<Vec<LogRecord>, Stop> {
        let partition = self.report.partition;
        let next_offset = self.report.next_offset;
        if self.reader.is_none() {
            self.reader = match self.log.read(partition, next_offset).await {
                Err(gone @ LogError::OutOfRange { .. }) => return Err(Stop::Found(Finding::Gone(gone))),
                read => Some(read.map_err(VerifyError::from)?),
            };
        }
        let reader = self.reader.as_mut().expect("opened above");
        match tokio::time::timeout(READ_LIMIT, reader.next()).await {
            Err(_) => Err(VerifyError::Silent(next_offset).into()),
            Ok(Err(gone @ LogError::OutOfRange { .. })) => Err(Stop::Found(Finding::Gone(gone))),
            Ok(read) => Ok(read.map_err(VerifyError::from)?),
        }
    }

    fn judge(&mut self, record: &LogRecord) -> Result<(), Stop> {
        let offset = record.offset;
        match self.chain.accept(&record.value) {
            Ok(Verdict::Claim(_) | Verdict::Record { .. }) => {
                self.report.accepted += 1;
                self.report.tail += 1;
            }
            Ok(Verdict::Skipped(reason)) => *self.report.skipped.entry(reason.name()).or_insert(0) += 1,
            Err(source) => return Err(Stop::Found(Finding::Unreadable { offset, source })),
        }
        self.report.next_offset = offset + 1;
        self.report.head = self.chain.head();
        Ok(())
    }

    /// The offset that the next checkpoint names.
    async fn next_offset(&mut self) -> Result<Option<u64>, VerifyError> {
        let peeked = std::pin::Pin::new(&mut self.checkpoints).peek().await;
        let peeked = peeked.map(|next| next.as_ref().map(|checkpoint| checkpoint.next_offset).map_err(drop));
        match peeked {
            None => Ok(None),
            Some(Ok(next_offset)) => Ok(Some(next_offset)),
            // To have the error, and not only a look at it.
            Some(Err(())) => match self.checkpoints.next().await {
                Some(Err(error)) => Err(error.into()),
                Some(Ok(_)) | None => Ok(None),
            },
        }
    }

    /// The next checkpoint, if it proves anything about this log.
    async fn take(&mut self) -> Result<Option<Checkpoint>, VerifyError> {
        let Some(checkpoint) = self.checkpoints.next().await.transpose().map_err(Into::into)? else {
            return Ok(None);
        };
        let next_offset = checkpoint.next_offset;
        if let Some(found) = self.next_offset().await?.filter(|next| *next < next_offset) {
            return Err(VerifyError::OutOfOrder { before: next_offset, found });
        }
        let identity = self.chain.identity().expect("given at the start");
        if checkpoint.log_id != identity.log_id {
            self.report.find(Finding::ForeignLog { next_offset, log_id: checkpoint.log_id });
            return Ok(None);
        }
        let judged = match self.keys {
            Some(keys) => keys.judge(&checkpoint),
            None => Err(CheckpointError::UnknownKey(checkpoint.key)),
        };
        if let Err(source) = judged {
            self.report.find(Finding::Checkpoint { next_offset, source });
            return Ok(None);
        }
        Ok(Some(checkpoint))
    }

    /// Holds the chain against the next checkpoint, whose offset has been reached.
    async fn compare(&mut self) -> Result<(), VerifyError> {
        let Some(checkpoint) = self.take().await? else { return Ok(()) };
        let (until, dated) = (checkpoint.next_offset, checkpoint.time);
        if Stand::of(&self.chain, until) == Some(checkpoint.stand()) {
            self.report.agreeing += 1;
            self.report.last = Some((until, dated));
            self.report.tail = 0;
        } else if !std::mem::replace(&mut self.changed, true) {
            let since = self.report.last.map_or(0, |(offset, _)| offset);
            self.report.find(Finding::Changed { since, until, dated });
        }
        Ok(())
    }

    /// The log does not reach the offset of the next checkpoint.
    async fn compare_with_nothing(&mut self, end: u64) -> Result<(), VerifyError> {
        if let Some(checkpoint) = self.take().await? {
            let (signed, dated) = (checkpoint.next_offset, checkpoint.time);
            self.report.find(Finding::Truncated { end, signed, dated });
        }
        Ok(())
    }
}

enum Stop {
    Found(Finding),
    Failed(VerifyError),
}

impl From<VerifyError> for Stop {
    fn from(error: VerifyError) -> Self {
        Self::Failed(error)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} accepted", self.partition, self.accepted)?;
        let skipped = self.skipped.iter().map(|(reason, count)| format!("{count} {reason}"));
        let skipped = skipped.collect::<Vec<_>>().join(", ");
        write!(f, ", skipped: {}", if skipped.is_empty() { "none" } else { &skipped })?;
        write!(f, "; head {} at offset {}; ", self.head, self.next_offset)?;
        match self.last {
            Some((offset, dated)) => write!(
                f,
                "{} checkpoints agree, the last of {dated} at offset {offset}; {} records lie after it",
                self.agreeing, self.tail
            ),
            None => write!(f, "no checkpoint agrees; all {} records are tail", self.tail),
        }
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
