//! Whatever bytes a partition holds, a reader judges them without a panic, and what it skips changes
//! nothing.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use bytes::Bytes;
use proptest::prelude::*;
use roomlog_eventlog::frame::{HEADER_LEN, encode_claim, encode_record};
use roomlog_eventlog::{
    Chain, Claim, Cursor, Follower, Kind, LogIdentity, LogRecord, Outcome, PartitionCounts, TopicPartition,
};
use roomlog_schemas::CommandRecord;
use uuid::Uuid;

const PARTITION: TopicPartition = TopicPartition::rooms(0);

fn identity() -> LogIdentity {
    LogIdentity { log_id: Uuid::from_u128(1), partitions: PartitionCounts { accounts: 1, rooms: 1 } }
}

fn record(offset: u64, value: Bytes) -> LogRecord {
    LogRecord { offset, value, append_time_ms: 0, trace: None }
}

/// A partition as its owner writes it: a claim, a schema, commands.
fn history() -> Vec<Bytes> {
    let mut chain = Chain::new(PARTITION, Some(identity()));
    let claim =
        Claim { epoch: 1, claim_id: Uuid::from_u128(9), identity: identity(), address: "http://here" };
    let mut values = vec![encode_claim(&claim)];
    chain.accept(&values[0]).unwrap();
    let command = CommandRecord {
        record_time_ms: 1,
        command: "nothing".into(),
        actor: None,
        key: None,
        fingerprint: None,
        events: Vec::new(),
    };
    let schema = br#"{"type":"record","name":"later","fields":[{"name":"a","type":"long"}]}"#;
    let body = command.encode().unwrap();
    for (kind, body) in [(Kind::Schema, &schema[..]), (Kind::Command, &body), (Kind::Command, &body)] {
        values.push(encode_record(kind, chain.claim_id(), chain.head(), body));
        chain.accept(values.last().unwrap()).unwrap();
    }
    values
}

/// What may happen to bytes.
#[derive(Debug, Clone)]
enum Damage {
    Flip { at: usize, bit: u8 },
    Cut { at: usize },
    Insert { at: usize, bytes: Vec<u8> },
    Replace { bytes: Vec<u8> },
}

impl Damage {
    fn apply(&self, bytes: &[u8]) -> Bytes {
        let mut bytes = bytes.to_vec();
        let place = |at: usize| at % bytes.len().max(1);
        match self {
            Damage::Flip { at, bit } => {
                let at = place(*at);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            Damage::Cut { at } => bytes.truncate(place(*at)),
            Damage::Insert { at, bytes: more } => {
                let at = place(*at);
                bytes.splice(at..at, more.iter().copied());
            }
            Damage::Replace { bytes: others } => bytes.clone_from(others),
        }
        bytes.into()
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..80);
    prop_oneof![
        4 => (any::<usize>(), 0..8u8).prop_map(|(at, bit)| Damage::Flip { at, bit }),
        // Where the frame has its fields.
        4 => (0..HEADER_LEN, 0..8u8).prop_map(|(at, bit)| Damage::Flip { at, bit }),
        2 => any::<usize>().prop_map(|at| Damage::Cut { at }),
        2 => (any::<usize>(), bytes()).prop_map(|(at, bytes)| Damage::Insert { at, bytes }),
        1 => bytes().prop_map(|bytes| Damage::Replace { bytes }),
    ]
}

/// All that a reader knows, but for the offset up to which it has read.
fn knowledge(follower: &Follower) -> String {
    let cursor = follower.cursor().map(|cursor| Cursor { next_offset: 0, ..cursor });
    format!("{cursor:?}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn damaged_records_are_judged_and_what_is_skipped_changes_nothing(
        which in 0..4usize,
        damages in prop::collection::vec(damage(), 1..4),
    ) {
        let mut values = history();
        values[which] = damages.iter().fold(values[which].clone(), |value, damage| damage.apply(&value));
        let mut follower = Follower::from_start(Chain::new(PARTITION, Some(identity())));
        for (offset, value) in values.into_iter().enumerate() {
            let before = knowledge(&follower);
            match follower.follow(&record(offset as u64, value)) {
                Ok(Outcome::Accepted(_)) => {}
                Ok(Outcome::Skipped(_)) => prop_assert_eq!(knowledge(&follower), before),
                Err(_) => {
                    prop_assert_eq!(knowledge(&follower), before);
                    return Ok(());
                }
            }
        }
    }

    #[test]
    fn a_damaged_cursor_is_refused_or_followed(damages in prop::collection::vec(damage(), 1..4)) {
        let mut follower = Follower::from_start(Chain::new(PARTITION, Some(identity())));
        for (offset, value) in history().into_iter().enumerate() {
            follower.follow(&record(offset as u64, value)).unwrap();
        }
        let stored = serde_json::to_vec(&follower.cursor().unwrap()).unwrap();
        let damaged = damages.iter().fold(Bytes::from(stored), |bytes, damage| damage.apply(&bytes));
        let Ok(cursor) = serde_json::from_slice::<Cursor>(&damaged) else { return Ok(()) };
        let Ok(mut follower) = Follower::from_cursor(&cursor) else { return Ok(()) };
        for (offset, value) in history().into_iter().enumerate() {
            let _ = follower.follow(&record(offset as u64, value));
        }
    }
}
