//! A reader of a partition, with whatever comes after a claim.
//!
//! The input is cut into records: one byte says of which kind, two how long it is. Most kinds are put into a frame on the
//! head, so that they are accepted and what they hold is decoded.

use bytes::Bytes;
use roomlog_eventlog::frame::encode_record;
use roomlog_eventlog::{Chain, Cursor, Follower, Kind, LogRecord, Outcome};

use crate::bytes_of::{self, PARTITION, identity};

const RAW: u8 = 0;
const COMMAND: u8 = 1;
const SCHEMA: u8 = 2;
const CLAIM: u8 = 3;

pub fn run(input: &[u8]) -> bool {
    let mut follower = Follower::from_start(Chain::new(PARTITION, Some(identity())));
    follow(&mut follower, bytes_of::claim(1)).expect("the first claim");
    let (mut rest, mut accepted) = (input, 0);
    while let Some((&[kind, low, high], after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes([low, high])).min(after.len());
        let (body, after) = after.split_at(length);
        rest = after;
        let chain = follower.chain();
        let value = match kind % 4 {
            RAW => Bytes::copy_from_slice(body),
            COMMAND => encode_record(Kind::Command, chain.claim_id(), chain.head(), body),
            SCHEMA => encode_record(Kind::Schema, chain.claim_id(), chain.head(), body),
            _ => bytes_of::claim(chain.epoch() + 1),
        };
        match follow(&mut follower, value) {
            Some(is_accepted) => accepted += usize::from(is_accepted),
            None => return false,
        }
    }
    accepted > 0
}

/// Whether the record was accepted; `None` where a reader stops.
fn follow(follower: &mut Follower, value: Bytes) -> Option<bool> {
    let before = cursor(follower);
    let offset = before.next_offset;
    match follower.follow(&record(offset, value.clone())) {
        Ok(Outcome::Skipped(_)) => {
            assert_eq!(cursor(follower), Cursor { next_offset: offset + 1, ..before });
            Some(false)
        }
        Ok(Outcome::Accepted(_)) => {
            let after = cursor(follower);
            assert_eq!((after.next_offset, after.head), (offset + 1, before.head.extend(&value)));
            let last = after.last_accepted.expect("one was accepted");
            assert_eq!((last.offset, last.previous_head), (offset, before.head));
            let stored = serde_json::to_vec(&after).expect("cursors can be stored");
            let stored: Cursor = serde_json::from_slice(&stored).expect("what was stored");
            let from_it = Follower::from_cursor(&stored).expect("a reader's own cursor");
            assert_eq!(from_it.cursor(), Some(after));
            Some(true)
        }
        Err(_) => {
            assert_eq!(cursor(follower), before, "what stops a reader changes nothing");
            None
        }
    }
}

fn cursor(follower: &Follower) -> Cursor {
    follower.cursor().expect("its log is known")
}

pub fn record(offset: u64, value: Bytes) -> LogRecord {
    LogRecord { offset, value, append_time_ms: 0, trace: None }
}

/// A partition as its owner writes it.
pub fn history() -> Vec<Bytes> {
    let mut chain = Chain::new(PARTITION, Some(identity()));
    let mut values = vec![bytes_of::claim(1)];
    chain.accept(&values[0]).expect("a claim");
    let command = bytes_of::command().encode().expect("records encode");
    for (kind, body) in [(Kind::Schema, newer_schema().as_bytes()), (Kind::Command, &command)] {
        let value = encode_record(kind, chain.claim_id(), chain.head(), body);
        chain.accept(&value).expect("a record on the head");
        values.push(value);
    }
    values
}

/// A later version of an event that this build knows.
fn newer_schema() -> String {
    let known = roomlog_schemas::Registry::known().latest("member_left").expect("a known event");
    let mut json: serde_json::Value = serde_json::from_str(&known.json).expect("a schema is JSON");
    let field = serde_json::json!({"name": "reason", "type": ["null", "string"], "default": null});
    json["fields"].as_array_mut().expect("a record has fields").push(field);
    json.to_string()
}

pub fn seeds() -> Vec<Vec<u8>> {
    let command = bytes_of::command().encode().expect("records encode");
    let schema = newer_schema();
    let part = |kind: u8, body: &[u8]| {
        let length = u16::try_from(body.len()).expect("seeds are small").to_le_bytes();
        [&[kind][..], &length, body].concat()
    };
    vec![
        part(COMMAND, &command),
        [part(SCHEMA, schema.as_bytes()), part(COMMAND, &command)].concat(),
        [part(RAW, &history()[0]), part(CLAIM, b""), part(COMMAND, &command)].concat(),
        part(SCHEMA, br#"{"type":"record","name":"later","fields":[{"name":"a","type":"long"}]}"#),
    ]
}
