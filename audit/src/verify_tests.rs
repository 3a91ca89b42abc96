use std::path::PathBuf;

use ed25519_dalek::SigningKey;
use futures::stream;
use roomlog_eventlog::frame::{encode_claim, encode_record};
use roomlog_eventlog::memory::MemoryLog;
use roomlog_eventlog::{Claim, Kind, NewRecord, PartitionCounts, ReadOnlySqliteLog, SqliteLog};
use tempfile::TempDir;

use super::*;
use crate::keys::AuditKey;

const COUNTS: PartitionCounts = PartitionCounts { accounts: 1, rooms: 1 };
const PARTITION: TopicPartition = TopicPartition::rooms(0);
const IDENTITY: LogIdentity = LogIdentity { log_id: Uuid::from_u128(1), partitions: COUNTS };
/// A claim and this many records behind it.
const RECORDS: u64 = 20;
/// A checkpoint after each so many records.
const EVERY: u64 = 5;
/// Offset of the last checkpoint; one record lies after it.
const SIGNED: u64 = 20;
const TIME: i64 = 1_796_083_200_000;

fn secret(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

fn keys() -> KeyChain {
    KeyChain::verified(vec![AuditKey::first(&secret(1), Time::from_ms(TIME))], None).unwrap()
}

/// The nth record extends what the chain has accepted; the first is a claim.
fn value(chain: &Chain, n: u64, text: &str) -> bytes::Bytes {
    if n == 0 {
        let claim = Claim { epoch: 1, claim_id: Uuid::from_u128(2), identity: IDENTITY, address: "" };
        return encode_claim(&claim);
    }
    encode_record(Kind::Command, chain.claim_id(), chain.head(), format!("{text} {n}").as_bytes())
}

fn checkpoint(chain: &Chain, next_offset: u64, key: u8) -> Checkpoint {
    let ms = TIME + next_offset as i64;
    Checkpoint::sign(Stand::of(chain, next_offset).unwrap(), Time::from_ms(ms), &secret(key))
}

/// The log of a platform that has stopped, and what was signed of it.
struct Kept {
    folder: TempDir,
    checkpoints: Vec<Checkpoint>,
}

impl Kept {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = SqliteLog::open(&folder.path().join("log.db"), COUNTS).unwrap();
        let mut chain = Chain::new(PARTITION, Some(IDENTITY));
        let mut checkpoints = Vec::new();
        for n in 0..=RECORDS {
            let value = value(&chain, n, "text");
            log.append(PARTITION, NewRecord { value: value.clone(), ..NewRecord::default() }).await.unwrap();
            chain.accept(&value).unwrap();
            if (n + 1) % EVERY == 0 {
                checkpoints.push(checkpoint(&chain, n + 1, 1));
            }
        }
        Self { folder, checkpoints }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("log.db")
    }

    fn sql(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.file()).unwrap()
    }

    fn value(&self, offset: u64) -> Vec<u8> {
        self.sql()
            .query_row("SELECT value FROM rooms_0 WHERE offset = ?", [offset as i64], |row| row.get(0))
            .unwrap()
    }

    fn replace(&self, offset: u64, value: &[u8]) {
        let sql = self.sql();
        let replaced =
            sql.execute("UPDATE rooms_0 SET value = ? WHERE offset = ?", (value, offset as i64)).unwrap();
        assert_eq!(replaced, 1);
    }

    /// As somebody who knows how: every record is on the head of the one before.
    fn write_anew_from(&self, first: u64) {
        let mut chain = Chain::new(PARTITION, Some(IDENTITY));
        for n in 0..=RECORDS {
            let value = if n < first { self.value(n).into() } else { value(&chain, n, "other") };
            self.replace(n, &value);
            chain.accept(&value).unwrap();
        }
    }

    async fn verify(&self) -> Report {
        self.verify_with(self.checkpoints.clone(), Some(&keys())).await.unwrap()
    }

    async fn verify_with(
        &self,
        checkpoints: Vec<Checkpoint>,
        keys: Option<&KeyChain>,
    ) -> Result<Report, VerifyError> {
        let log: Arc<dyn EventLog> = Arc::new(ReadOnlySqliteLog::open(&self.file()).unwrap());
        let checkpoints = stream::iter(checkpoints.into_iter().map(Ok::<_, VerifyError>));
        verify(&log, IDENTITY, PARTITION, keys, checkpoints, |_| {}).await
    }
}

