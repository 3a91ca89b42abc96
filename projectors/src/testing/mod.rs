//! For tests, also of other crates: valid logs, and stores to project them into.

mod log;
mod world;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use roomlog_eventlog::{Broadcast, EventLog};
use roomlog_members::{Heartbeat, Members, ProcessId, Role};
use roomlog_stores::progress::Progress;
use roomlog_stores::quarantine::Quarantine;
use roomlog_stores::sqlite::{
    SqliteDirectoryStore, SqliteQuarantineStore, SqliteRoomStore, SqliteSecretsStore,
};
use roomlog_stores::{MasterKey, Sealer};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use log::TestLog;
pub use world::{TestRoom, World};

use crate::{Error, Handle, Options, PartitionStatus, Projectors, Stores};

/// Bytes of keys that a test keeps in memory.
const KEY_CACHE: usize = 1024 * 1024;

/// SQLite stores in a folder, opened or made.
pub async fn sqlite_stores(folder: &Path) -> Stores {
    let secrets = SqliteSecretsStore::open(folder).await.expect("the secrets store opens");
    let master = MasterKey::from_hex(&"07".repeat(32)).expect("64 hexadecimal digits");
    Stores {
        rooms: Arc::new(SqliteRoomStore::open(folder).await.expect("the room store opens")),
        directory: Arc::new(SqliteDirectoryStore::open(folder).await.expect("the directory opens")),
        sealer: Sealer::new(Arc::new(secrets), master, KEY_CACHE),
    }
}

/// Longest that a test waits for the projections.
const PATIENCE: Duration = Duration::from_secs(20);

/// Projectors at work; they end with this.
pub struct Running {
    pub handle: Handle,
    pub progress: Arc<Progress>,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

/// Starts projectors that lose no time on pauses.
pub fn start(log: Arc<dyn EventLog>, stores: Stores) -> Running {
    start_with(impatient(), log, stores)
}

pub fn start_with(options: Options, log: Arc<dyn EventLog>, stores: Stores) -> Running {
    let progress = Arc::new(Progress::default());
    run(Projectors::new(options, log, stores, progress.clone()), progress)
}

/// The same, telling others of joinings.
pub fn start_signalling(log: Arc<dyn EventLog>, stores: Stores, signals: Arc<dyn Broadcast>) -> Running {
    let progress = Arc::new(Progress::default());
    let projectors = Projectors::new(impatient(), log, stores, progress.clone());
    run(projectors.with_signals(signals), progress)
}

/// The same with a quarantine.
pub fn start_keeping(log: Arc<dyn EventLog>, stores: Stores, quarantine: Quarantine) -> Running {
    keep_with(impatient(), log, stores, quarantine)
}

pub fn keep_with(
    options: Options,
    log: Arc<dyn EventLog>,
    stores: Stores,
    quarantine: Quarantine,
) -> Running {
    let progress = Arc::new(Progress::default());
    run(Projectors::new(options, log, stores, progress.clone()).with_quarantine(quarantine), progress)
}

/// A quarantine on SQLite in a folder.
pub async fn sqlite_quarantine(folder: &Path) -> Quarantine {
    let store = SqliteQuarantineStore::open(folder).await.expect("the quarantine opens");
    Quarantine::open(Arc::new(store)).await.expect("the quarantine can be read")
}

/// One of several processes: shares the work with whoever speaks on the broadcast. The other pauses
/// are those of [`start`].
pub fn start_shared(log: Arc<dyn EventLog>, stores: Stores, broadcast: Arc<dyn Broadcast>) -> Process {
    let own = Heartbeat::new(ProcessId::fresh(), vec![Role::Projectors], String::new());
    let members = Members::new(broadcast, own);
    let handle = members.handle();
    let progress = Arc::new(Progress::default());
    let projectors = Projectors::new(impatient(), log, stores, progress.clone()).shared(handle.clone());
    let stop = CancellationToken::new();
    let heartbeats = tokio::spawn(members.run(stop.clone()));
    Process { running: run(projectors, progress), members: handle, stop, heartbeats }
}

/// A process of the role `projectors`, as far as others can tell.
pub struct Process {
    pub running: Running,
    pub members: roomlog_members::Handle,
    stop: CancellationToken,
    heartbeats: JoinHandle<()>,
}

impl Process {
    /// Ends it as a kill does: nothing is finished, nothing said.
    pub fn kill(self) {
        self.heartbeats.abort();
        self.running.task.abort();
    }

    pub async fn stop(self) -> Result<(), Error> {
        let outcome = self.running.stop().await;
        self.stop.cancel();
        self.heartbeats.await.expect("heartbeats do not panic");
        outcome
    }
}

fn impatient() -> Options {
    Options {
        shortest_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(10),
        standby_interval: Duration::from_millis(10),
        batch_interval: Duration::ZERO,
        ..Options::default()
    }
}

fn run(projectors: Projectors, progress: Arc<Progress>) -> Running {
    let handle = projectors.handle();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(projectors.run(shutdown.clone()));
    Running { handle, progress, shutdown, task }
}

impl Running {
    /// Waits until this holds for the statuses.
    pub async fn until(&self, what: &str, holds: impl Fn(&[PartitionStatus]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(&self.handle.statuses()) {
            assert!(Instant::now() < deadline, "{what}: {:?}", self.handle.statuses());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until everything that the log holds now is stored.
    pub async fn caught_up(&self, log: &Arc<dyn EventLog>) {
        for status in self.handle.statuses() {
            let (projection, partition) = (status.projection, status.partition);
            let end = log.end(partition).await.expect("a log in memory");
            self.until("caught up", |all| {
                all.iter()
                    .any(|s| (s.projection, s.partition) == (projection, partition) && s.next_offset >= end)
            })
            .await;
        }
    }

    pub async fn stop(self) -> Result<(), Error> {
        self.shutdown.cancel();
        self.task.await.expect("the service does not panic")
    }

    /// Ends them as a kill does; they do nothing any more when this returns.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
        // What it had spawned ends as the runtime comes to it.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
}

/// Projects everything that the log holds now.
pub async fn project(log: &Arc<dyn EventLog>, stores: &Stores) {
    let running = start(log.clone(), stores.clone());
    running.caught_up(log).await;
    running.stop().await.expect("nothing stopped");
}
