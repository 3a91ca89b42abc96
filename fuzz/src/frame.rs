//! The frame of one record, and the rule that accepts it.

use roomlog_eventlog::frame::{HEADER_LEN, encode_claim, encode_record};
use roomlog_eventlog::{Chain, Claim, Frame, FrameError, Head, Kind, Verdict};
use uuid::Uuid;

use crate::bytes_of::{PARTITION, identity};

/// Where a frame has the head that it extends: of no meaning in a claim.
const PREV: std::ops::Range<usize> = 22..54;

pub fn run(value: &[u8]) -> bool {
    let frame = Frame::decode(value);
    match &frame {
        Ok(Frame::Record { kind, claim_id, prev, body }) => {
            assert_eq!(encode_record(*kind, *claim_id, *prev, body), value, "a record has one form");
            assert_eq!(body.len(), value.len() - HEADER_LEN);
        }
        Ok(Frame::Claim(claim)) => {
            let mut value = value.to_vec();
            value[PREV].fill(0);
            assert_eq!(encode_claim(claim), value, "a claim has one form but for `prev`");
        }
        Err(_) => {}
    }
    let mut fresh = Chain::new(PARTITION, Some(identity()));
    judge(&mut fresh, value, &frame);
    let mut owned = fresh_with_owner();
    judge(&mut owned, value, &frame);
    frame.is_ok()
}

/// What the rule says follows from the frame and the state alone, and moves the head by exactly this value or not at all.
fn judge(chain: &mut Chain, value: &[u8], frame: &Result<Frame<'_>, FrameError>) {
    let before = chain.clone();
    let verdict = chain.accept(value);
    match (&verdict, frame) {
        (Ok(Verdict::Claim(claim)), Ok(Frame::Claim(same))) => {
            assert_eq!(claim, same);
            assert_eq!((claim.epoch, claim.identity), (before.epoch() + 1, identity()));
            assert_eq!((chain.epoch(), chain.claim_id()), (claim.epoch, claim.claim_id));
        }
        (Ok(Verdict::Record { .. }), Ok(Frame::Record { claim_id, prev, .. })) => {
            assert_eq!((*claim_id, *prev), (before.claim_id(), before.head()));
            assert_eq!((chain.epoch(), chain.claim_id()), (before.epoch(), before.claim_id()));
        }
        (Ok(Verdict::Skipped(_)), Ok(_) | Err(FrameError::NoMagic | FrameError::WrongLength)) => {
            assert_eq!(*chain, before, "what is skipped changes nothing");
            return;
        }
        (Err(stop), Err(same)) => {
            assert_eq!((stop, &*chain), (same, &before), "what stops a reader changes nothing");
            return;
        }
        _ => panic!("{verdict:?} of {frame:?}"),
    }
    assert_eq!(chain.head(), before.head().extend(value));
}

fn fresh_with_owner() -> Chain {
    let mut chain = Chain::new(PARTITION, Some(identity()));
    chain.accept(&crate::bytes_of::claim(1)).expect("a claim");
    assert_eq!(chain.epoch(), 1);
    chain
}

pub fn seeds() -> Vec<Vec<u8>> {
    let owned = fresh_with_owner();
    let foreign = Claim {
        epoch: 2,
        claim_id: Uuid::from_u128(1),
        identity: roomlog_eventlog::LogIdentity { log_id: Uuid::from_u128(2), ..identity() },
        address: "http://other",
    };
    let of = |kind, body: &[u8]| encode_record(kind, owned.claim_id(), owned.head(), body);
    [
        crate::bytes_of::claim(1),
        crate::bytes_of::claim(2),
        encode_claim(&foreign),
        of(Kind::Command, b"body"),
        of(Kind::Schema, b"{}"),
        encode_record(Kind::Command, owned.claim_id(), Head::ZERO, b""),
        encode_record(Kind::Command, Uuid::nil(), Chain::new(PARTITION, Some(identity())).head(), b""),
    ]
    .map(|value| value.to_vec())
    .to_vec()
}
