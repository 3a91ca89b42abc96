//! Events and command records in Avro.

use roomlog_schemas::{Announced, CommandRecord, decode_event, encode_event};

use crate::bytes_of;

pub fn run(value: &[u8]) -> bool {
    let announced = Announced::default();
    let event = decode_event(value, &announced);
    if let Ok(event) = &event {
        let encoded = encode_event(event).expect("what was read can be written");
        assert_eq!(decode_event(&encoded, &announced).ok().as_ref(), Some(event));
    }
    let record = CommandRecord::decode(value, &announced);
    if let Ok(record) = &record {
        let encoded = record.encode().expect("what was read can be written");
        assert_eq!(CommandRecord::decode(&encoded, &announced).ok().as_ref(), Some(record));
    }
    assert!(event.is_err() || record.is_err(), "no value is both");
    event.is_ok() || record.is_ok()
}

pub fn seeds() -> Vec<Vec<u8>> {
    let record = bytes_of::command();
    let own = record.encode().expect("records encode");
    record.events.into_iter().chain([own]).map(|value| value.to_vec()).collect()
}
