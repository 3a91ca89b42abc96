//! Checkpoints of a writer's partition: the owner says every so often, signed and outside the log, where it
//! has read to.
//!
//! What is said is of the confirmed state alone, of records that were read back as accepted. That stays true
//! whoever owns the partition by now. Signing and storing run beside the writer; while the store is away,
//! they are tried again and commands go on.

use std::time::{Duration, Instant};

use futures::FutureExt;
use roomlog_audit::Signer;
use roomlog_audit::archive::Kept;
use roomlog_audit::checkpoint::Stand;
use roomlog_eventlog::Chain;
use roomlog_eventlog::chaos_mutation::{self, Mutation};
use tokio::task::JoinHandle;

/// Before another attempt.
const RETRY: Duration = Duration::from_secs(5);
/// How long a process that stops waits for its last checkpoints.
const LAST_LIMIT: Duration = Duration::from_secs(2);

/// Where the writers of a process keep their checkpoints; cheap to clone.
#[derive(Clone)]
pub struct Checkpoints {
    signer: Signer,
    every: Duration,
}

impl Checkpoints {
    /// An owner makes one after each `every` in which something was appended.
    pub fn new(signer: Signer, every: Duration) -> Self {
        Self { signer, every: every.max(Duration::from_millis(1)) }
    }
}

/// The checkpoints of one partition.
pub struct Schedule {
    checkpoints: Checkpoints,
    tick: tokio::time::Interval,
    due: Instant,
    /// The next offset of the last one.
    kept_at: u64,
    keeping: Option<JoinHandle<Option<u64>>>,
}

impl Schedule {
    /// `spread`, from 0 to 1: the part of the interval after which the first one is due, so that not all
    /// partitions' come at the same time.
    pub fn new(checkpoints: Checkpoints, spread: f64) -> Self {
        let first = checkpoints.every.mul_f64(spread.clamp(0.0, 1.0));
        let mut tick = tokio::time::interval(checkpoints.every.min(RETRY));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Self { checkpoints, tick, due: Instant::now() + first, kept_at: 0, keeping: None }
    }

    /// Comes when there may be something to do; never where there is no schedule. Cancel-safe.
    pub async fn tick(schedule: &mut Option<Self>) {
        match schedule {
            Some(schedule) => drop(schedule.tick.tick().await),
            None => std::future::pending().await,
        }
    }

    /// Keeps one if it is time and something was appended since the last.
    pub fn keep_if_due(&mut self, chain: &Chain, next_offset: u64) {
        self.finished();
        if self.keeping.is_none() && Instant::now() >= self.due {
            self.keep(chain, next_offset);
        }
    }

    /// Keeps one now, if something was appended since the last: the partition goes to another owner.
    pub fn keep_now(&mut self, chain: &Chain, next_offset: u64) {
        self.finished();
        if self.keeping.is_none() {
            self.keep(chain, next_offset);
        }
    }

    /// Waits for the one that is under way and, of a writer that owns its partition up to now, for a last one;
    /// but not for long.
    pub async fn finish(mut self, owned: bool, chain: &Chain, next_offset: u64) {
        let last = async {
            if let Some(keeping) = self.keeping.take() {
                self.note(keeping.await.ok().flatten());
            }
            if owned {
                self.keep(chain, next_offset);
            }
            if let Some(keeping) = self.keeping.take() {
                let _ = keeping.await;
            }
        };
        if tokio::time::timeout(LAST_LIMIT, last).await.is_err() {
            tracing::warn!(partition = %chain.partition(), "the last checkpoint could not be kept in time");
        }
    }

    fn keep(&mut self, chain: &Chain, next_offset: u64) {
        let next_offset = next_offset + u64::from(chaos_mutation::is_on(Mutation::Checkpoint));
        let Some(stand) = Stand::of(chain, next_offset).filter(|_| next_offset > self.kept_at) else {
            return;
        };
        self.due = Instant::now() + self.checkpoints.every;
        let signer = self.checkpoints.signer.clone();
        self.keeping = Some(tokio::spawn(keep(signer, stand)));
    }

    /// Takes notice of one that was under way.
    fn finished(&mut self) {
        let Some(kept) = self.keeping.as_mut().and_then(FutureExt::now_or_never) else { return };
        self.keeping = None;
        self.note(kept.ok().flatten());
    }

    fn note(&mut self, kept: Option<u64>) {
        match kept {
            Some(next_offset) => self.kept_at = next_offset,
            None => self.due = Instant::now(),
        }
    }
}

/// Answers the next offset if there is a checkpoint of it now.
async fn keep(signer: Signer, stand: Stand) -> Option<u64> {
    let started = Instant::now();
    let Stand { partition, next_offset, .. } = stand;
    let kept = signer.keep(stand).await;
    let (outcome, kept) = match kept {
        Ok(Kept::Stored) => ("stored", Some(next_offset)),
        Ok(Kept::Known) => ("known", Some(next_offset)),
        Ok(Kept::Conflict(there)) => {
            tracing::error!(
                %partition, next_offset, head = %stand.head, signed = %there.head, dated = %there.time,
                "the log is not the one that was signed at this offset"
            );
            ("conflict", Some(next_offset))
        }
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(%partition, error, "a checkpoint could not be kept");
            ("failed", None)
        }
    };
    metrics::counter!("roomlog_checkpoints_total", "outcome" => outcome).increment(1);
    metrics::histogram!("roomlog_checkpoint_seconds").record(started.elapsed().as_secs_f64());
    kept
}

#[cfg(test)]
mod tests;
