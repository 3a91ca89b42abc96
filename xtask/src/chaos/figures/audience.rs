//! A thousand sockets in one room, which lose their process together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use super::senders::Senders;
use crate::chaos::client::{Instance, open};
use crate::chaos::history::{Millis, Outcome, Wanted};
use crate::wait;

const ACCOUNTS: usize = 20;
const SOCKETS_EACH: usize = 50;
const DEADLINE: Duration = Duration::from_secs(120);
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(100);

pub struct Audience {
    places: Vec<Arc<AtomicU64>>,
    sockets: JoinSet<()>,
}

impl Audience {
    /// Opens all sockets at `first`; where that one ends they go to `second`.
    pub async fn gather(senders: &Senders, first: &Instance, second: &Instance) -> Result<Self> {
        let shared = &senders.shared;
        let room = shared.rooms[0];
        let run = Uuid::new_v4().simple().to_string();
        let mut audience = Self { places: Vec::new(), sockets: JoinSet::new() };
        for account in 0..ACCOUNTS {
            let name = format!("a{}-{account}", &run[..8]);
            let (_, token) = shared.rest.account(&shared.targets, &name).await?;
            let join = Wanted::Join { room };
            let key = Uuid::now_v7();
            let mut turn = 0;
            let joined = loop {
                let instance = &shared.targets.commands[turn % shared.targets.commands.len()];
                match shared.rest.attempt(instance, &token, key, &join).await {
                    Ok(Outcome::Accepted(answer)) => break answer.seq,
                    Ok(Outcome::Rejected(code)) => bail!("nobody may join: {code}"),
                    _ => turn += 1,
                }
                tokio::time::sleep(BETWEEN_ATTEMPTS).await;
            };
            for _ in 0..SOCKETS_EACH {
                let place = Arc::new(AtomicU64::new(joined - 1));
                audience.places.push(place.clone());
                let instances = [first.clone(), second.clone()];
                audience.sockets.spawn(listen(instances, token.clone(), room, place));
            }
        }
        let places = audience.places.clone();
        let complete = async {
            loop {
                let last = shared.last_seq();
                // A message or two are always on their way.
                if places.iter().all(|place| place.load(Ordering::Relaxed) + 20 >= last) {
                    return;
                }
                tokio::time::sleep(BETWEEN_ATTEMPTS).await;
            }
        };
        if tokio::time::timeout(DEADLINE, complete).await.is_err() {
            bail!("not every socket has caught up");
        }
        Ok(audience)
    }

    /// From `event` until every socket has something that was accepted after it.
    pub fn back_in_step(&self, senders: &Senders, event: impl FnOnce() -> Result<()>) -> Result<Millis> {
        let began = senders.shared.now();
        event()?;
        let last = senders.shared.last_seq() + 1;
        wait::until("every socket to be back in step", DEADLINE, || {
            Ok(self.places.iter().all(|place| place.load(Ordering::Relaxed) > last))
        })?;
        Ok(senders.shared.now() - began)
    }

    pub fn dissolve(mut self) {
        self.sockets.abort_all();
    }
}

async fn listen(instances: [Instance; 2], token: String, room: Uuid, place: Arc<AtomicU64>) {
    let mut turn = 0;
    loop {
        let _ = follow(&instances[turn % 2], &token, room, &place).await;
        turn += 1;
        tokio::time::sleep(BETWEEN_ATTEMPTS).await;
    }
}

async fn follow(instance: &Instance, token: &str, room: Uuid, place: &AtomicU64) -> Result<()> {
    let mut socket = open(instance, token).await?;
    let since = BTreeMap::from([(room, place.load(Ordering::Relaxed))]);
    socket.send(Message::text(json!({"type": "start", "since": since}).to_string())).await?;
    while let Some(message) = socket.next().await {
        let Message::Text(text) = message? else { continue };
        let frame: Value = serde_json::from_str(&text)?;
        if let Some(seq) = frame["seq"].as_u64() {
            place.store(seq, Ordering::Relaxed);
        }
    }
    Ok(())
}
