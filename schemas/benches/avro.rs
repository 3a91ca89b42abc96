//! What a message's event costs in Avro, by the library that the log uses and by a faster one (ADR 0010). Not a
//! judgement, a measurement: `cargo bench -p roomlog-schemas --bench avro`

// Clippy knows the tests themselves, not what is measured.
#![allow(clippy::unwrap_used)]

mod mirror;

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mirror::Mirror;
use roomlog_schemas::{
    AccountId, Announced, Event, MessageId, MessageSent, RoomId, decode_event, encode_event,
};

const SCHEMA: &str = include_str!("../avro/message_sent/v1.avsc");
/// Marker and fingerprint of single-object encoding.
const HEADER_LEN: usize = 10;
/// 256 B of text, sealed.
const SEALED_LEN: usize = 300;
const ROUNDS: usize = 5;
const EVENTS: u32 = 200_000;

fn main() {
    let sent = MessageSent {
        room_id: RoomId::from_u128(0x8001),
        seq: 12_345,
        message_id: MessageId::from_u128(77 << 80),
        author_id: AccountId::from_u128(5 << 90),
        text: Bytes::from(vec![7; SEALED_LEN]),
        reply_to: None,
        imported: None,
    };
    let mirror = Mirror::of(&sent);
    let event = Event::from(sent);
    let encoded = encode_event(&event).unwrap();
    let announced = Announced::default();

    let schema: serde_avro_fast::Schema = SCHEMA.parse().unwrap();
    let mut settings = serde_avro_fast::ser::SerializerConfig::new(&schema);
    let datum = serde_avro_fast::to_datum_vec(&mirror, &mut settings).unwrap();
    assert_eq!(encoded[HEADER_LEN..], datum, "both write the same bytes");
    assert_eq!(serde_avro_fast::from_datum_slice::<Mirror>(&datum, &schema).unwrap(), mirror);

    measure("apache-avro, encode", || drop(black_box(encode_event(&event).unwrap())));
    measure("serde_avro_fast, encode", || {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(&encoded[..HEADER_LEN]);
        let out = serde_avro_fast::to_datum(&mirror, out, &mut settings).unwrap();
        drop(black_box(Bytes::from(out)));
    });
    measure("apache-avro, decode", || drop(black_box(decode_event(&encoded, &announced).unwrap())));
    measure("serde_avro_fast, decode", || {
        let datum = &encoded[HEADER_LEN..];
        drop(black_box(serde_avro_fast::from_datum_slice::<Mirror>(datum, &schema).unwrap()));
    });
}

/// Prints the fastest and the slowest round's time for one event.
fn measure(name: &str, mut work: impl FnMut()) {
    let rounds: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            (0..EVENTS).for_each(|_| work());
            start.elapsed() / EVENTS
        })
        .collect();
    let (fastest, slowest) = (rounds.iter().min().unwrap(), rounds.iter().max().unwrap());
    println!("{name:<26} {} – {} ns", fastest.as_nanos(), slowest.as_nanos());
}
