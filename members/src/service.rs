//! Sends the own heartbeats and listens to everybody's.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use roomlog_eventlog::{Broadcast, LogError};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::{HEARTBEAT_MS, Heartbeat, Millis, ProcessId, Roster};

/// Between attempts to listen to a topic that cannot be reached.
const RETRY: Duration = Duration::from_millis(500);

/// The process's part in the roster.
pub struct Members {
    handle: Handle,
}

/// What is known of the others, and what they are told; cheap to clone.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

struct Shared {
    broadcast: Arc<dyn Broadcast>,
    started: Instant,
    roster: Mutex<Roster>,
    own: Mutex<Heartbeat>,
    beat: Notify,
    /// Counts the heartbeats heard.
    heard: watch::Sender<u64>,
}

impl Members {
    /// `own` is what the process says of itself until it is [changed](Handle::update).
    pub fn new(broadcast: Arc<dyn Broadcast>, own: Heartbeat) -> Self {
        let shared = Shared {
            broadcast,
            started: Instant::now(),
            roster: Mutex::new(Roster::new(own.process)),
            own: Mutex::new(own),
            beat: Notify::new(),
            heard: watch::channel(0).0,
        };
        Self { handle: Handle { shared: Arc::new(shared) } }
    }

    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Listens first, then speaks: whoever hears the first heartbeat will be heard as well.
    pub async fn run(self, shutdown: CancellationToken) {
        let listening = async {
            loop {
                if let Err(error) = self.handle.listen().await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "heartbeats of others cannot be heard"
                    );
                }
                tokio::time::sleep(RETRY).await;
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = listening => {}
            () = self.handle.speak() => {}
        }
    }
}

impl Handle {
    pub fn me(&self) -> ProcessId {
        self.roster().me()
    }

    /// Milliseconds on the roster's clock.
    pub fn now(&self) -> Millis {
        self.shared.started.elapsed().as_millis() as Millis
    }

    /// Who lives and who owns what. Hold it for a moment only.
    pub fn roster(&self) -> MutexGuard<'_, Roster> {
        self.shared.roster.lock().expect("no holder panics")
    }

    /// Changes what the next heartbeats say.
    pub fn update(&self, change: impl FnOnce(&mut Heartbeat)) {
        change(&mut self.own());
    }

    /// Sends a heartbeat now rather than when the next one is due.
    pub fn beat(&self) {
        self.shared.beat.notify_one();
    }

    /// Changes with each heartbeat heard, whoever sent it.
    pub fn heard(&self) -> watch::Receiver<u64> {
        self.shared.heard.subscribe()
    }

    fn own(&self) -> MutexGuard<'_, Heartbeat> {
        self.shared.own.lock().expect("no holder panics")
    }

    async fn listen(&self) -> Result<(), LogError> {
        let mut messages = self.shared.broadcast.subscribe().await?;
        self.beat();
        while let Some(message) = messages.next().await {
            match serde_json::from_slice::<Heartbeat>(&message) {
                Ok(heartbeat) => {
                    let now = self.now();
                    let mut roster = self.roster();
                    roster.heard(now, heartbeat);
                    metrics::gauge!("roomlog_members_living").set(roster.living(now).count() as f64);
                    drop(roster);
                    self.shared.heard.send_modify(|count| *count += 1);
                }
                Err(error) => {
                    metrics::counter!("roomlog_members_unreadable_total").increment(1);
                    tracing::debug!(%error, "a heartbeat that cannot be read");
                }
            }
        }
        Ok(())
    }

    async fn speak(&self) {
        loop {
            let message = {
                let mut own = self.own();
                own.sequence += 1;
                serde_json::to_vec(&*own).expect("a heartbeat has only plain fields")
            };
            self.shared.broadcast.publish(Bytes::from(message));
            let pause = Duration::from_millis(HEARTBEAT_MS as u64);
            let _ = tokio::time::timeout(pause, self.shared.beat.notified()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use roomlog_eventlog::LocalBroadcast;

    use super::*;
    use crate::Role;

    async fn until(handle: &Handle, condition: impl Fn(&Roster, Millis) -> bool) {
        let mut heard = handle.heard();
        let reached = async {
            while !condition(&handle.roster(), handle.now()) {
                heard.changed().await.expect("the handle lives");
            }
        };
        tokio::time::timeout(Duration::from_secs(10), reached).await.expect("in time");
    }

    #[tokio::test]
    async fn processes_hear_each_other() {
        let broadcast: Arc<dyn Broadcast> = Arc::new(LocalBroadcast::default());
        let stop = CancellationToken::new();
        let members = [1, 2].map(|number| {
            let own =
                Heartbeat::new(ProcessId::fresh(), vec![Role::CommandApi], format!("http://h:{number}"));
            Members::new(broadcast.clone(), own)
        });
        let handles = members.each_ref().map(Members::handle);
        let tasks = members.map(|members| tokio::spawn(members.run(stop.clone())));
        for handle in &handles {
            until(handle, |roster, now| {
                roster.with_role(now, Role::CommandApi).count() == 2 && roster.hears_itself(now)
            })
            .await;
        }
        handles[0].update(|own| own.stopping = true);
        handles[0].beat();
        until(&handles[1], |roster, now| roster.with_role(now, Role::CommandApi).count() == 1).await;
        stop.cancel();
        for task in tasks {
            task.await.unwrap();
        }
    }
}
