//! Owners of a partition, as far as the log sees them.

use bytes::Bytes;
use roomlog_schemas::CommandRecord;
use uuid::Uuid;

use super::*;
use crate::chain::{Chain, LogIdentity};
use crate::cursor::Cursor;
use crate::follow::{Accepted, Content};
use crate::frame::{Claim, Kind, encode_claim, encode_record};
use crate::reader::AcceptedReader;

pub const IDENTITY: LogIdentity = LogIdentity { log_id: Uuid::from_u128(1), partitions: COUNTS };

/// Makes records on the chain as it knows it. What it makes it takes as accepted, as an owner does
/// that decides ahead of the log; another's records it learns from [`follow`](Self::follow).
#[derive(Clone)]
pub struct Owner {
    chain: Chain,
}

impl Owner {
    pub fn new(partition: TopicPartition) -> Self {
        Self { chain: Chain::new(partition, Some(IDENTITY)) }
    }

    /// A claim for the next epoch.
    pub fn claim(&mut self) -> Bytes {
        let claim = Claim {
            epoch: self.chain.epoch() + 1,
            claim_id: random_id(),
            identity: IDENTITY,
            address: "http://127.0.0.1:8080",
        };
        self.made(encode_claim(&claim))
    }

    pub fn command(&mut self, name: &str) -> Bytes {
        let record = CommandRecord {
            record_time_ms: 1_000,
            command: name.to_owned(),
            actor: None,
            key: None,
            fingerprint: None,
            events: Vec::new(),
        };
        self.body(&record.encode().expect("a command record encodes"))
    }

    /// A command with this body, whatever it is.
    pub fn body(&mut self, body: &[u8]) -> Bytes {
        let value = encode_record(Kind::Command, self.chain.claim_id(), self.chain.head(), body);
        self.made(value)
    }

    pub fn follow(&mut self, value: &[u8]) {
        self.chain.accept(value).expect("this build wrote it");
    }

    fn made(&mut self, value: Bytes) -> Bytes {
        self.follow(&value);
        value
    }
}

/// Names of the commands accepted from `cursor` on, up to and including the record at `last`, and
/// the cursor behind it.
pub async fn accepted(log: &Arc<dyn EventLog>, cursor: &Cursor, last: Appended) -> (Vec<String>, Cursor) {
    let mut reader =
        within("opening a reader", AcceptedReader::open(log, cursor, "test")).await.expect("it opens");
    let mut names = Vec::new();
    while reader.next_offset() <= last.offset {
        let accepted = within("reading", reader.next()).await.expect("nothing stops the reader");
        names.extend(accepted.iter().filter_map(name));
    }
    (names, reader.cursor())
}

/// `None` for what is not a command.
pub fn name(accepted: &Accepted) -> Option<String> {
    match &accepted.content {
        Content::Command(command) => Some(command.name.clone()),
        _ => None,
    }
}

fn random_id() -> Uuid {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system has random numbers");
    Uuid::new_v8(bytes)
}
