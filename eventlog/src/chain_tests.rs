use super::*;
use crate::frame::{encode_claim, encode_record};
use bytes::Bytes;

const ROOMS_0: TopicPartition = TopicPartition::rooms(0);

fn identity(n: u128) -> LogIdentity {
    LogIdentity { log_id: Uuid::from_u128(n), partitions: PartitionCounts { accounts: 1, rooms: 1 } }
}

fn claim(epoch: u64, id: u128) -> Bytes {
    encode_claim(&Claim { epoch, claim_id: Uuid::from_u128(id), identity: identity(1), address: "" })
}

fn record(chain: &Chain, body: &[u8]) -> Bytes {
    encode_record(Kind::Command, chain.claim_id(), chain.head(), body)
}

fn skipped(chain: &mut Chain, value: &[u8]) -> SkipReason {
    let before = chain.clone();
    let Verdict::Skipped(reason) = chain.accept(value).unwrap() else { panic!("accepted") };
    assert_eq!(*chain, before, "a skipped record changes nothing");
    reason
}

fn owned() -> Chain {
    let mut chain = Chain::new(ROOMS_0, Some(identity(1)));
    assert!(matches!(chain.accept(&claim(1, 10)), Ok(Verdict::Claim(_))));
    chain
}

#[test]
fn the_first_head_depends_on_log_topic_and_partition() {
    let log = Uuid::from_u128(1);
    let heads = [
        Head::first(log, ROOMS_0),
        Head::first(log, TopicPartition::rooms(1)),
        Head::first(log, TopicPartition::accounts(0)),
        Head::first(Uuid::from_u128(2), ROOMS_0),
    ];
    assert_eq!(heads.iter().collect::<std::collections::HashSet<_>>().len(), 4);
}

#[test]
fn a_record_on_the_head_under_the_current_claim_is_accepted_once() {
    let mut chain = owned();
    let value = record(&chain, b"a");
    assert!(matches!(chain.accept(&value), Ok(Verdict::Record { body: b"a", .. })));
    assert_eq!(skipped(&mut chain, &value), SkipReason::NotOnHead, "a duplicate");
}

#[test]
fn an_orphan_whose_predecessor_was_lost_is_skipped() {
    let mut chain = owned();
    let mut ahead = chain.clone();
    let lost = record(&ahead, b"lost");
    ahead.accept(&lost).unwrap();
    let orphan = record(&ahead, b"orphan");
    assert_eq!(skipped(&mut chain, &orphan), SkipReason::NotOnHead);
}

#[test]
fn a_replaced_owners_record_is_skipped() {
    let mut chain = owned();
    let zombie = record(&chain, b"zombie");
    chain.accept(&claim(2, 20)).unwrap();
    assert_eq!(skipped(&mut chain, &zombie), SkipReason::StaleClaim);
}

#[test]
fn only_the_next_epoch_is_accepted() {
    let mut chain = owned();
    assert_eq!(skipped(&mut chain, &claim(1, 30)), SkipReason::StaleEpoch);
    assert_eq!(skipped(&mut chain, &claim(3, 30)), SkipReason::StaleEpoch);
    assert!(matches!(chain.accept(&claim(2, 30)), Ok(Verdict::Claim(_))));
}

#[test]
fn nothing_is_accepted_before_the_first_claim() {
    let mut chain = Chain::new(ROOMS_0, Some(identity(1)));
    let value = encode_record(Kind::Command, Uuid::from_u128(1), chain.head(), b"");
    assert_eq!(skipped(&mut chain, &value), SkipReason::StaleClaim);
}

#[test]
fn a_claim_for_another_log_is_skipped() {
    let mut chain = Chain::new(ROOMS_0, Some(identity(2)));
    assert_eq!(skipped(&mut chain, &claim(1, 10)), SkipReason::ForeignLog);
}

#[test]
fn the_first_claim_names_the_log_where_it_is_not_known_yet() {
    let mut fresh = Chain::new(TopicPartition::accounts(0), None);
    fresh.accept(&claim(1, 10)).unwrap();
    let mut told = Chain::new(TopicPartition::accounts(0), Some(identity(1)));
    told.accept(&claim(1, 10)).unwrap();
    assert_eq!(fresh, told);
}

#[test]
fn foreign_bytes_are_skipped_and_newer_frames_stop_the_reader() {
    let mut chain = owned();
    assert_eq!(skipped(&mut chain, b"hello"), SkipReason::NoMagic);
    let mut value = record(&chain, b"a").to_vec();
    value.pop();
    assert_eq!(skipped(&mut chain, &value), SkipReason::WrongLength);
    value[4] = 9;
    let before = chain.clone();
    assert_eq!(chain.accept(&value), Err(FrameError::UnknownVersion(9)));
    assert_eq!(chain, before);
}
