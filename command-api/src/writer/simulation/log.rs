//! The one partition: records in the order in which they reached it.

use bytes::Bytes;
use roomlog_eventlog::frame::{encode_claim, encode_record};
use roomlog_eventlog::{Claim, Frame, Head, Kind, LogIdentity, LogRecord, PartitionCounts, TopicPartition};
use uuid::Uuid;

use super::clients::AttemptId;
use super::rng::Rng;
use crate::writer::request::Millis;

pub const PARTITION: TopicPartition = TopicPartition::rooms(0);

pub fn identity() -> LogIdentity {
    LogIdentity { log_id: Uuid::from_u128(1), partitions: PartitionCounts { accounts: 1, rooms: 1 } }
}

#[derive(Default)]
pub struct Log {
    pub records: Vec<LogRecord>,
    /// Whose command each of `records` holds.
    attempts: Vec<Option<AttemptId>>,
    next_offset: u64,
    last_time: Millis,
}

impl Log {
    pub fn append(&mut self, value: Bytes, attempt: Option<AttemptId>, now: Millis) -> LogRecord {
        self.last_time = self.last_time.max(now);
        let record =
            LogRecord { offset: self.next_offset, value, append_time_ms: self.last_time, trace: None };
        self.next_offset += 1;
        self.records.push(record.clone());
        self.attempts.push(attempt);
        record
    }

    pub fn end(&self) -> u64 {
        self.next_offset
    }

    /// Offsets that no record has, also at the log's end.
    pub fn leave_gap(&mut self, offsets: u64) {
        self.next_offset += offsets;
    }

    /// Where a reader of `next_offset` goes on in `records`.
    pub fn index_of(&self, next_offset: u64) -> usize {
        self.records.partition_point(|record| record.offset < next_offset)
    }

    /// A record that nobody waits for: foreign, cut off, an old one again, a claim of another log or
    /// for an epoch that is past, a record that is not on the head.
    pub fn garbage(&self, rng: &mut Rng) -> (Bytes, Option<AttemptId>) {
        let old = rng.below(self.records.len());
        let claim = |identity: LogIdentity| {
            let claim_id = Uuid::from_u128(0xBAD);
            encode_claim(&Claim { epoch: 0, claim_id, identity, address: "" })
        };
        let value = match (rng.below(5), self.records.get(old)) {
            (0, _) | (_, None) => Bytes::from_static(b"not one of ours"),
            (1, Some(record)) => record.value.slice(..record.value.len() - 1),
            (2, Some(record)) => return (record.value.clone(), self.attempts[old]),
            (3, _) => claim(LogIdentity { log_id: Uuid::from_u128(2), ..identity() }),
            _ => match self.records.iter().rev().find_map(|record| claim_id(&record.value)) {
                Some(id) => encode_record(Kind::Command, id, Head([7; 32]), b"forged"),
                None => claim(identity()),
            },
        };
        (value, None)
    }
}

fn claim_id(value: &[u8]) -> Option<Uuid> {
    match Frame::decode(value) {
        Ok(Frame::Claim(claim)) => Some(claim.claim_id),
        _ => None,
    }
}
