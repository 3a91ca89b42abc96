//! A type of event that only a later build knows: that build reads both, one before it stops.
#![cfg(feature = "chaos-next-build")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use roomlog_schemas::*;

#[test]
fn a_later_build_reads_what_it_writes_and_what_was_written_before() {
    next_build::turn_on();
    let id = uuid::Uuid::from_u128(7);
    let event = Event::from(MessageSent {
        room_id: RoomId(id),
        seq: 3,
        message_id: MessageId(id),
        author_id: AccountId(id),
        text: "sealed".into(),
        reply_to: None,
        imported: None,
    });
    let (old, new) = (encode_event(&event).unwrap(), next_build::encode_event(&event).unwrap());
    assert_ne!(old, new);
    for encoded in [&old, &new] {
        assert_eq!(decode_event(encoded, &Announced::default()).unwrap(), event);
    }
    let fingerprint = codec::fingerprint(&new).unwrap();
    let announced = &Registry::known().version(fingerprint).unwrap().json;
    assert!(announced.contains("\"MessagePosted\""), "{announced}");
}
