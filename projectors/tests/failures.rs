//! What fails is waited for, or stops in sight; nothing is lost.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use common::faults::{Fault, FaultyLog, FaultyRooms};
use common::{assert_stores_hold, random_world, room_partitions};
use metrics_exporter_prometheus::PrometheusBuilder;
use roomlog_projectors::testing::{World, project, sqlite_stores, start};
use roomlog_projectors::{Error, State, Stores};
use roomlog_schemas::History;
use roomlog_stores::progress::Projection;
use tempfile::TempDir;

async fn fixture(seed: u64) -> (World, Stores, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let stores = sqlite_stores(folder.path()).await;
    (random_world(seed, 150, &stores).await, stores, folder)
}

fn with_faults(stores: &Stores, faults: impl IntoIterator<Item = Fault>) -> (Stores, FaultyRooms) {
    let rooms = FaultyRooms::new(stores.rooms.clone(), faults);
    (Stores { rooms: Arc::new(rooms.clone()), ..stores.clone() }, rooms)
}

#[tokio::test]
async fn a_store_that_is_away_is_waited_for() {
    let (world, stores, _folder) = fixture(1).await;
    let (faulty, rooms) = with_faults(&stores, [Fault::Refused; 20]);
    project(&world.log.log(), &faulty).await;
    assert!(rooms.faults.lock().unwrap().is_empty());
    assert_stores_hold(&world, &stores).await;
}

#[tokio::test]
async fn a_batch_that_was_stored_though_its_answer_was_lost_is_not_stored_again() {
    let (world, stores, _folder) = fixture(2).await;
    let (faulty, _) = with_faults(&stores, [Fault::AnswerLost, Fault::Refused, Fault::AnswerLost]);
    project(&world.log.log(), &faulty).await;
    assert_stores_hold(&world, &stores).await;
}

#[tokio::test]
async fn a_log_that_is_away_is_waited_for() {
    let (world, stores, _folder) = fixture(3).await;
    let away = Arc::new(AtomicU32::new(30));
    let log = Arc::new(FaultyLog { inner: world.log.log(), away: away.clone() });
    let running = start(log, stores.clone());
    running.caught_up(&world.log.log()).await;
    running.stop().await.unwrap();
    assert_eq!(away.load(Ordering::SeqCst), 0);
    assert_stores_hold(&world, &stores).await;
}

#[tokio::test]
async fn a_projector_that_finds_its_cursor_moved_by_another_goes_on_from_there() {
    let (mut world, stores, _folder) = fixture(4).await;
    let log = world.log.log();
    let alice = world.register(Some("alice")).await;
    let room = world.create_room(alice, None, History::FromBeginning, "Room").await;
    let (faulty, rooms) = with_faults(&stores, []);
    let running = start(log.clone(), faulty);
    running.caught_up(&log).await;

    rooms.faults.lock().unwrap().extend([Fault::Refused; 10_000]);
    world.send(room, alice, "held back in the first").await;
    running.until("it retries", |all| all.iter().any(|s| matches!(s.state, State::Retrying { .. }))).await;
    world.send(room, alice, "stored together with the other by the second").await;
    let other_folder = tempfile::tempdir().unwrap();
    let second = Stores { directory: sqlite_stores(other_folder.path()).await.directory, ..stores.clone() };
    project(&log, &second).await;
    rooms.faults.lock().unwrap().clear();

    running.caught_up(&log).await;
    world.send(room, alice, "by the first again").await;
    running.caught_up(&log).await;
    running.until("it works again", |all| all.iter().all(|s| s.state == State::Running)).await;
    running.stop().await.unwrap();
    assert_stores_hold(&world, &stores).await;
}

#[tokio::test]
async fn a_damaged_store_stops_the_partition_and_its_error_is_reported() {
    let (world, stores, _folder) = fixture(5).await;
    let (faulty, _) = with_faults(&stores, [Fault::Refused, Fault::Damaged]);
    let running = start(world.log.log(), faulty);
    running.until("one stops", |all| all.iter().any(|s| matches!(s.state, State::Stopped { .. }))).await;
    let stopped = running.handle.stopped();
    assert_eq!(stopped.len(), 1);
    assert_eq!((stopped[0].projection, stopped[0].next_offset), (Projection::RoomEvents, 0));
    assert!(!running.handle.is_ready());
    let error = running.stop().await.unwrap_err();
    assert!(
        matches!(&error, Error::Stopped { count: 1, reason, .. } if reason.contains("damaged")),
        "{error}"
    );
    // Started again without the damage, it goes on where it was.
    project(&world.log.log(), &stores).await;
    assert_stores_hold(&world, &stores).await;
}

#[test]
fn a_record_that_cannot_be_read_stops_its_partition_and_no_other() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let (mut world, stores, _folder) = fixture(6).await;
            let log = world.log.log();
            let broken = room_partitions().next().unwrap();
            project(&log, &stores).await;
            let offset =
                world.log.command_of(broken, "from_the_future", vec![Bytes::from_static(b"no event")]).await;
            let running = start(log.clone(), stores.clone());
            running
                .until("both projections stop, the others run", |all| {
                    let stopped = all.iter().filter(|s| matches!(s.state, State::Stopped { .. })).count();
                    let running = all.iter().filter(|s| s.state == State::Running).count();
                    (stopped, running) == (2, all.len() - 2)
                })
                .await;
            for status in running.handle.statuses() {
                if let State::Stopped { error } = status.state {
                    assert_eq!((status.partition, status.next_offset), (broken, offset));
                    assert!(error.contains(&format!("offset {offset}")), "{error}");
                }
            }
            let others = room_partitions().nth(1).unwrap();
            world.log.claim(others).await;
            let end = log.end(others).await.unwrap();
            running
                .until("others go on", |all| {
                    all.iter().filter(|s| s.partition == others).all(|s| s.next_offset == end)
                })
                .await;
            running.stop().await.unwrap_err();
        });
    });
    let text = metrics.render();
    for line in [
        r#"roomlog_projection_stopped{projection="room_events",partition="rooms/0"} 1"#,
        r#"roomlog_projection_stopped{projection="directory",partition="rooms/0"} 1"#,
        r#"roomlog_projection_stopped{projection="directory",partition="rooms/1"} 0"#,
        r#"roomlog_projection_records_total{projection="directory"}"#,
        r#"roomlog_projection_lag_records{projection="directory",partition="rooms/0"}"#,
        r#"roomlog_projection_position{projection="room_events",partition="rooms/0"}"#,
        "roomlog_projection_batch_seconds",
        "roomlog_projection_delay_seconds",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}
