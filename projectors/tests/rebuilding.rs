//! A rebuild gives the same rows, at once or not at all.

mod common;

use std::collections::HashMap;
use std::sync::Arc;

use common::faults::{Fault, FaultyRooms};
use common::{PARTITIONS, assert_stores_hold, dump, random_world};
use roomlog_projectors::testing::{TestLog, project, sqlite_stores};
use roomlog_projectors::{Error, Options, Stores, rebuild};
use roomlog_stores::progress::Projection;

const BOTH: [Projection; 2] = [Projection::RoomEvents, Projection::Directory];

#[tokio::test]
async fn rows_after_a_rebuild_equal_those_before() {
    for seed in 10..16 {
        let folder = tempfile::tempdir().unwrap();
        let stores = sqlite_stores(folder.path()).await;
        let mut world = random_world(seed, 200, &stores).await;
        let log = world.log.log();
        project(&log, &stores).await;
        let before = dump(&world, &stores).await;
        for projection in BOTH {
            rebuild(projection, &log, &stores, None, &Options::default(), |_| {}).await.unwrap();
            assert_eq!(dump(&world, &stores).await, before, "seed {seed}, {}", projection.name());
        }
        // And the rebuilt ones go on from there.
        for _ in 0..50 {
            world.step().await;
        }
        project(&log, &stores).await;
        assert_stores_hold(&world, &stores).await;
    }
}

#[tokio::test]
async fn a_rebuild_tells_how_far_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let stores = sqlite_stores(folder.path()).await;
    let world = random_world(20, 100, &stores).await;
    let log = world.log.log();
    let mut seen = HashMap::new();
    let rebuilt = rebuild(Projection::Directory, &log, &stores, None, &Options::default(), |step| {
        let last = seen.insert(step.partition, step.next_offset).unwrap_or(0);
        assert!(last <= step.next_offset && step.next_offset <= step.log_end);
    })
    .await
    .unwrap();
    assert_eq!(rebuilt.partitions, 5);
    assert!(rebuilt.records > 0);
    for partition in PARTITIONS.all() {
        assert_eq!(seen[&partition], log.end(partition).await.unwrap());
    }
    assert_eq!(stores.directory.cursor(PARTITIONS.all().next().unwrap()).await.unwrap().unwrap().epoch, 1);
}

#[tokio::test]
async fn a_rebuild_that_fails_leaves_the_old_rows() {
    let folder = tempfile::tempdir().unwrap();
    let stores = sqlite_stores(folder.path()).await;
    let world = random_world(30, 100, &stores).await;
    let log = world.log.log();
    project(&log, &stores).await;
    let before = dump(&world, &stores).await;

    let rooms = Arc::new(FaultyRooms::new(stores.rooms.clone(), [Fault::Refused, Fault::Damaged]));
    let faulty = Stores { rooms, ..stores.clone() };
    let options = Options { batch_records: 1, ..Options::default() };
    let error = rebuild(Projection::RoomEvents, &log, &faulty, None, &options, |_| {}).await.unwrap_err();
    assert!(matches!(error, Error::Project { .. }), "{error}");
    assert_eq!(dump(&world, &stores).await, before);

    rebuild(Projection::RoomEvents, &log, &stores, None, &Options::default(), |_| {}).await.unwrap();
    assert_eq!(dump(&world, &stores).await, before, "what the failed one left does no harm");
}

#[tokio::test]
async fn there_is_nothing_to_rebuild_from_an_empty_log() {
    let folder = tempfile::tempdir().unwrap();
    let stores = sqlite_stores(folder.path()).await;
    let log = TestLog::unclaimed(PARTITIONS).log();
    let outcome = rebuild(Projection::Directory, &log, &stores, None, &Options::default(), |_| {}).await;
    assert!(matches!(outcome, Err(Error::NoLog)));
}