#[tokio::test]
async fn a_log_that_nobody_touched_is_sound() {
    let kept = Kept::new().await;
    let report = kept.verify().await;
    assert!(report.is_sound(), "{:?}", report.findings);
    assert_eq!((report.accepted, report.next_offset), (RECORDS + 1, RECORDS + 1));
    assert_eq!((report.agreeing, report.tail), (4, 1));
    assert_eq!(report.last, Some((SIGNED, kept.checkpoints[3].time)));
}

#[tokio::test]
async fn every_changed_byte_before_the_last_checkpoint_is_found() {
    let kept = Kept::new().await;
    for offset in [0, 1, 7, SIGNED - 1] {
        let value = kept.value(offset);
        for at in 0..value.len() {
            // Of a claim, the head in its frame means nothing to the rule; the chain covers it as well.
            let mut changed = value.clone();
            changed[at] ^= 1;
            kept.replace(offset, &changed);
            let report = kept.verify().await;
            assert!(!report.is_sound(), "offset {offset}, byte {at}: {report}");
        }
        kept.replace(offset, &value);
    }
    assert!(kept.verify().await.is_sound());
    let mut changed = kept.value(SIGNED);
    *changed.last_mut().unwrap() ^= 1;
    kept.replace(SIGNED, &changed);
    assert!(kept.verify().await.is_sound(), "what no checkpoint covers is not noticed: it is the tail");
}

#[tokio::test]
async fn a_change_is_told_between_two_checkpoints() {
    let kept = Kept::new().await;
    let mut changed = kept.value(7);
    *changed.last_mut().unwrap() ^= 1;
    kept.replace(7, &changed);
    let report = kept.verify().await;
    assert!(
        matches!(report.findings[..], [Finding::Changed { since: 5, until: 10, .. }]),
        "{:?}",
        report.findings
    );
    assert_eq!(report.skipped["not_on_head"], RECORDS - 7);
}

