//! What a projection cannot use is kept with what follows it in its root room; the rest goes on, and a
//! retry makes it whole.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::faults::{Fault, FaultyDirectory, FaultyRooms};
use common::{assert_directory, assert_stores_hold, assert_timeline, dump, random_world, root_of};
use metrics_exporter_prometheus::PrometheusBuilder;
use rand::rngs::StdRng;
use rand::seq::{IteratorRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use roomlog_eventlog::EventLog;
use roomlog_projectors::testing::{
    World, keep_with, project, sqlite_quarantine, sqlite_stores, start, start_keeping,
};
use roomlog_projectors::{Options, Retried, State, Stores, rebuild, retry};
use roomlog_schemas::event::Seq;
use roomlog_schemas::{AccountId, History, RoomId};
use roomlog_stores::progress::Projection;
use roomlog_stores::quarantine::{Quarantine, Subject};
use tempfile::TempDir;

const BOTH: [Projection; 2] = [Projection::RoomEvents, Projection::Directory];

struct Fixture {
    world: World,
    /// Without faults.
    stores: Stores,
    faulty: Stores,
    /// Events that neither room store nor directory takes.
    refused: Arc<Mutex<HashSet<(RoomId, Seq)>>>,
    refused_accounts: Arc<Mutex<HashSet<AccountId>>>,
    rooms: FaultyRooms,
    quarantine: Quarantine,
    folder: TempDir,
}

impl Fixture {
    async fn new(seed: u64, steps: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stores = sqlite_stores(folder.path()).await;
        let world = random_world(seed, steps, &stores).await;
        let mut rooms = FaultyRooms::new(stores.rooms.clone(), []);
        rooms.refused = Arc::default();
        let (refused, refused_accounts) = (rooms.refused.clone(), Arc::default());
        let directory = FaultyDirectory {
            inner: stores.directory.clone(),
            refused: refused.clone(),
            refused_accounts: Arc::clone(&refused_accounts),
        };
        let faulty = Stores {
            rooms: Arc::new(rooms.clone()),
            directory: Arc::new(directory),
            sealer: stores.sealer.clone(),
        };
        let quarantine = sqlite_quarantine(folder.path()).await;
        Self { world, stores, faulty, refused, refused_accounts, rooms, quarantine, folder }
    }

    fn log(&self) -> Arc<dyn EventLog> {
        self.world.log.log()
    }

    /// Projects all that the log holds now, keeping what fails.
    async fn project(&self) {
        let running = start_keeping(self.log(), self.faulty.clone(), self.quarantine.clone());
        running.caught_up(&self.log()).await;
        running.stop().await.unwrap();
    }

    async fn retry(&self, projection: Projection) -> Vec<Retried> {
        // Nobody else is there to take it up.
        let (log, options) = (self.log(), Options { take_up: Duration::ZERO, ..Options::default() });
        let outcomes = retry(projection, None, &log, &self.faulty, &self.quarantine, &options).await.unwrap();
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }

    async fn quarantined(&self, projection: Projection) -> Vec<Subject> {
        let list = self.quarantine.store().list().await.unwrap();
        list.iter().filter(|row| row.projection == projection.name()).map(|row| row.subject).collect()
    }

    async fn assert_like_a_replay(&self) {
        assert_eq!(self.quarantine.store().list().await.unwrap(), []);
        assert_stores_hold(&self.world, &self.stores).await;
        let folder = tempfile::tempdir().unwrap();
        let mut replayed = sqlite_stores(folder.path()).await;
        replayed.sealer = self.stores.sealer.clone();
        project(&self.log(), &replayed).await;
        assert_eq!(dump(&self.world, &self.stores).await, dump(&self.world, &replayed).await);
    }
}

/// A root with a sub-room, members, and messages in both.
async fn family(fixture: &mut Fixture) -> (AccountId, AccountId, RoomId, RoomId) {
    let world = &mut fixture.world;
    let alice = world.register(Some("alice")).await;
    let bob = world.register(Some("bob")).await;
    let root = world.create_room(alice, None, History::FromBeginning, "Root").await;
    let sub = world.create_room(alice, Some(root), History::FromJoin, "Sub").await;
    world.send(sub, alice, "first").await;
    (alice, bob, root, sub)
}

#[tokio::test]
async fn only_the_root_room_concerned_is_left_out_until_it_is_retried() {
    let mut fixture = Fixture::new(50, 60).await;
    let (_, bob, root, sub) = family(&mut fixture).await;
    fixture.world.join(sub, bob).await;
    let failing = fixture.world.rooms[&sub].timeline.len() as Seq;
    fixture.refused.lock().unwrap().insert((sub, failing));
    let running = start_keeping(fixture.log(), fixture.faulty.clone(), fixture.quarantine.clone());
    running.caught_up(&fixture.log()).await;
    // What comes later, also in sub-rooms of which only the quarantine knows.
    fixture.world.leave(root, bob).await;
    fixture.world.join(root, bob).await;
    let later = fixture.world.create_room(bob, Some(root), History::FromBeginning, "Later").await;
    let below = fixture.world.create_room(bob, Some(later), History::FromBeginning, "Below").await;
    fixture.world.send(below, bob, "deep").await;
    for _ in 0..40 {
        fixture.world.step().await;
    }
    running.caught_up(&fixture.log()).await;
    running.stop().await.unwrap();

    let list = fixture.quarantine.store().list().await.unwrap();
    assert_eq!(list.len(), 2, "one in each projection: {list:?}");
    for row in &list {
        assert_eq!(row.subject, Subject::root(root));
        assert!(row.is_root_room() && row.records >= 5 && row.error.contains("a test says so"), "{row:?}");
    }
    let in_family = |room: RoomId| root_of(&fixture.world, room) == root;
    for (&id, room) in fixture.world.rooms.iter().filter(|(id, _)| !in_family(**id)) {
        assert_timeline(id, room, &fixture.stores).await;
        assert_directory(&fixture.world, id, room, &fixture.stores).await;
    }
    let (_, last) = fixture.stores.rooms.seq_range(sub).await.unwrap().unwrap();
    assert_eq!(last, failing - 1, "all before the failure, nothing after it");
    for room in [later, below] {
        assert_eq!(fixture.stores.rooms.seq_range(room).await.unwrap(), None);
        assert_eq!(fixture.stores.directory.room(room).await.unwrap(), None);
        for projection in BOTH {
            let subject = fixture.quarantine.known().subject_of(projection, room);
            assert_eq!(subject, Some(Subject::root(root)));
        }
    }

    // In vain while the cause is there: nothing changes.
    let outcomes = fixture.retry(Projection::RoomEvents).await;
    assert!(matches!(&outcomes[..], [Retried::Failed { left }] if left.failed_retries == 1), "{outcomes:?}");
    assert_eq!(fixture.stores.rooms.seq_range(sub).await.unwrap().unwrap().1, last);
    fixture.refused.lock().unwrap().clear();
    for projection in BOTH {
        let outcomes = fixture.retry(projection).await;
        assert!(matches!(&outcomes[..], [Retried::Over { .. }]), "{outcomes:?}");
    }
    fixture.assert_like_a_replay().await;
    // And from there on as ever.
    fixture.world.send(below, bob, "after").await;
    fixture.project().await;
    fixture.assert_like_a_replay().await;
}

#[tokio::test]
async fn an_account_can_be_in_quarantine_too() {
    let mut fixture = Fixture::new(51, 20).await;
    let imported = fixture.world.register(None).await;
    fixture.refused_accounts.lock().unwrap().insert(imported);
    fixture.project().await;
    fixture.world.claim_account(imported, "claimed").await;
    fixture.project().await;
    let list = fixture.quarantine.store().list().await.unwrap();
    assert_eq!(list.len(), 1);
    assert_eq!((list[0].subject, list[0].records), (Subject::account(imported), 2));
    assert!(!list[0].is_root_room());
    assert_eq!(fixture.stores.directory.account(imported).await.unwrap(), None);
    fixture.refused_accounts.lock().unwrap().clear();
    fixture.retry(Projection::Directory).await;
    fixture.assert_like_a_replay().await;
}

/// Random failures, batches, faults of the stores and kills; then everything is mended.
#[tokio::test]
async fn whatever_fails_and_whenever_it_is_killed_retries_make_it_whole() {
    for seed in 60..64 {
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let mut fixture = Fixture::new(seed, 80).await;
        for round in 0..4 {
            for _ in 0..random.random_range(0..3) {
                let room = *fixture.world.rooms.keys().choose(&mut random).unwrap();
                let seq = fixture.world.rooms[&room].timeline.len() as Seq + random.random_range(0..3);
                fixture.refused.lock().unwrap().insert((room, seq));
            }
            let mut faults = [Fault::Refused, Fault::AnswerLost, Fault::AnswerLost, Fault::Refused];
            faults.shuffle(&mut random);
            fixture.rooms.faults.lock().unwrap().extend(faults);
            let options = Options {
                batch_records: random.random_range(1..40),
                shortest_pause: Duration::from_millis(1),
                longest_pause: Duration::from_millis(5),
                ..Options::default()
            };
            let (log, stores) = (fixture.log(), fixture.faulty.clone());
            let running = keep_with(options, log.clone(), stores, fixture.quarantine.clone());
            for _ in 0..30 {
                fixture.world.step().await;
                if random.random_ratio(1, 10) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            if random.random() {
                running.kill().await;
            } else {
                running.caught_up(&log).await;
                running.stop().await.unwrap();
            }
            if round % 2 == 1 {
                // Some of the causes go away, and what can be used is.
                fixture.refused.lock().unwrap().retain(|_| random.random());
                for projection in BOTH {
                    fixture.retry(projection).await;
                }
            }
        }
        fixture.refused.lock().unwrap().clear();
        fixture.project().await;
        for projection in BOTH {
            let outcomes = fixture.retry(projection).await;
            assert!(outcomes.iter().all(|one| matches!(one, Retried::Over { .. })), "{outcomes:?}");
        }
        fixture.assert_like_a_replay().await;
    }
}

#[tokio::test]
async fn a_projector_in_charge_retries_while_the_log_goes_on() {
    let mut fixture = Fixture::new(52, 20).await;
    let (alice, _, root, sub) = family(&mut fixture).await;
    let failing = fixture.world.rooms[&sub].timeline.len() as Seq;
    fixture.refused.lock().unwrap().insert((sub, failing));
    // As in another process: the projector hears of it from the store.
    let theirs = sqlite_quarantine(fixture.folder.path()).await;
    let running = start_keeping(fixture.log(), fixture.faulty.clone(), theirs);
    running.caught_up(&fixture.log()).await;
    assert_eq!(fixture.quarantined(Projection::RoomEvents).await, [Subject::root(root)]);
    for n in 0..500 {
        fixture.world.send(sub, alice, &format!("kept {n}")).await;
    }
    fixture.refused.lock().unwrap().clear();
    let (log, faulty, quarantine) = (fixture.log(), fixture.faulty.clone(), fixture.quarantine.clone());
    let asking = tokio::spawn(async move {
        let mut outcomes = Vec::new();
        for projection in BOTH {
            let options = Options::default();
            outcomes.extend(retry(projection, None, &log, &faulty, &quarantine, &options).await.unwrap());
        }
        outcomes
    });
    let deadline = Instant::now() + Duration::from_secs(30);
    while !asking.is_finished() {
        assert!(Instant::now() < deadline, "the retry ends");
        fixture.world.send(sub, alice, "meanwhile").await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let outcomes = asking.await.unwrap();
    assert!(outcomes.iter().all(|(_, one)| matches!(one, Retried::Over { .. })), "{outcomes:?}");
    running.caught_up(&fixture.log()).await;
    running.stop().await.unwrap();
    fixture.assert_like_a_replay().await;
}

#[tokio::test]
async fn a_rebuild_starts_with_an_empty_quarantine() {
    let mut fixture = Fixture::new(53, 40).await;
    let (alice, _, root, sub) = family(&mut fixture).await;
    let other = fixture.world.create_room(alice, None, History::FromBeginning, "Other").await;
    fixture.refused.lock().unwrap().insert((sub, 2));
    fixture.project().await;
    assert_eq!(fixture.quarantined(Projection::Directory).await, [Subject::root(root)]);
    // Another cause has come, the old one is gone.
    *fixture.refused.lock().unwrap() = HashSet::from([(other, 2)]);
    for projection in BOTH {
        let (log, options) = (fixture.log(), Options { batch_records: 7, ..Options::default() });
        let quarantine = Some(&fixture.quarantine);
        rebuild(projection, &log, &fixture.faulty, quarantine, &options, |_| {}).await.unwrap();
        assert_eq!(fixture.quarantined(projection).await, [Subject::root(other)]);
    }
    assert_timeline(sub, &fixture.world.rooms[&sub], &fixture.stores).await;
    fixture.refused.lock().unwrap().clear();
    for projection in BOTH {
        fixture.retry(projection).await;
    }
    fixture.assert_like_a_replay().await;
}

#[test]
fn it_is_measured_and_without_a_quarantine_the_projection_stops() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let mut fixture = Fixture::new(54, 10).await;
            let (_, _, _, sub) = family(&mut fixture).await;
            fixture.refused.lock().unwrap().insert((sub, 2));
            let running = start(fixture.log(), fixture.faulty.clone());
            let is_stopped = |state: &State| matches!(state, State::Stopped { .. });
            running
                .until("both stop there", |all| {
                    all.iter().filter(|status| is_stopped(&status.state)).count() == 2
                })
                .await;
            running.stop().await.unwrap_err();
            fixture.project().await;
        });
    });
    let text = metrics.render();
    for line in [
        r#"roomlog_projection_quarantined_roots{projection="room_events"} 1"#,
        r#"roomlog_projection_quarantined_records_total{projection="directory"}"#,
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}

