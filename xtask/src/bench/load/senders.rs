//! Those who send.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::future::join_all;
use serde::Deserialize;
use uuid::Uuid;

use super::http::{Connection, Response};
use super::pace::Pacer;
use super::request::Template;
use super::stage::Stage;
use super::tally::Accepted;
use super::{Plan, SharedTally};
use crate::bench::cases::Load;

/// Requests and connections, prepared for a round.
pub struct Senders {
    address: SocketAddr,
    load: Load,
    /// By room and member.
    templates: Vec<Vec<Template>>,
    tally: SharedTally,
    idle: RefCell<Vec<Client>>,
}

struct Client {
    connection: Connection,
    request: Vec<u8>,
}

/// Opened before the load begins; an open loop opens more whenever none is idle.
const FIRST_CONNECTIONS: usize = 16;

/// A sender that was refused does not spin.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(10);

impl Senders {
    pub async fn connect(plan: &Plan, stage: &Stage, tally: &SharedTally) -> Result<Rc<Self>> {
        let template =
            |room: &str, token: &str| Template::new(plan.address, room, token, plan.workload.text_bytes);
        let templates = stage
            .rooms
            .iter()
            .map(|room| room.members.iter().map(|token| template(&room.id, token)).collect());
        let connections = match plan.workload.load {
            Load::Open { .. } => FIRST_CONNECTIONS,
            Load::Closed { senders } => senders,
        };
        let mut idle = Vec::new();
        for _ in 0..connections {
            idle.push(Client::connect(plan.address).await?);
        }
        Ok(Rc::new(Self {
            address: plan.address,
            load: plan.workload.load,
            templates: templates.collect(),
            tally: tally.clone(),
            idle: RefCell::new(idle),
        }))
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
        }
    }

    async fn send_on_time(self: &Rc<Self>, per_second: u32, start: Instant, end: Instant) -> Result<()> {
        let mut pacer = Pacer::new()?;
        for number in 0.. {
            let intended = start + Duration::from_secs(1) * number / per_second;
            if intended >= end {
                break;
            }
            pacer.until(intended).await?;
            let senders = self.clone();
            tokio::task::spawn_local(async move {
                let client = senders.idle.borrow_mut().pop();
                let client = match client {
                    Some(client) => Ok(client),
                    None => Client::connect(senders.address).await,
                };
                // An error is in the tally; its connection is dropped.
                if let Some(client) = senders.exchange(client, number as usize, intended).await.0 {
                    senders.idle.borrow_mut().push(client);
                }
            });
        }
        Ok(())
    }

    async fn send_in_turn(&self, sender: usize, end: Instant) -> Result<()> {
        let mut client = self.idle.borrow_mut().pop();
        loop {
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            let ready = match client.take() {
                Some(client) => Ok(client),
                None => Client::connect(self.address).await,
            };
            let (left, was_accepted) = self.exchange(ready, sender, now).await;
            client = left;
            if !was_accepted {
                tokio::time::sleep(PAUSE_AFTER_REFUSAL).await;
            }
        }
    }

    /// Sends the message that the `turn`th sender has: turns go round the rooms and then round their members. Answers
    /// the client, if it is still of use, and whether the message was accepted.
    async fn exchange(
        &self,
        client: Result<Client>,
        turn: usize,
        intended: Instant,
    ) -> (Option<Client>, bool) {
        let room = turn % self.templates.len();
        let members = &self.templates[room];
        let template = &members[turn / self.templates.len() % members.len()];
        let number = self.tally.borrow_mut().send(room, intended);
        let Ok(mut client) = client else {
            self.tally.borrow_mut().refused(number, "connect".to_owned());
            return (None, false);
        };
        template.fill(&mut client.request, Uuid::now_v7(), number);
        self.tally.borrow_mut().left(number, Instant::now());
        let Ok(response) = client.connection.exchange(&client.request).await else {
            self.tally.borrow_mut().refused(number, "connection".to_owned());
            return (None, false);
        };
        let now = Instant::now();
        let accepted = understand(&response);
        let was_accepted = accepted.is_ok();
        let mut tally = self.tally.borrow_mut();
        match accepted {
            Ok(accepted) => tally.accepted(number, accepted, now),
            Err(why) => tally.refused(number, why),
        }
        drop(tally);
        (Some(client), was_accepted)
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
