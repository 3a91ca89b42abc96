//! Reading without I/O: judges and decodes the records of one partition, one after the other.

use std::sync::Arc;

use bytes::Bytes;
use roomlog_schemas::registry::Fingerprint;
use roomlog_schemas::{AccountId, Announced, CodecError, CommandRecord, Event, IdempotencyKey, decode_event};

use crate::chain::{Chain, Head, SkipReason, Verdict};
use crate::cursor::{Cursor, LastAccepted};
use crate::frame::{ClaimId, FrameError, Kind};
use crate::port::LogRecord;
use crate::trace::TraceContext;

/// An accepted record, decoded.
#[derive(Debug, Clone)]
pub struct Accepted {
    pub offset: u64,
    pub append_time_ms: i64,
    pub value: Bytes,
    /// See [`LogRecord::trace`].
    pub trace: Option<TraceContext>,
    pub content: Content,
}

#[derive(Debug, Clone)]
pub enum Content {
    Claim {
        epoch: u64,
        claim_id: ClaimId,
        address: String,
    },
    Schema(Fingerprint),
    Command(Arc<Command>),
    /// A command that the reader sent itself, see [`Follower::follow_own`].
    Own,
}

/// One command with its events, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub record_time_ms: i64,
    pub name: String,
    pub actor: Option<AccountId>,
    pub key: Option<IdempotencyKey>,
    pub fingerprint: Option<Bytes>,
    pub events: Vec<Event>,
}

#[derive(Debug, Clone)]
pub enum Outcome {
    Accepted(Accepted),
    Skipped(SkipReason),
}

/// Why a reader must stop: going on would lose something in silence.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    #[error("offset {offset}")]
    Frame {
        offset: u64,
        #[source]
        source: FrameError,
    },
    #[error("the accepted record at offset {offset} cannot be decoded")]
    Undecodable {
        offset: u64,
        #[source]
        source: CodecError,
    },
    #[error("offset {offset} came after offset {next}")]
    OutOfOrder { offset: u64, next: u64 },
}

/// The state of a reader in one partition: what a [`Cursor`] stores.
#[derive(Debug, Clone)]
pub struct Follower {
    chain: Chain,
    next_offset: u64,
    record_time_ms: i64,
    announced: Announced,
    last_accepted: Option<LastAccepted>,
}

impl Follower {
    /// Starts at offset 0 of a partition; see [`Chain::new`] for the identity.
    pub fn from_start(chain: Chain) -> Self {
        Self {
            chain,
            next_offset: 0,
            record_time_ms: 0,
            announced: Announced::default(),
            last_accepted: None,
        }
    }

    pub fn from_cursor(cursor: &Cursor) -> Result<Self, CodecError> {
        Ok(Self {
            chain: cursor.chain(),
            next_offset: cursor.next_offset,
            record_time_ms: cursor.record_time_ms,
            announced: Announced::from_json(cursor.announced.iter().map(String::as_str))?,
            last_accepted: cursor.last_accepted,
        })
    }

    /// `None` while the log's identity is unknown.
    pub fn cursor(&self) -> Option<Cursor> {
        Some(Cursor {
            identity: self.chain.identity()?,
            partition: self.chain.partition(),
            next_offset: self.next_offset,
            epoch: self.chain.epoch(),
            claim_id: self.chain.claim_id(),
            head: self.chain.head(),
            record_time_ms: self.record_time_ms,
            announced: self.announced.to_json(),
            last_accepted: self.last_accepted,
        })
    }

    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    pub fn announced(&self) -> &Announced {
        &self.announced
    }

    pub fn next_offset(&self) -> u64 {
        self.next_offset
    }

    pub fn record_time_ms(&self) -> i64 {
        self.record_time_ms
    }

    /// Judges the next record. After an error the state is as before it.
    pub fn follow(&mut self, record: &LogRecord) -> Result<Outcome, FollowError> {
        self.judge(record, Self::decode)
    }

    /// The same for a command record that the caller sent itself and decoded before: it is judged
    /// like any other, but not decoded again.
    pub fn follow_own(&mut self, record: &LogRecord, record_time_ms: i64) -> Result<Outcome, FollowError> {
        self.judge(record, |follower, _, _| {
            follower.record_time_ms = record_time_ms;
            Ok(Content::Own)
        })
    }

    fn judge(
        &mut self,
        record: &LogRecord,
        decode: impl FnOnce(&mut Self, Kind, &[u8]) -> Result<Content, CodecError>,
    ) -> Result<Outcome, FollowError> {
        let offset = record.offset;
        if offset < self.next_offset {
            return Err(FollowError::OutOfOrder { offset, next: self.next_offset });
        }
        let mut chain = self.chain.clone();
        let verdict = chain.accept(&record.value).map_err(|source| FollowError::Frame { offset, source })?;
        let content = match verdict {
            Verdict::Skipped(reason) => {
                self.next_offset = offset + 1;
                return Ok(Outcome::Skipped(reason));
            }
            Verdict::Claim(claim) => Content::Claim {
                epoch: claim.epoch,
                claim_id: claim.claim_id,
                address: claim.address.to_owned(),
            },
            Verdict::Record { kind, body } => {
                decode(self, kind, body).map_err(|source| FollowError::Undecodable { offset, source })?
            }
        };
        self.last_accepted = Some(LastAccepted { offset, previous_head: self.head_before(&chain) });
        self.next_offset = offset + 1;
        self.chain = chain;
        Ok(Outcome::Accepted(Accepted {
            offset,
            append_time_ms: record.append_time_ms,
            value: record.value.clone(),
            trace: record.trace,
            content,
        }))
    }

    /// The head that the record which led to `after` was judged against.
    fn head_before(&self, after: &Chain) -> Head {
        match (self.chain.identity(), after.identity()) {
            (None, Some(identity)) => Head::first(identity.log_id, after.partition()),
            _ => self.chain.head(),
        }
    }

    fn decode(&mut self, kind: Kind, body: &[u8]) -> Result<Content, CodecError> {
        match kind {
            Kind::Schema => {
                let json = std::str::from_utf8(body).map_err(|_| CodecError::NotSingleObject)?;
                let fingerprint = self.announced.add(json)?;
                Ok(Content::Schema(fingerprint.unwrap_or_default()))
            }
            Kind::Command | Kind::Claim => {
                let record = CommandRecord::decode(body, &self.announced)?;
                let events = record
                    .events
                    .iter()
                    .map(|event| decode_event(event, &self.announced))
                    .collect::<Result<Vec<_>, _>>()?;
                self.record_time_ms = record.record_time_ms;
                Ok(Content::Command(Arc::new(Command {
                    record_time_ms: record.record_time_ms,
                    name: record.command,
                    actor: record.actor,
                    key: record.key,
                    fingerprint: record.fingerprint,
                    events,
                })))
            }
        }
    }
}