/// A root room in the same partition.
async fn room_beside(world: &mut World, owner: AccountId, room: RoomId) -> RoomId {
    loop {
        let beside = world.create_room(owner, None, History::FromBeginning, "Beside").await;
        if world.log.room_partition(beside) == world.log.room_partition(room) {
            return beside;
        }
    }
}

/// While something in a partition is in quarantine, the root of every room there is looked up.
#[tokio::test]
async fn a_room_with_a_row_that_cannot_be_decoded_is_left_out_by_itself() {
    let mut fixture = Fixture::new(51, 0).await;
    let (_, bob, root, sub) = family(&mut fixture).await;
    let carol = fixture.world.register(Some("carol")).await;
    let other = room_beside(&mut fixture.world, carol, root).await;
    let below = fixture.world.create_room(carol, Some(other), History::FromBeginning, "Below").await;
    fixture.project().await;
    fixture.world.join(sub, bob).await;
    let failing = fixture.world.rooms[&sub].timeline.len() as Seq;
    fixture.refused.lock().unwrap().insert((sub, failing));
    fixture.project().await;
    assert_eq!(fixture.quarantined(Projection::RoomEvents).await, [Subject::root(root)]);

    fixture.rooms.bad.lock().unwrap().insert(other);
    for room in [other, below] {
        fixture.world.send(room, carol, "kept").await;
    }
    let third = room_beside(&mut fixture.world, carol, root).await;
    fixture.world.send(third, carol, "goes on").await;
    fixture.project().await;
    let mut expected = [root, other, below].map(Subject::root);
    expected.sort();
    assert_eq!(
        fixture.quarantined(Projection::RoomEvents).await,
        expected,
        "below cannot be told from its root"
    );
    assert_timeline(third, &fixture.world.rooms[&third], &fixture.stores).await;
    fixture.world.send(other, carol, "kept too").await;
    fixture.project().await;
    assert_eq!(fixture.stores.rooms.seq_range(other).await.unwrap(), Some((1, 2)), "as it was");

    fixture.rooms.bad.lock().unwrap().clear();
    fixture.refused.lock().unwrap().clear();
    for projection in BOTH {
        for outcome in fixture.retry(projection).await {
            assert!(matches!(outcome, Retried::Over { .. }), "{outcome:?}");
        }
    }
    fixture.assert_like_a_replay().await;
}
