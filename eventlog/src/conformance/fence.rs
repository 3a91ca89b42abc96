//! The chain on a real log: every reader accepts the same records.

use super::owner::{IDENTITY, Owner, accepted};
use super::*;
use crate::chain::{Chain, SkipReason};
use crate::cursor::Cursor;
use crate::follow::{Follower, Outcome};
use crate::frame::{Claim, encode_claim};
use crate::reader::{discover_identity, ensure_identity};

fn start() -> Cursor {
    Cursor::start(IDENTITY, ROOMS_0)
}

/// Why records were skipped, in order, by a reader from the start.
async fn skips(log: &Arc<dyn EventLog>) -> Vec<SkipReason> {
    let end = log.end(ROOMS_0).await.expect("an end");
    let mut follower = Follower::from_start(Chain::new(ROOMS_0, Some(IDENTITY)));
    let records = read(log, ROOMS_0, 0, end).await;
    let outcomes = records.iter().map(|record| follower.follow(record).expect("nothing stops the reader"));
    outcomes
        .filter_map(|outcome| match outcome {
            Outcome::Skipped(reason) => Some(reason),
            Outcome::Accepted(_) => None,
        })
        .collect()
}

pub async fn a_replaced_owners_records_are_skipped_by_every_reader(backend: &impl Backend) {
    let log = backend.open().await;
    let mut zombie = Owner::new(ROOMS_0);
    let claim = zombie.claim();
    append(&log, ROOMS_0, claim.clone()).await;
    let first = append(&log, ROOMS_0, zombie.command("first")).await;
    let (_, stored) = accepted(&log, &start(), first).await;

    let mut successor = zombie.clone();
    append(&log, ROOMS_0, successor.claim()).await;
    append(&log, ROOMS_0, zombie.command("zombie 1")).await;
    append(&log, ROOMS_0, successor.command("second")).await;
    append(&log, ROOMS_0, zombie.command("zombie 2")).await;
    let last = append(&log, ROOMS_0, successor.command("third")).await;

    let (all, cursor) = accepted(&log, &start(), last).await;
    assert_eq!(all, ["first", "second", "third"]);
    let (rest, same_cursor) = accepted(&log, &stored, last).await;
    assert_eq!(rest, ["second", "third"], "from a cursor in the middle");
    assert_eq!(cursor, same_cursor);
    assert_eq!(cursor.epoch, 2);
    assert_eq!(skips(&log).await, [SkipReason::StaleClaim, SkipReason::StaleClaim]);
}

pub async fn of_two_claims_for_one_epoch_the_first_counts(backend: &impl Backend) {
    let log = backend.open().await;
    let [mut winner, mut loser] = [Owner::new(ROOMS_0), Owner::new(ROOMS_0)];
    append(&log, ROOMS_0, winner.claim()).await;
    append(&log, ROOMS_0, loser.claim()).await;
    append(&log, ROOMS_0, loser.command("loser")).await;
    let last = append(&log, ROOMS_0, winner.command("winner")).await;
    assert_eq!(accepted(&log, &start(), last).await.0, ["winner"]);
    assert_eq!(skips(&log).await, [SkipReason::StaleEpoch, SkipReason::StaleClaim]);
}

pub async fn a_duplicate_is_accepted_once(backend: &impl Backend) {
    let log = backend.open().await;
    let mut owner = Owner::new(ROOMS_0);
    append(&log, ROOMS_0, owner.claim()).await;
    let once = owner.command("once");
    for _ in 0..3 {
        append(&log, ROOMS_0, once.clone()).await;
    }
    append(&log, ROOMS_0, owner.command("next")).await;
    let last = append(&log, ROOMS_0, once).await;
    assert_eq!(accepted(&log, &start(), last).await.0, ["once", "next"]);
    assert_eq!(skips(&log).await, [SkipReason::NotOnHead; 3]);
}

pub async fn an_orphan_of_a_lost_record_is_skipped(backend: &impl Backend) {
    let log = backend.open().await;
    let mut owner = Owner::new(ROOMS_0);
    append(&log, ROOMS_0, owner.claim()).await;
    append(&log, ROOMS_0, owner.command("kept")).await;
    let known_to_all = owner.clone();
    let _never_sent = owner.command("lost");
    append(&log, ROOMS_0, owner.command("orphan")).await;
    // The owner notices and claims again, from what the log holds.
    owner = known_to_all;
    append(&log, ROOMS_0, owner.claim()).await;
    let last = append(&log, ROOMS_0, owner.command("again")).await;
    assert_eq!(accepted(&log, &start(), last).await.0, ["kept", "again"]);
    assert_eq!(skips(&log).await, [SkipReason::NotOnHead]);
}

pub async fn a_reader_goes_on_from_a_stored_cursor_after_a_restart(backend: &impl Backend) {
    let log = backend.open().await;
    let mut owner = Owner::new(ROOMS_0);
    append(&log, ROOMS_0, owner.claim()).await;
    let mut cursors = vec![start()];
    for n in 0..5 {
        let at = append(&log, ROOMS_0, owner.command(&n.to_string())).await;
        let cursor = cursors.last().expect("the start").clone();
        cursors.push(accepted(&log, &cursor, at).await.1);
    }
    drop(log);
    let log = backend.open().await;
    let last = append(&log, ROOMS_0, owner.command("5")).await;
    for (n, cursor) in cursors.iter().enumerate() {
        let expected: Vec<String> = (n..6).map(|n| n.to_string()).collect();
        assert_eq!(accepted(&log, cursor, last).await.0, expected);
    }
}

pub async fn the_first_claim_names_the_log(backend: &impl Backend) {
    let log = backend.open().await;
    let none = within("looking for an identity", discover_identity(&log)).await.expect("an empty log reads");
    assert_eq!(none, None);
    append(&log, TopicPartition::accounts(0), "not a record of ours").await;
    let claim = Claim { epoch: 1, claim_id: IDENTITY.log_id, identity: IDENTITY, address: "" };
    append(&log, TopicPartition::accounts(0), encode_claim(&claim)).await;
    drop(log);
    let log = backend.open().await;
    assert_eq!(within("looking", discover_identity(&log)).await.expect("it reads"), Some(IDENTITY));
    let ensured = within("looking", ensure_identity(&log, uuid::Uuid::from_u128(2))).await;
    assert_eq!(ensured.expect("it reads"), IDENTITY, "the first stays");
}

pub async fn foreign_bytes_are_skipped_and_counted(backend: &impl Backend) {
    let log = backend.open().await;
    let mut owner = Owner::new(ROOMS_0);
    append(&log, ROOMS_0, "before everything").await;
    append(&log, ROOMS_0, owner.claim()).await;
    append(&log, ROOMS_0, "").await;
    let command = owner.command("first");
    append(&log, ROOMS_0, command.slice(..command.len() - 1)).await;
    append(&log, ROOMS_0, command).await;
    append(&log, ROOMS_0, vec![0; 100_000]).await;
    let last = append(&log, ROOMS_0, owner.command("second")).await;
    assert_eq!(accepted(&log, &start(), last).await.0, ["first", "second"]);
    let reasons = [SkipReason::NoMagic, SkipReason::NoMagic, SkipReason::WrongLength, SkipReason::NoMagic];
    assert_eq!(skips(&log).await, reasons);
}
