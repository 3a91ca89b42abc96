//! Where each projection stands, for the process that runs them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use roomlog_eventlog::TopicPartition;
use roomlog_stores::progress::Projection;
use tokio::sync::watch;

use crate::Error;

/// What a projection is doing in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Not yet reading.
    Starting,
    Running,
    /// Another process works on it; `next_offset` is what the store said some time ago.
    StandingBy,
    /// The log or a store is away; the same is tried again until it is back.
    Retrying {
        error: String,
    },
    /// It won't go on in this process. Nothing after `next_offset` is in the store.
    Stopped {
        error: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionStatus {
    pub projection: Projection,
    pub partition: TopicPartition,
    /// Everything below is stored.
    pub next_offset: u64,
    pub state: State,
}

/// Tells how the projections are doing; cheap to clone.
#[derive(Clone)]
pub struct Handle {
    cells: Arc<[Arc<Cell>]>,
    was_ready: Arc<AtomicBool>,
}

impl Handle {
    pub(crate) fn new(cells: Vec<Arc<Cell>>) -> Self {
        Self { cells: cells.into(), was_ready: Arc::default() }
    }

    /// One for each projection and partition, in a fixed order.
    pub fn statuses(&self) -> Vec<PartitionStatus> {
        self.cells.iter().map(|cell| cell.status()).collect()
    }

    pub fn stopped(&self) -> Vec<PartitionStatus> {
        let mut statuses = self.statuses();
        statuses.retain(|status| matches!(status.state, State::Stopped { .. }));
        statuses
    }

    /// Whether every projection has come as far as the log was when this process took it up, or is left
    /// to another process, and none has stopped. A new version of a projection is complete then. Behind
    /// that only what stopped counts: while a store or the log is away, or what another process has left
    /// is caught up with, reads go on.
    pub fn is_ready(&self) -> bool {
        let was_ready = self.was_ready.load(Ordering::Relaxed);
        let is_ready = self.cells.iter().all(|cell| {
            let inner = cell.lock();
            match inner.state {
                State::Stopped { .. } => false,
                _ if was_ready => true,
                State::Starting => false,
                State::StandingBy => inner.is_told,
                State::Running | State::Retrying { .. } => inner.has_caught_up,
            }
        });
        self.was_ready.fetch_or(is_ready, Ordering::Relaxed);
        is_ready
    }

    pub(crate) fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    /// The first of those that stopped, as an error.
    pub(crate) fn outcome(&self) -> Result<(), Error> {
        let stopped = self.stopped();
        match stopped.first() {
            Some(PartitionStatus { projection, partition, state: State::Stopped { error }, .. }) => {
                Err(Error::Stopped {
                    count: stopped.len(),
                    projection: projection.name(),
                    partition: *partition,
                    reason: error.clone(),
                })
            }
            _ => Ok(()),
        }
    }
}

/// One projection in one partition: its status, and the metrics that repeat it.
pub(crate) struct Cell {
    pub projection: Projection,
    /// Of its rows.
    pub version: u32,
    pub partition: TopicPartition,
    inner: Mutex<Inner>,
    in_charge: watch::Sender<bool>,
}

struct Inner {
    next_offset: u64,
    state: State,
    /// Whether it is known which process works on it.
    is_told: bool,
    /// Where the log ended when this process began to work on it.
    goal: Option<u64>,
    has_caught_up: bool,
}

impl Cell {
    pub fn new(projection: Projection, version: u32, partition: TopicPartition) -> Self {
        let inner =
            Inner { next_offset: 0, state: State::Starting, is_told: true, goal: None, has_caught_up: false };
        let in_charge = watch::Sender::new(true);
        Self { projection, version, partition, inner: Mutex::new(inner), in_charge }
    }

    /// Other processes may work on it: this one waits until it is told.
    pub fn share(&self) {
        self.lock().is_told = false;
        self.in_charge.send_replace(false);
    }

    /// Whether this process works on it.
    pub fn in_charge(&self) -> watch::Receiver<bool> {
        self.in_charge.subscribe()
    }

    pub fn put_in_charge(&self, in_charge: bool) {
        self.lock().is_told = true;
        let changed = self.in_charge.send_if_modified(|was| std::mem::replace(was, in_charge) != in_charge);
        if changed {
            let (projection, partition) = (self.projection.name(), self.partition);
            tracing::info!(projection, %partition, in_charge, "a projection moves between processes");
        }
    }

    /// Returns when another process shall work on it.
    pub async fn relieved(&self) {
        // Only fails when the cell is gone, which is borrowed here.
        let _ = self.in_charge().wait_for(|in_charge| !in_charge).await;
    }

    pub fn status(&self) -> PartitionStatus {
        let Inner { next_offset, ref state, .. } = *self.lock();
        PartitionStatus {
            projection: self.projection,
            partition: self.partition,
            next_offset,
            state: state.clone(),
        }
    }

    /// Whether nobody has said yet how far it has to come.
    pub fn needs_goal(&self) -> bool {
        self.lock().goal.is_none()
    }

    pub fn set_goal(&self, log_end: u64) {
        self.lock().goal = Some(log_end);
    }

    /// Everything below is stored.
    pub fn reached(&self, next_offset: u64) {
        let mut inner = self.lock();
        (inner.next_offset, inner.state) = (next_offset, State::Running);
        inner.has_caught_up |= inner.goal.is_some_and(|goal| next_offset >= goal);
        drop(inner);
        self.gauge("roomlog_projection_position").set(next_offset as f64);
        self.gauge("roomlog_projection_stopped").set(0.0);
        self.gauge("roomlog_projection_in_charge").set(1.0);
    }

    /// Another process works on it, and has come this far if that is known.
    pub fn standing_by(&self, next_offset: Option<u64>) {
        let mut inner = self.lock();
        let next_offset = next_offset.unwrap_or(inner.next_offset);
        (inner.next_offset, inner.state) = (next_offset, State::StandingBy);
        drop(inner);
        self.gauge("roomlog_projection_in_charge").set(0.0);
    }

    pub fn retrying(&self, error: &Error) {
        self.lock().state = State::Retrying { error: error.chain() };
    }

    pub fn resumed(&self) {
        self.lock().state = State::Running;
    }

    pub fn stopped(&self, error: &Error) {
        self.lock().state = State::Stopped { error: error.chain() };
        self.gauge("roomlog_projection_stopped").set(1.0);
        tracing::error!(
            projection = self.projection.name(),
            partition = %self.partition,
            next_offset = self.status().next_offset,
            error = error as &dyn std::error::Error,
            "a projection stopped in a partition; it goes on when the cause is gone and the process started again"
        );
    }

    /// A gauge of this projection in this partition.
    pub fn gauge(&self, name: &'static str) -> metrics::Gauge {
        metrics::gauge!(name, "projection" => self.projection.name(), "partition" => self.partition.to_string())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle() -> (Handle, Arc<Cell>) {
        let cell = Arc::new(Cell::new(Projection::Directory, 2, TopicPartition::rooms(0)));
        (Handle::new(vec![cell.clone()]), cell)
    }

    #[test]
    fn a_version_that_is_being_built_is_not_ready_before_it_has_caught_up() {
        let (handle, cell) = handle();
        cell.share();
        cell.standing_by(None);
        assert!(!handle.is_ready(), "perhaps nobody else has this version");
        cell.put_in_charge(true);
        cell.set_goal(100);
        cell.reached(99);
        assert!(!handle.is_ready());
        cell.reached(100);
        assert!(handle.is_ready());
    }

    #[test]
    fn who_was_ready_stays_so_with_what_another_process_left_behind() {
        let (handle, cell) = handle();
        cell.share();
        cell.put_in_charge(false);
        cell.standing_by(Some(7));
        assert!(handle.is_ready());
        cell.put_in_charge(true);
        cell.set_goal(100);
        cell.reached(7);
        assert!(handle.is_ready());
        cell.stopped(&Error::Panicked);
        assert!(!handle.is_ready());
    }
}
