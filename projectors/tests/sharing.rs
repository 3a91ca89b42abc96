//! Several processes share the projections: nothing is lost, doubled or out of order, whoever comes,
//! goes or works on the same at the same time.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::faults::FaultyRooms;
use common::{assert_stores_hold, dump, random_world};
use metrics_exporter_prometheus::PrometheusBuilder;
use roomlog_eventlog::TopicPartition;
use roomlog_eventlog::{Broadcast, EventLog, LocalBroadcast};
use roomlog_members::rendezvous;
use roomlog_projectors::testing::{Process, Running, World, project, sqlite_stores, start, start_shared};
use roomlog_projectors::{PartitionStatus, State, Stores};
use roomlog_stores::progress::Projection;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

type Work = (Projection, TopicPartition);

async fn fixture(seed: u64) -> (World, Stores, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let stores = sqlite_stores(folder.path()).await;
    (random_world(seed, 100, &stores).await, stores, folder)
}

fn worked_on(running: &Running) -> Vec<Work> {
    let is_running = |status: &PartitionStatus| status.state == State::Running;
    running.handle.statuses().iter().filter(|s| is_running(s)).map(|s| (s.projection, s.partition)).collect()
}

/// Waits until each does what it comes first for, and only that; how much each one does.
async fn shared(processes: &[&Process]) -> Vec<usize> {
    let deadline = Instant::now() + PATIENCE;
    let ids: Vec<_> = processes.iter().map(|process| process.members.me()).collect();
    let is_first = |process: &Process, status: &PartitionStatus| {
        let work = format!("{} {}", status.projection.name(), status.partition);
        rendezvous::order(&work, ids.iter().copied())[0] == process.members.me()
    };
    loop {
        let works: Vec<_> = processes.iter().map(|process| worked_on(&process.running)).collect();
        let as_it_should = |process: &Process| {
            process.running.handle.statuses().iter().all(|status| match is_first(process, status) {
                true => status.state == State::Running,
                false => status.state == State::StandingBy,
            })
        };
        let is_ready = |process: &&Process| process.running.handle.is_ready();
        if processes.iter().all(|process| as_it_should(process) && is_ready(process)) {
            return works.iter().map(Vec::len).collect();
        }
        assert!(Instant::now() < deadline, "shared by all: {works:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What one process makes of the same log in stores of its own is the same.
async fn assert_like_a_replay(world: &World, stores: &Stores) {
    assert_stores_hold(world, stores).await;
    let folder = tempfile::tempdir().unwrap();
    let mut replayed = sqlite_stores(folder.path()).await;
    replayed.sealer = stores.sealer.clone();
    project(&world.log.log(), &replayed).await;
    assert_eq!(dump(world, stores).await, dump(world, &replayed).await);
}

/// The log goes on while this condition does not hold yet.
async fn stepping_until(world: &mut World, what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        world.step().await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn processes_share_the_work_and_take_over_from_one_that_is_killed() {
    let (mut world, stores, _folder) = fixture(40).await;
    let log: Arc<dyn EventLog> = world.log.log();
    let broadcast: Arc<dyn Broadcast> = Arc::new(LocalBroadcast::default());
    let join = || start_shared(log.clone(), stores.clone(), broadcast.clone());

    let first = join();
    assert_eq!(shared(&[&first]).await, [8], "alone it does everything");
    first.running.caught_up(&log).await;
    let (second, third) = (join(), join());
    let shares = shared(&[&first, &second, &third]).await;
    assert_eq!(shares.iter().sum::<usize>(), 8);

    // The one with the most to do is killed amid its work.
    let mut processes = vec![first, second, third];
    let busiest = (0..3).max_by_key(|&n| shares[n]).unwrap();
    for _ in 0..20 {
        world.step().await;
    }
    processes.remove(busiest).kill();
    let killed = Instant::now();
    stepping_until(&mut world, "others take over", || {
        processes.iter().map(|process| worked_on(&process.running).len()).sum::<usize>() == 8
    })
    .await;
    // A margin for a busy machine on top of the 3 s.
    assert!(killed.elapsed() < Duration::from_secs(5), "{:?}", killed.elapsed());
    for process in &processes {
        process.running.caught_up(&log).await;
    }
    assert_stores_hold(&world, &stores).await;

    // Somebody comes in its place, and one goes in order.
    processes.push(join());
    shared(&processes.iter().collect::<Vec<_>>()).await;
    for _ in 0..20 {
        world.step().await;
    }
    let going = processes.remove(0);
    going.members.update(|own| own.stopping = true);
    going.members.beat();
    stepping_until(&mut world, "it hands over", || worked_on(&going.running).is_empty()).await;
    going.stop().await.unwrap();
    shared(&processes.iter().collect::<Vec<_>>()).await;
    for process in &processes {
        process.running.caught_up(&log).await;
    }
    for process in processes {
        process.stop().await.unwrap();
    }
    assert_like_a_replay(&world, &stores).await;
}

#[test]
fn processes_that_work_on_the_same_get_on_and_harm_nothing() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let (mut world, stores, _folder) = fixture(41).await;
            let log: Arc<dyn EventLog> = world.log.log();
            // Neither knows of the other, and one is slower: its cursor has always moved.
            let mut slow = FaultyRooms::new(stores.rooms.clone(), []);
            slow.delay = Duration::from_millis(20);
            let slow = start(log.clone(), Stores { rooms: Arc::new(slow), ..stores.clone() });
            let quick = start(log.clone(), stores.clone());
            for _ in 0..300 {
                world.step().await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            slow.caught_up(&log).await;
            quick.caught_up(&log).await;
            slow.stop().await.unwrap();
            for _ in 0..20 {
                world.step().await;
            }
            quick.caught_up(&log).await;
            quick.stop().await.unwrap();
            assert_like_a_replay(&world, &stores).await;
        });
    });
    assert!(metrics.render().contains(r#"roomlog_projection_cursor_moved_total{projection="room_events"}"#));
}
