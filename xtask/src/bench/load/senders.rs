//! Those who send.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::future::join_all;
use serde::Deserialize;
use uuid::Uuid;

use super::Scene;
use super::http::{Connection, Response};
use super::pace::Pacer;
use super::request::Template;
use super::tally::Accepted;
use crate::bench::workload::Load;

/// Requests and connections, prepared for a round.
pub struct Senders {
    scene: Rc<Scene>,
    load: Load,
    /// By room and member.
    templates: Vec<Vec<Template>>,
    /// Clients without a message, by the address that they are connected to.
    idle: Vec<RefCell<Vec<Client>>>,
    overloaded: Cell<bool>,
}

struct Client {
    connection: Connection,
    request: Vec<u8>,
}

/// Opened for each address before the load begins; an open loop opens more whenever none is idle.
const FIRST_CONNECTIONS: usize = 16;

/// An open load stops sending while so many are unanswered: each needs a connection.
const MOST_IN_FLIGHT: u64 = 4_000;

/// A sender that was refused does not spin.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(10);

impl Senders {
    pub async fn connect(scene: &Rc<Scene>, load: Load) -> Result<Rc<Self>> {
        let Scene { plan, stage, .. } = &**scene;
        let host = plan.addresses.command(0);
        let template = |room: &str, token: &str| Template::new(host, room, token, plan.workload.text_bytes);
        let templates = stage
            .rooms
            .iter()
            .map(|room| room.members.iter().map(|token| template(&room.id, token)).collect());
        let addresses = plan.addresses.commands.len();
        let connections = match load {
            Load::Closed { senders } => senders.div_ceil(addresses),
            _ => FIRST_CONNECTIONS,
        };
        let mut idle = Vec::new();
        for address in &plan.addresses.commands {
            let mut clients = Vec::new();
            for _ in 0..connections {
                clients.push(Client::connect(*address).await?);
            }
            idle.push(RefCell::new(clients));
        }
        let overloaded = Cell::new(false);
        Ok(Rc::new(Self { scene: scene.clone(), load, templates: templates.collect(), idle, overloaded }))
    }

    /// Sends from `start` to `end`; answers may still be missing when this returns.
    pub async fn send(self: Rc<Self>, start: Instant, end: Instant) -> Result<()> {
        match self.load {
            Load::Open { messages_per_second } => self.send_on_time(messages_per_second, start, end).await,
            Load::Closed { senders } => {
                tokio::time::sleep_until(start.into()).await;
                let senders = (0..senders).map(|sender| self.send_in_turn(sender, end));
                join_all(senders).await.into_iter().collect()
            }
            Load::Search { .. } | Load::Idle => bail!("this is not a load that can be sent"),
        }
    }

    /// Whether messages were held back.
    pub fn were_overloaded(&self) -> bool {
        self.overloaded.get()
    }

    async fn send_on_time(self: &Rc<Self>, per_second: u32, start: Instant, end: Instant) -> Result<()> {
        let mut pacer = Pacer::new()?;
        for turn in 0.. {
            let intended = start + Duration::from_secs(1) * turn / per_second;
            if intended >= end {
                break;
            }
            pacer.until(intended).await?;
            if self.scene.tally.borrow().in_flight() >= MOST_IN_FLIGHT {
                self.scene.tally.borrow_mut().held_back();
                self.overloaded.set(true);
                // Answers have to be heard.
                tokio::task::yield_now().await;
                continue;
            }
            let senders = self.clone();
            tokio::task::spawn_local(async move {
                let turn = turn as usize;
                let client = senders.client(turn).await;
                // An error is in the tally; its connection is dropped.
                if let Some(client) = senders.exchange(client, turn, intended).await.0 {
                    senders.idle_at(turn).borrow_mut().push(client);
                }
            });
        }
        Ok(())
    }

    async fn send_in_turn(&self, sender: usize, end: Instant) -> Result<()> {
        let mut client = None;
        loop {
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            let ready = match client.take() {
                Some(client) => Ok(client),
                None => self.client(sender).await,
            };
            let (left, was_accepted) = self.exchange(ready, sender, now).await;
            client = left;
            if !was_accepted {
                tokio::time::sleep(PAUSE_AFTER_REFUSAL).await;
            }
        }
    }

    /// One that is connected to the address whose turn it is.
    async fn client(&self, turn: usize) -> Result<Client> {
        let idle = self.idle_at(turn).borrow_mut().pop();
        match idle {
            Some(client) => Ok(client),
            None => Client::connect(self.scene.plan.addresses.command(turn)).await,
        }
    }

    fn idle_at(&self, turn: usize) -> &RefCell<Vec<Client>> {
        &self.idle[turn % self.idle.len()]
    }

    /// Sends the message that the `turn`th sender has: turns go round the rooms and then round their members. Answers
    /// the client, if it is still of use, and whether the message was accepted.
    async fn exchange(
        &self,
        client: Result<Client>,
        turn: usize,
        intended: Instant,
    ) -> (Option<Client>, bool) {
        let tally = &self.scene.tally;
        let room = turn % self.templates.len();
        let members = &self.templates[room];
        let template = &members[turn / self.templates.len() % members.len()];
        let number = tally.borrow_mut().send(room, intended);
        let Ok(mut client) = client else {
            tally.borrow_mut().refused(number, "connect".to_owned());
            return (None, false);
        };
        template.fill(&mut client.request, Uuid::now_v7(), number);
        tally.borrow_mut().left(number, Instant::now());
        let Ok(response) = client.connection.exchange(&client.request).await else {
            tally.borrow_mut().refused(number, "connection".to_owned());
            return (None, false);
        };
        let now = Instant::now();
        let (accepted, is_last) = (understand(&response), response.is_last);
        let was_accepted = accepted.is_ok();
        let mut tally = tally.borrow_mut();
        match accepted {
            Ok(accepted) => tally.accepted(number, accepted, now),
            Err(why) => tally.refused(number, why),
        }
        drop(tally);
        ((!is_last).then_some(client), was_accepted)
    }
}

impl Client {
    async fn connect(address: SocketAddr) -> Result<Self> {
        Ok(Self { connection: Connection::open(address).await?, request: Vec::new() })
    }
}

#[derive(Deserialize)]
struct Answer {
    seq: u64,
    position: String,
}

/// The error is its name among the figures.
fn understand(response: &Response<'_>) -> Result<Accepted, String> {
    const CREATED: u16 = 201;
    if response.status != CREATED {
        return Err(format!("status_{}", response.status));
    }
    let answer = serde_json::from_slice(response.body).context("no answer");
    let Answer { seq, position } = answer.map_err(|_| "not_understood".to_owned())?;
    Ok(Accepted { seq, position })
}
