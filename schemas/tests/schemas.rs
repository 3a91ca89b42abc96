//! The schemas' promises: what was ever written decodes for ever, in both directions.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod samples;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use apache_avro::Schema;
use apache_avro::schema_compatibility::SchemaCompatibility;
use roomlog_schemas::registry::COMMITTED;
use roomlog_schemas::*;

#[test]
fn every_event_survives_a_round_trip() {
    for event in samples::events() {
        let bytes = encode_event(&event).unwrap();
        assert_eq!(decode_event(&bytes, &Announced::default()).unwrap(), event);
    }
}

#[test]
fn command_records_survive_a_round_trip() {
    for record in [samples::record(), samples::platform_record()] {
        let bytes = record.encode().unwrap();
        assert_eq!(CommandRecord::decode(&bytes, &Announced::default()).unwrap(), record);
    }
}

#[test]
fn every_event_type_has_samples_and_schemas() {
    let sampled: BTreeSet<&str> = samples::events().iter().map(Event::name).collect();
    assert_eq!(sampled, Event::NAMES.iter().copied().collect());
    for name in Event::NAMES {
        assert!(Registry::known().latest(name).is_some(), "{name}");
    }
}

/// FULL_TRANSITIVE: every version reads every other one.
#[test]
fn every_version_reads_every_other_version() {
    let mut by_name: BTreeMap<&str, Vec<Schema>> = BTreeMap::new();
    for (name, json) in COMMITTED {
        by_name.entry(name).or_default().push(Schema::parse_str(json).unwrap());
    }
    for (name, versions) in by_name {
        for a in &versions {
            for b in &versions {
                SchemaCompatibility::can_read(a, b).unwrap_or_else(|error| panic!("{name}: {error}"));
            }
        }
    }
}

#[test]
fn no_schema_file_is_left_out_of_the_registry() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("avro");
    let mut files = 0;
    for directory in std::fs::read_dir(root).unwrap() {
        files += std::fs::read_dir(directory.unwrap().path()).unwrap().count();
    }
    assert_eq!(files, COMMITTED.len());
}

/// The bytes in `golden/` were written once and are never written again: each must decode for ever.
/// A new version of a schema adds files; it never changes one. `UPDATE_GOLDEN=1` writes missing ones.
#[test]
fn golden_bytes_decode_for_ever() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut samples: Vec<(String, Vec<u8>, String)> = Vec::new();
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for event in samples::events() {
        let n = count.entry(event.name()).or_default();
        *n += 1;
        samples.push((
            format!("{}.v1.{n}.hex", event.name()),
            encode_event(&event).unwrap().to_vec(),
            format!("{event:?}"),
        ));
    }
    let record = samples::record();
    samples.push((
        "command_record.v1.1.hex".into(),
        record.encode().unwrap().to_vec(),
        format!("{record:?}"),
    ));
    for (name, encoded, expected) in samples {
        let path = root.join(&name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() && !path.exists() {
            std::fs::write(&path, hex(&encoded) + "\n").unwrap();
        }
        let golden = unhex(std::fs::read_to_string(&path).unwrap().trim());
        let decoded = if name.starts_with("command_record") {
            format!("{:?}", CommandRecord::decode(&golden, &Announced::default()).unwrap())
        } else {
            format!("{:?}", decode_event(&golden, &Announced::default()).unwrap())
        };
        assert_eq!(decoded, expected, "{name}");
    }
}

#[test]
fn damaged_bytes_are_errors_and_never_panics() {
    let bytes = encode_event(&samples::events()[0]).unwrap();
    for cut in 0..bytes.len() {
        assert!(decode_event(&bytes[..cut], &Announced::default()).is_err(), "{cut}");
    }
    let mut foreign = bytes.to_vec();
    foreign[3] ^= 1;
    assert!(matches!(decode_event(&foreign, &Announced::default()), Err(CodecError::UnknownSchema(_))));
}

/// The registry holds both: bytes of one where the other belongs are refused.
#[test]
fn an_event_is_no_record_and_a_record_no_event() {
    let announced = Announced::default();
    let record = samples::record().encode().unwrap();
    assert!(matches!(decode_event(&record, &announced), Err(CodecError::UnknownEvent(_))));
    let event = encode_event(&samples::events()[0]).unwrap();
    assert!(matches!(CommandRecord::decode(&event, &announced), Err(CodecError::UnknownEvent(_))));
}

/// An older build meets a newer version of an event that it knows: the announced schema lets it
/// read on. A type that it does not know stops it.
#[test]
fn an_announced_newer_version_is_readable_and_an_unknown_type_is_not() {
    let old = Registry::known().latest("member_left").unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&old.json).unwrap();
    json["fields"]
        .as_array_mut()
        .unwrap()
        .push(serde_json::json!({"name": "reason", "type": ["null", "string"], "default": null}));
    let newer = Schema::parse(&json).unwrap();
    let event = samples::events().into_iter().find(|e| e.name() == "member_left").unwrap();
    let mut bytes = vec![0xC3, 0x01];
    bytes.extend(newer.fingerprint::<apache_avro::rabin::Rabin>().bytes);
    bytes.extend(&encode_event(&event).unwrap()[10..]);
    bytes.extend([2, 2, b'x']); // reason: the union's second branch, a string of one byte

    assert!(matches!(decode_event(&bytes, &Announced::default()), Err(CodecError::UnknownSchema(_))));
    let mut announced = Announced::default();
    assert!(announced.add(&json.to_string()).unwrap().is_some());
    assert!(announced.add(&json.to_string()).unwrap().is_none());
    assert_eq!(decode_event(&bytes, &announced).unwrap(), event);
    let stored = announced.to_json();
    let restored = Announced::from_json(stored.iter().map(String::as_str)).unwrap();
    assert_eq!(decode_event(&bytes, &restored).unwrap(), event);

    json["name"] = "SomethingNew".into();
    announced.add(&json.to_string()).unwrap();
    let unknown = Schema::parse(&json).unwrap();
    bytes[2..10].copy_from_slice(&unknown.fingerprint::<apache_avro::rabin::Rabin>().bytes);
    assert!(matches!(decode_event(&bytes, &announced), Err(CodecError::UnknownEvent(_))));
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200), event in 0..18usize) {
        let _ = decode_event(&bytes, &Announced::default());
        let mut mangled = encode_event(&samples::events()[event]).unwrap()[..10].to_vec();
        mangled.extend(bytes);
        let _ = decode_event(&mangled, &Announced::default());
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}
