//! One sender in a room of each partition, always waiting for an answer: what is missing from the answers is the time
//! that a partition was away.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::chaos::client::{Instance, Rest, Targets};
use crate::chaos::history::{Millis, Outcome, Wanted};
use crate::chaos::world::World;
use crate::platform::Role;
use crate::wait;

/// Rooms of different partitions are found by making some.
const PARTITIONS: usize = 4;
const ROOMS_MADE: usize = 64;
/// Between two messages of one sender.
const BETWEEN: Duration = Duration::from_millis(20);
/// A client that gets no answer for so long asks another process.
const IMPATIENCE: Duration = Duration::from_secs(1);
const DEADLINE: Duration = Duration::from_secs(90);

pub struct Senders {
    pub shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

pub struct Shared {
    pub targets: Targets,
    pub rest: Rest,
    pub rooms: Vec<Uuid>,
    pub token: String,
    began: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Of each room, when messages were acknowledged.
    acknowledged: Vec<Vec<Millis>>,
    /// Of each room, the last seq that was.
    seqs: Vec<u64>,
    /// Clients do not go there: whoever stands before it has noticed.
    avoided: String,
}

impl Senders {
    pub async fn start(targets: Targets) -> Result<Self> {
        let rest = Rest::new()?;
        let (_, token) = rest.account(&targets, "sender").await?;
        let mut rooms = BTreeMap::new();
        for number in 0..ROOMS_MADE {
            let body = json!({ "name": format!("Room {number}") });
            let answer = rest.room(&targets, &token, Uuid::now_v7(), &body).await?;
            let partition = answer.position.split('-').next().unwrap_or_default().to_owned();
            rooms.entry(partition).or_insert(answer.room.context("a room without an id")?);
            if rooms.len() == PARTITIONS {
                break;
            }
        }
        let rooms: Vec<Uuid> = rooms.into_values().collect();
        let state = State {
            acknowledged: vec![Vec::new(); rooms.len()],
            seqs: vec![0; rooms.len()],
            avoided: String::new(),
        };
        let shared =
            Arc::new(Shared { targets, rest, rooms, token, began: Instant::now(), state: Mutex::new(state) });
        let mut tasks = JoinSet::new();
        for room in 0..shared.rooms.len() {
            tasks.spawn(shared.clone().send(room));
        }
        Ok(Self { shared, _tasks: tasks })
    }

    /// Waits until every room has new messages.
    pub fn get_on(&self) -> Result<()> {
        let since = self.shared.now();
        wait::until("messages in every room", DEADLINE, || Ok(self.shared.all_acknowledged_after(since)))
    }

    /// The longest time without an acknowledgement in any room, from just before `event` until all go on.
    pub fn gap(&self, avoided: &str, event: impl FnOnce() -> Result<()>) -> Result<Millis> {
        let since = self.shared.now();
        self.shared.lock().avoided = avoided.to_owned();
        event()?;
        // Until a partition whose owner has gone would have been missed by all.
        super::pause(Duration::from_secs(6))?;
        self.get_on()?;
        self.shared.lock().avoided.clear();
        let state = self.shared.lock();
        let gaps = state
            .acknowledged
            .iter()
            .flat_map(|times| times.windows(2).filter(|pair| pair[1] >= since).map(|pair| pair[1] - pair[0]));
        gaps.max().context("nothing was acknowledged")
    }

    /// The command-api that owns the most.
    pub async fn busiest(&self, world: &World) -> Result<String> {
        let mut most = (-1.0, String::new());
        for process in world.platform.processes().iter().filter(|process| process.has(Role::CommandApi)) {
            let text = self.shared.rest.text(&format!("http://{}/metrics", process.address())).await?;
            let gauge = text.lines().find_map(|line| line.strip_prefix("roomlog_writer_owned_partitions "));
            let owned: f64 = gauge.and_then(|owned| owned.trim().parse().ok()).unwrap_or(0.0);
            if owned > most.0 {
                most = (owned, process.name().to_owned());
            }
        }
        Ok(most.1)
    }
}

impl Shared {
    pub fn now(&self) -> Millis {
        self.began.elapsed().as_millis() as Millis
    }

    /// The last seq of the first room that was acknowledged.
    pub fn last_seq(&self) -> u64 {
        self.lock().seqs.first().copied().unwrap_or(0)
    }

    fn all_acknowledged_after(&self, since: Millis) -> bool {
        self.lock().acknowledged.iter().all(|times| times.last().is_some_and(|last| *last > since))
    }

    async fn send(self: Arc<Self>, room: usize) {
        let mut turn = room;
        loop {
            let wanted = Wanted::Send { room: self.rooms[room], text: "still there?".to_owned() };
            let key = Uuid::now_v7();
            loop {
                turn += 1;
                let instance = self.instance(turn);
                let attempt = self.rest.attempt(&instance, &self.token, key, &wanted);
                if let Ok(Ok(Outcome::Accepted(answer))) = tokio::time::timeout(IMPATIENCE, attempt).await {
                    let now = self.now();
                    let mut state = self.lock();
                    state.acknowledged[room].push(now);
                    state.seqs[room] = answer.seq;
                    break;
                }
                tokio::time::sleep(BETWEEN).await;
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }

    fn instance(&self, turn: usize) -> Instance {
        let avoided = self.lock().avoided.clone();
        let open: Vec<&Instance> =
            self.targets.commands.iter().filter(|instance| instance.name != avoided).collect();
        open[turn % open.len()].clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
