//! Writes what an owner would write.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use roomlog_eventlog::frame::{encode_claim, encode_record};
use roomlog_eventlog::memory::MemoryLog;
use roomlog_eventlog::{
    Chain, Claim, EventLog, Kind, LogIdentity, NewRecord, PartitionCounts, Topic, TopicPartition, Verdict,
};
use roomlog_schemas::{AccountId, CommandRecord, Event, RoomId, encode_event, registry};
use uuid::Uuid;

/// Of the first command; each next one is a second later.
const FIRST_RECORD_TIME_MS: i64 = 1_780_000_000_000;

/// A log in memory with its single writer.
pub struct TestLog {
    log: Arc<MemoryLog>,
    identity: LogIdentity,
    chains: HashMap<TopicPartition, Chain>,
    claims: u128,
    record_time_ms: i64,
}

impl TestLog {
    /// A log whose partitions are all claimed, with the schemas announced.
    pub async fn new(partitions: PartitionCounts) -> Self {
        let mut this = Self::unclaimed(partitions);
        for partition in partitions.all() {
            this.claim(partition).await;
            for (_, schema) in registry::COMMITTED {
                this.append(partition, Kind::Schema, schema.as_bytes()).await;
            }
        }
        this
    }

    /// An empty log.
    pub fn unclaimed(partitions: PartitionCounts) -> Self {
        let identity = LogIdentity { log_id: Uuid::from_u128(0x7106), partitions };
        let chains = partitions.all().map(|partition| (partition, Chain::new(partition, Some(identity))));
        Self {
            log: Arc::new(MemoryLog::new(partitions)),
            identity,
            chains: chains.collect(),
            claims: 0,
            record_time_ms: FIRST_RECORD_TIME_MS,
        }
    }

    pub fn log(&self) -> Arc<dyn EventLog> {
        self.log.clone()
    }

    pub fn identity(&self) -> LogIdentity {
        self.identity
    }

    /// Record time of the last command, milliseconds since 1970.
    pub fn record_time_ms(&self) -> i64 {
        self.record_time_ms
    }

    pub fn account_partition(&self, account: AccountId) -> TopicPartition {
        self.identity.partitions.partition_of(Topic::Accounts, account.slot())
    }

    pub fn room_partition(&self, room: RoomId) -> TopicPartition {
        self.identity.partitions.partition_of(Topic::Rooms, room.slot())
    }

    /// The next owner takes over.
    pub async fn claim(&mut self, partition: TopicPartition) -> u64 {
        self.claims += 1;
        let value = encode_claim(&Claim {
            epoch: self.chain(partition).epoch() + 1,
            claim_id: Uuid::from_u128(self.claims),
            identity: self.identity,
            address: "http://127.0.0.1:1",
        });
        self.accepted(partition, value).await
    }

    /// One command; the answer is its offset.
    pub async fn command(&mut self, partition: TopicPartition, name: &str, events: &[Event]) -> u64 {
        let events = events.iter().map(|event| encode_event(event).expect("events encode"));
        self.command_of(partition, name, events.collect()).await
    }

    /// The same with events already encoded, whatever they are.
    pub async fn command_of(&mut self, partition: TopicPartition, name: &str, events: Vec<Bytes>) -> u64 {
        self.record_time_ms += 1_000;
        let record = CommandRecord {
            record_time_ms: self.record_time_ms,
            command: name.to_owned(),
            actor: None,
            key: None,
            fingerprint: None,
            events,
        };
        let body = record.encode().expect("command records encode");
        self.append(partition, Kind::Command, &body).await
    }

    /// Appends bytes that are not looked at, such as those that every reader skips.
    pub async fn raw(&self, partition: TopicPartition, value: Bytes) -> u64 {
        let record = NewRecord { value, ..NewRecord::default() };
        self.log.append(partition, record).await.expect("a log in memory takes everything").offset
    }

    async fn append(&mut self, partition: TopicPartition, kind: Kind, body: &[u8]) -> u64 {
        let chain = self.chain(partition);
        let value = encode_record(kind, chain.claim_id(), chain.head(), body);
        self.accepted(partition, value).await
    }

    async fn accepted(&mut self, partition: TopicPartition, value: Bytes) -> u64 {
        let verdict = self.chain(partition).accept(&value).expect("a known frame");
        assert!(!matches!(verdict, Verdict::Skipped(_)), "{verdict:?}");
        self.raw(partition, value).await
    }

    fn chain(&mut self, partition: TopicPartition) -> &mut Chain {
        self.chains.get_mut(&partition).expect("a partition of this log")
    }
}
