//! The stores say what the log says.

mod common;

use std::time::Duration;

use common::{PARTITIONS, assert_stores_hold, dump, random_world};
use roomlog_projectors::testing::{TestLog, project, sqlite_stores, start, start_with};
use roomlog_projectors::{Options, State, list};
use roomlog_stores::progress::Projection;
use tokio::time::Instant;

#[tokio::test]
async fn random_histories_are_projected_as_they_are() {
    for seed in 0..8 {
        let folder = tempfile::tempdir().unwrap();
        let stores = sqlite_stores(folder.path()).await;
        let world = random_world(seed, 300, &stores).await;
        println!("seed {seed}: {} rooms, {} accounts", world.rooms.len(), world.accounts.len());
        project(&world.log.log(), &stores).await;
        assert_stores_hold(&world, &stores).await;
    }
}

#[tokio::test]
async fn how_records_are_batched_and_where_it_was_restarted_makes_no_difference() {
    let folder = tempfile::tempdir().unwrap();
    let stores = sqlite_stores(folder.path()).await;
    let mut world = random_world(1, 100, &stores).await;
    let log = world.log.log();
    for round in 0..5 {
        let options =
            Options { batch_records: 1 + round, batch_bytes: 1 << (4 * round), ..Options::default() };
        let running = start_with(options, log.clone(), stores.clone());
        for _ in 0..40 {
            world.step().await;
            tokio::task::yield_now().await;
        }
        running.caught_up(&log).await;
        running.stop().await.unwrap();
        assert_stores_hold(&world, &stores).await;
    }

    let other_folder = tempfile::tempdir().unwrap();
    let mut at_once = sqlite_stores(other_folder.path()).await;
    at_once.sealer = stores.sealer.clone();
    project(&log, &at_once).await;
    assert_eq!(dump(&world, &stores).await, dump(&world, &at_once).await);
}

#[tokio::test]
async fn projectors_wait_for_the_first_claim_and_are_ready_then() {
    let folder = tempfile::tempdir().unwrap();
    let stores = sqlite_stores(folder.path()).await;
    let mut log = TestLog::unclaimed(PARTITIONS);
    let running = start(log.log(), stores);
    tokio::task::yield_now().await;
    assert!(!running.handle.is_ready());
    assert!(running.handle.statuses().iter().all(|status| status.state == State::Starting));
    for partition in PARTITIONS.all() {
        log.claim(partition).await;
    }
    running.caught_up(&log.log()).await;
    assert!(running.handle.is_ready());
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_list_tells_how_far_each_projection_is() {
    let folder = tempfile::tempdir().unwrap();
    let stores = sqlite_stores(folder.path()).await;
    let mut world = random_world(3, 50, &stores).await;
    let log = world.log.log();
    let before = list(&log, &stores).await.unwrap();
    assert_eq!(before.len(), 3 + 5, "room_events reads rooms, directory reads both");
    assert!(before.iter().all(|row| row.next_offset == 0 && row.lag == row.log_end && row.head.is_none()));

    project(&log, &stores).await;
    let partition = PARTITIONS.all().last().unwrap();
    world.log.claim(partition).await;
    let after = list(&log, &stores).await.unwrap();
    for row in &after {
        assert_eq!(row.lag, u64::from(row.partition == partition), "{row:?}");
        assert!(row.epoch >= 1 && row.head.is_some());
    }
    let newest = after.iter().filter_map(|row| row.record_time_ms).max();
    assert_eq!(newest, Some(world.log.record_time_ms()));
}

#[tokio::test]
async fn who_is_behind_is_not_held_back() {
    let folder = tempfile::tempdir().unwrap();
    let stores = sqlite_stores(folder.path()).await;
    let world = random_world(4, 20, &stores).await;
    let hour = Duration::from_secs(3_600);
    let options = Options { batch_interval: hour, batch_records: 1, ..Options::default() };
    let running = start_with(options, world.log.log(), stores.clone());
    running.caught_up(&world.log.log()).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_batch_is_held_back_until_somebody_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let stores = sqlite_stores(folder.path()).await;
    let mut world = random_world(4, 20, &stores).await;
    let log = world.log.log();
    let options = Options { batch_interval: Duration::from_secs(3_600), ..Options::default() };
    let running = start_with(options, log.clone(), stores.clone());
    // The first comes at once.
    running.caught_up(&log).await;
    let partition = common::room_partitions().next().unwrap();
    let offset = log.end(partition).await.unwrap();
    world.log.claim(partition).await;

    let deadline = Instant::now() + Duration::from_secs(60);
    assert_eq!(running.progress.reached(Projection::RoomEvents, partition), offset);
    let covered = running.progress.rooms_cover(&*stores.rooms, partition, offset, deadline).await;
    assert!(covered.unwrap());
    assert_eq!(running.progress.reached(Projection::Directory, partition), offset, "nobody waits for it");
    running.stop().await.unwrap();
}
