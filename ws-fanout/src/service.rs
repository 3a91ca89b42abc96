//! The service: the tails that the sockets need, and the sockets.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use roomlog_eventlog::{Broadcast, EventLog, LogIdentity};
use roomlog_stores::progress::Progress;
use roomlog_stores::{DirectoryStore, RoomStore, Sealer, SecretsStore};
use roomlog_web::Auth;
use roomlog_web::commands::Commands;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::hub::Hub;
use crate::joining;
use crate::partition::Partition;
use crate::tail::Tail;
use crate::{Handle, Options, upgrade};

/// What the stream is made of.
#[derive(Clone)]
pub struct FanoutDeps {
    pub log: Arc<dyn EventLog>,
    pub identity: LogIdentity,
    pub rooms: Arc<dyn RoomStore>,
    /// For its cursors in the partitions of accounts.
    pub directory: Arc<dyn DirectoryStore>,
    /// Tells which sessions live.
    pub secrets: Arc<dyn SecretsStore>,
    /// The topic `signals`, on which the projectors tell of joinings. Without `tail_all` and without
    /// signals an account's joining is found by the poll, after `poll_interval` or so.
    pub signals: Option<Arc<dyn Broadcast>>,
    pub sealer: Sealer,
    pub progress: Arc<Progress>,
    pub auth: Auth,
    pub commands: Arc<dyn Commands>,
}

/// Serves the live stream.
///
/// * While the log, the room store or the keys are away, open sockets stay open and get what comes
///   once they are back.
/// * A record that cannot be read stops its partition's tail, in sight (log, metric, [`Handle`]).
pub struct Fanout {
    hub: Arc<Hub>,
}

/// Beyond the sockets' own limits: time to write the close frames.
const GRACE: Duration = Duration::from_secs(1);

impl Fanout {
    pub fn new(deps: FanoutDeps, options: Options) -> Self {
        Self { hub: Arc::new(Hub::new(deps, options)) }
    }

    /// `GET /v1/stream`. Answers 503 until [`run`](Self::run) has begun to read.
    pub fn router(&self) -> Router {
        upgrade::router(self.hub.clone())
    }

    pub fn handle(&self) -> Handle {
        Handle { hub: self.hub.clone() }
    }

    /// Runs until `shutdown`; then every socket gets what waits for it and is closed with
    /// [`CloseReason::Restart`](crate::CloseReason::Restart), within `drain_timeout`.
    pub async fn run(self, shutdown: CancellationToken) {
        let hub = self.hub;
        let mut tails = JoinSet::new();
        let mut partitions = std::collections::HashMap::new();
        for partition in hub.partitions() {
            let task = tails.spawn(keep(hub.clone(), partition.clone()));
            partitions.insert(task.id(), partition.clone());
        }
        hub.run();
        let watch = async {
            while let Some(ended) = tails.join_next_with_id().await {
                let (id, error) = match ended {
                    Ok((id, error)) => (id, error),
                    Err(panicked) => (panicked.id(), "the tail panicked".to_owned()),
                };
                if let Some(partition) = partitions.get(&id) {
                    partition.stopped(error);
                }
            }
            std::future::pending::<()>().await;
        };
        // Where every partition is followed, the tails tell of everything.
        let joining = async {
            match hub.options.tail_all {
                true => std::future::pending().await,
                false => joining::run(&hub).await,
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = watch => {}
            () = joining => {}
        }
        hub.close_all();
        let limit = hub.options.drain_timeout + hub.options.close_timeout + GRACE;
        if tokio::time::timeout(limit, hub.tasks.wait()).await.is_err() {
            tracing::warn!(sockets = hub.accounts.sockets(), "sockets were cut off");
        }
        tails.shutdown().await;
    }
}

/// Runs a partition's tail whenever somebody needs it, until something that waiting does not mend;
/// the answer says what.
async fn keep(hub: Arc<Hub>, partition: Arc<Partition>) -> String {
    let _always = hub.options.tail_all.then(|| partition.lease());
    loop {
        partition.is_wanted().await;
        partition.starting();
        let _counted = Counted::new(hub.clone());
        let mut tail = Box::pin(Tail::new(hub.clone(), partition.clone()).run());
        loop {
            tokio::select! {
                error = &mut tail => return error,
                () = partition.is_unwanted(hub.options.tail_linger) => {
                    if partition.retire() {
                        break;
                    }
                }
            }
        }
    }
}

/// A tail, in the metric.
struct Counted(Arc<Hub>);

impl Counted {
    fn new(hub: Arc<Hub>) -> Self {
        hub.telemetry.tails.increment(1.0);
        Self(hub)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.telemetry.tails.decrement(1.0);
    }
}
