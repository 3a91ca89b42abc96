//! The accept rule: one function that every reader of a partition runs, over every record, in
//! order. It needs nothing but the frame and this state, so all readers agree.
//!
//! * a *claim* is accepted if and only if its epoch is the current one + 1 and it names this log;
//! * any *other record* if and only if its claim id is the current one and its `prev` is the head;
//! * head := BLAKE3(head ‖ value), claims included; the first head is
//!   BLAKE3(log id ‖ topic ‖ partition, 4 bytes big endian).

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::chaos_mutation::{self, Mutation};
use crate::frame::{Claim, ClaimId, Frame, FrameError, Kind};
use crate::partition::{PartitionCounts, TopicPartition};

/// What makes a log this log and no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LogIdentity {
    pub log_id: Uuid,
    pub partitions: PartitionCounts,
}

/// BLAKE3 over everything accepted so far.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Head(pub [u8; 32]);

impl Head {
    pub const ZERO: Head = Head([0; 32]);

    pub fn first(log_id: Uuid, partition: TopicPartition) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(log_id.as_bytes());
        hasher.update(partition.topic.name().as_bytes());
        hasher.update(&partition.partition.to_be_bytes());
        Head(*hasher.finalize().as_bytes())
    }

    #[must_use]
    pub fn extend(self, value: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0);
        hasher.update(value);
        Head(*hasher.finalize().as_bytes())
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Head {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string())
    }
}

impl<'de> Deserialize<'de> for Head {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        blake3::Hash::from_hex(&text).map(|hash| Head(*hash.as_bytes())).map_err(serde::de::Error::custom)
    }
}

/// Why a record does not count. Such a record is harmless and every reader skips it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SkipReason {
    /// Not written by Roomlog.
    NoMagic,
    /// Cut off or with something behind it.
    WrongLength,
    /// A claim for another log.
    ForeignLog,
    /// A claim whose epoch is not the next one.
    StaleEpoch,
    /// Written under a claim that is not the current one: a replaced owner's record.
    StaleClaim,
    /// Under the current claim, but not on the head: a duplicate, or an orphan whose predecessor
    /// was lost.
    NotOnHead,
}

impl SkipReason {
    pub const fn name(self) -> &'static str {
        match self {
            SkipReason::NoMagic => "no_magic",
            SkipReason::WrongLength => "wrong_length",
            SkipReason::ForeignLog => "foreign_log",
            SkipReason::StaleEpoch => "stale_epoch",
            SkipReason::StaleClaim => "stale_claim",
            SkipReason::NotOnHead => "not_on_head",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict<'a> {
    Claim(Claim<'a>),
    Record { kind: Kind, body: &'a [u8] },
    Skipped(SkipReason),
}

/// The state of the accept rule in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    partition: TopicPartition,
    identity: Option<LogIdentity>,
    epoch: u64,
    claim_id: ClaimId,
    head: Head,
}

impl Chain {
    /// A partition at offset 0. The identity is unknown only while `accounts/0`, whose first
    /// accepted record names it, has not been read.
    pub fn new(partition: TopicPartition, identity: Option<LogIdentity>) -> Self {
        let head = identity.map_or(Head::ZERO, |identity| Head::first(identity.log_id, partition));
        Self { partition, identity, epoch: 0, claim_id: Uuid::nil(), head }
    }

    /// A partition at a stored cursor.
    pub fn at(
        partition: TopicPartition,
        identity: LogIdentity,
        epoch: u64,
        claim_id: ClaimId,
        head: Head,
    ) -> Self {
        Self { partition, identity: Some(identity), epoch, claim_id, head }
    }

    pub fn partition(&self) -> TopicPartition {
        self.partition
    }

    pub fn identity(&self) -> Option<LogIdentity> {
        self.identity
    }

    /// 0 before the first claim.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    pub fn claim_id(&self) -> ClaimId {
        self.claim_id
    }

    pub fn head(&self) -> Head {
        self.head
    }

    /// Judges one record and, if it counts, moves on. `Err` means that this build cannot judge it
    /// and must stop; the state is then unchanged.
    pub fn accept<'a>(&mut self, value: &'a [u8]) -> Result<Verdict<'a>, FrameError> {
        let frame = match Frame::decode(value) {
            Ok(frame) => frame,
            Err(FrameError::NoMagic) => return Ok(Verdict::Skipped(SkipReason::NoMagic)),
            Err(FrameError::WrongLength) => return Ok(Verdict::Skipped(SkipReason::WrongLength)),
            Err(stop) => return Err(stop),
        };
        match frame {
            Frame::Claim(claim) => {
                if self.identity.is_some_and(|identity| identity != claim.identity) {
                    return Ok(Verdict::Skipped(SkipReason::ForeignLog));
                }
                if claim.epoch != self.epoch + 1 {
                    return Ok(Verdict::Skipped(SkipReason::StaleEpoch));
                }
                if self.identity.is_none() {
                    self.identity = Some(claim.identity);
                    self.head = Head::first(claim.identity.log_id, self.partition);
                }
                self.epoch = claim.epoch;
                self.claim_id = claim.claim_id;
                self.head = self.head.extend(value);
                Ok(Verdict::Claim(claim))
            }
            Frame::Record { kind, claim_id, prev, body } => {
                if claim_id != self.claim_id {
                    return Ok(Verdict::Skipped(SkipReason::StaleClaim));
                }
                if prev != self.head
                    && !mutation::without_chain_check()
                    && !chaos_mutation::is_on(Mutation::ChainCheck)
                {
                    return Ok(Verdict::Skipped(SkipReason::NotOnHead));
                }
                self.head = self.head.extend(value);
                Ok(Verdict::Record { kind, body })
            }
        }
    }
}

/// Breaks the rule on purpose, for the simulation that has to notice.
pub mod mutation {
    #[cfg(feature = "mutations")]
    thread_local! {
        static WITHOUT_CHAIN_CHECK: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    }

    #[cfg(feature = "mutations")]
    pub fn set_without_chain_check(on: bool) {
        WITHOUT_CHAIN_CHECK.set(on);
    }

    #[cfg(feature = "mutations")]
    pub(super) fn without_chain_check() -> bool {
        WITHOUT_CHAIN_CHECK.get()
    }

    #[cfg(not(feature = "mutations"))]
    pub(super) const fn without_chain_check() -> bool {
        false
    }
}

#[cfg(test)]
#[path = "chain_tests.rs"]
mod tests;