#[tokio::test]
async fn a_tail_that_was_cut_off_is_found() {
    let kept = Kept::new().await;
    kept.sql().execute("DELETE FROM rooms_0 WHERE offset >= 12", []).unwrap();
    let report = kept.verify().await;
    let offsets: Vec<_> = report
        .findings
        .iter()
        .map(|finding| match finding {
            Finding::Truncated { end, signed, .. } => (*end, *signed),
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(offsets, [(12, 15), (12, 20)]);
    assert_eq!((report.agreeing, report.tail), (2, 2));
}

/// The chain of such a log is perfect: only a checkpoint knows of it.
#[tokio::test]
async fn a_tail_that_was_written_anew_is_found_by_checkpoints_alone() {
    let kept = Kept::new().await;
    kept.write_anew_from(12);
    let blind = kept.verify_with(Vec::new(), Some(&keys())).await.unwrap();
    assert!(blind.is_sound() && blind.skipped.is_empty() && blind.accepted == RECORDS + 1);
    let report = kept.verify().await;
    assert!(
        matches!(report.findings[..], [Finding::Changed { since: 10, until: 15, .. }]),
        "{:?}",
        report.findings
    );
    assert_eq!(report.agreeing, 2);
}

#[tokio::test]
async fn a_checkpoint_of_another_key_or_log_proves_nothing() {
    let kept = Kept::new().await;
    kept.write_anew_from(12);
    let mut chain = Chain::new(PARTITION, Some(IDENTITY));
    let mut forged = Vec::new();
    for n in 0..=RECORDS {
        chain.accept(&kept.value(n)).unwrap();
        if (n + 1) % EVERY == 0 {
            forged.push(checkpoint(&chain, n + 1, 2));
        }
    }
    let report = kept.verify_with(forged.clone(), Some(&keys())).await.unwrap();
    assert_eq!((report.findings.len(), report.agreeing), (4, 0));
    for finding in &report.findings {
        let unknown = matches!(finding, Finding::Checkpoint { source: CheckpointError::UnknownKey(_), .. });
        assert!(unknown, "{finding}");
    }
    // As if the known key had signed it.
    for checkpoint in &mut forged {
        checkpoint.key = keys().first().key;
    }
    let report = kept.verify_with(forged, Some(&keys())).await.unwrap();
    for finding in &report.findings {
        assert!(
            matches!(finding, Finding::Checkpoint { source: CheckpointError::Signature, .. }),
            "{finding}"
        );
    }
    assert_eq!(report.findings.len(), 4);

    let kept = Kept::new().await;
    let mut foreign = kept.checkpoints[0].clone();
    foreign.log_id = Uuid::from_u128(9);
    let report = kept.verify_with(vec![foreign], Some(&keys())).await.unwrap();
    assert!(matches!(report.findings[..], [Finding::ForeignLog { next_offset: 5, .. }]));
    assert_eq!(report.agreeing, 0);
    let report = kept.verify_with(kept.checkpoints.clone(), None).await.unwrap();
    assert_eq!(report.findings.len(), 4, "without keys nothing is proved");
}

#[tokio::test]
async fn checkpoints_have_to_be_in_order_and_may_come_twice() {
    let kept = Kept::new().await;
    let mut twice = kept.checkpoints.clone();
    twice.insert(1, twice[0].clone());
    assert_eq!(kept.verify_with(twice.clone(), Some(&keys())).await.unwrap().agreeing, 5);
    twice.swap(0, 4);
    let error = kept.verify_with(twice, Some(&keys())).await.unwrap_err();
    assert!(matches!(error, VerifyError::OutOfOrder { before: 20, found: 5 }), "{error}");
}

#[tokio::test]
async fn a_log_that_grows_meanwhile_is_read_up_to_its_newest_checkpoint() {
    let memory = Arc::new(MemoryLog::new(COUNTS));
    let log: Arc<dyn EventLog> = memory.clone();
    let mut chain = Chain::new(PARTITION, Some(IDENTITY));
    let mut values = Vec::new();
    for n in 0..6 {
        let value = value(&chain, n, "text");
        chain.accept(&value).unwrap();
        values.push(NewRecord { value, ..NewRecord::default() });
    }
    log.append(PARTITION, values[0].clone()).await.unwrap();
    memory.leave_gap(PARTITION, 3).unwrap();
    log.append(PARTITION, values[1].clone()).await.unwrap();
    // Asked for when the end has been asked for.
    let later = stream::once(Box::pin(async {
        for value in &values[2..] {
            log.append(PARTITION, value.clone()).await.unwrap();
        }
        Ok::<_, VerifyError>(checkpoint(&chain, 9, 1))
    }));
    let report = verify(&log, IDENTITY, PARTITION, Some(&keys()), later, |_| {}).await.unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    assert_eq!((report.agreeing, report.next_offset, report.accepted), (1, 9, 6));
}

#[tokio::test]
async fn an_empty_partition_is_sound_unless_something_was_signed_there() {
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(COUNTS));
    let none = stream::empty::<Result<Checkpoint, VerifyError>>();
    let report = verify(&log, IDENTITY, PARTITION, Some(&keys()), none, |_| {}).await.unwrap();
    assert!(report.is_sound() && report.next_offset == 0);
    let signed = Kept::new().await.checkpoints[0].clone();
    let signed = stream::iter([Ok::<_, VerifyError>(signed)]);
    let report = verify(&log, IDENTITY, PARTITION, Some(&keys()), signed, |_| {}).await.unwrap();
    assert!(matches!(report.findings[..], [Finding::Truncated { end: 0, signed: 5, .. }]));
}
