//! Clients as a person's would be: they repeat what was not answered under the same key, and open their stream
//! again, perhaps on another instance, where it broke off.

mod actor;
mod rest;
mod socket;
mod views;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

pub use actor::Order;
pub use rest::{Rest, id};
pub use socket::open;
pub use views::{Reader, reads, view};

use super::history::Seq;
use super::recorder::Recorder;

/// A process that clients go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    pub name: String,
    pub address: SocketAddr,
}

/// Who serves what.
#[derive(Debug, Clone, Default)]
pub struct Targets {
    pub commands: Vec<Instance>,
    pub queries: Vec<Instance>,
    pub streams: Vec<Instance>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub id: Uuid,
    pub parent: Option<Uuid>,
    /// Its creator never leaves.
    pub creator: Uuid,
}

/// What clients are told, all at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Phase {
    /// Commands that were begun are still finished.
    pub no_more_commands: bool,
    /// Streams close and open again when this changes.
    pub round: u32,
    /// Streams close for good.
    pub over: bool,
}

/// One account with its memory. It outlives connections and attempts.
pub struct Client {
    pub account: Uuid,
    pub name: String,
    state: Mutex<State>,
    /// Commands for the socket, if it is open.
    to_socket: mpsc::Sender<socket::Command>,
    pub orders: mpsc::UnboundedSender<Order>,
}

#[derive(Default)]
struct State {
    token: String,
    /// The rooms that the account is a member of, as its own commands' answers say.
    member: BTreeSet<Uuid>,
    /// The last seq of each room that the stream has covered.
    places: BTreeMap<Uuid, Seq>,
    /// Milliseconds for which the socket is not read.
    stall: u64,
}

/// Everything that clients share.
pub struct Shared {
    pub targets: Targets,
    pub rest: Rest,
    pub recorder: Arc<Recorder>,
    pub rooms: Vec<Room>,
    pub phase: watch::Receiver<Phase>,
    pub seed: u64,
    /// Milliseconds at most between the commands of one client.
    pub pause: u64,
}

/// The clients at work.
pub struct Crowd {
    pub shared: Arc<Shared>,
    pub clients: Vec<Arc<Client>>,
    pub phase: watch::Sender<Phase>,
    actors: tokio::task::JoinSet<()>,
    sockets: tokio::task::JoinSet<()>,
}

/// Who takes part: made before the clients start.
pub struct Account {
    pub id: Uuid,
    pub name: String,
    pub token: String,
    pub member: BTreeSet<Uuid>,
}

impl Crowd {
    /// Starts the clients on the runtime that this is called within.
    pub fn start(shared: Shared, phase: watch::Sender<Phase>, accounts: Vec<Account>) -> Self {
        let shared = Arc::new(shared);
        let (mut actors, mut sockets) = (tokio::task::JoinSet::new(), tokio::task::JoinSet::new());
        let mut clients = Vec::new();
        for (number, account) in accounts.into_iter().enumerate() {
            let (to_socket, commands) = mpsc::channel(16);
            let (orders, ordered) = mpsc::unbounded_channel();
            let Account { id, name, token, member } = account;
            let state = Mutex::new(State { token, member, ..State::default() });
            let client = Arc::new(Client { account: id, name, state, to_socket, orders });
            actors.spawn(actor::run(shared.clone(), client.clone(), number as u64, ordered));
            sockets.spawn(socket::run(shared.clone(), client.clone(), number as u64, commands));
            clients.push(client);
        }
        Self { shared, clients, phase, actors, sockets }
    }

    /// Waits until every command that was begun has its answer.
    pub async fn finish_commands(&mut self) {
        while self.actors.join_next().await.is_some() {}
    }

    pub async fn finish_streams(&mut self) {
        while self.sockets.join_next().await.is_some() {}
    }

    pub fn tell(&self, change: impl FnOnce(&mut Phase)) {
        self.phase.send_modify(change);
    }
}

impl Client {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn token(&self) -> String {
        self.lock().token.clone()
    }

    pub async fn log_in(&self, shared: &Shared) -> Result<()> {
        let token = shared.rest.log_in(&shared.targets, &self.name).await?;
        self.lock().token = token;
        Ok(())
    }

    pub fn is_member(&self, room: Uuid) -> bool {
        self.lock().member.contains(&room)
    }

    /// How far the stream is in this room.
    pub fn place(&self, room: Uuid) -> Seq {
        self.lock().places.get(&room).copied().unwrap_or(0)
    }

    /// Lets the stream lie unread for so many milliseconds.
    pub fn stall(&self, millis: u64) {
        self.lock().stall = millis;
    }
}
