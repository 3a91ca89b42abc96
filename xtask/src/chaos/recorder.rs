//! Takes down what clients do and see, while they do it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::history::{Attempt, Command, Connection, Millis, Outcome};

pub struct Recorder {
    began: Instant,
    commands: Mutex<Vec<Command>>,
    connections: Mutex<Vec<Connection>>,
    /// When commands were acknowledged, in order.
    acknowledged: Mutex<Vec<Millis>>,
    acknowledgements: AtomicU64,
    finished: AtomicU64,
    /// Attempts without a final answer, by reason.
    refusals: Mutex<BTreeMap<String, u64>>,
}

/// A command in the recorder.
#[derive(Debug, Clone, Copy)]
pub struct Number(usize);

impl Recorder {
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            commands: Mutex::default(),
            connections: Mutex::default(),
            acknowledged: Mutex::default(),
            acknowledgements: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            refusals: Mutex::default(),
        }
    }

    pub fn now(&self) -> Millis {
        self.began.elapsed().as_millis() as Millis
    }

    pub fn command(&self, command: Command) -> Number {
        let mut commands = lock(&self.commands);
        commands.push(command);
        Number(commands.len() - 1)
    }

    pub fn attempt(&self, number: Number, attempt: Attempt) {
        match &attempt.outcome {
            Outcome::Accepted(_) => {
                lock(&self.acknowledged).push(attempt.ended);
                self.acknowledgements.fetch_add(1, Ordering::Relaxed);
            }
            Outcome::Rejected(code) | Outcome::Unknown(code) => {
                *lock(&self.refusals).entry(code.clone()).or_insert(0) += 1;
            }
        }
        lock(&self.commands)[number.0].attempts.push(attempt);
    }

    /// Nobody goes on with one of the commands.
    pub fn finished(&self) {
        self.finished.fetch_add(1, Ordering::Relaxed);
    }

    /// Commands that somebody still goes on with.
    pub fn unfinished(&self) -> u64 {
        let begun = lock(&self.commands).len() as u64;
        begun.saturating_sub(self.finished.load(Ordering::Relaxed))
    }

    pub fn connection(&self, connection: Connection) {
        lock(&self.connections).push(connection);
    }

    pub fn acknowledgements(&self) -> u64 {
        self.acknowledgements.load(Ordering::Relaxed)
    }

    /// The longest time without an acknowledgement that ended behind `since`.
    pub fn longest_pause(&self, since: Millis) -> Millis {
        let times = lock(&self.acknowledged);
        let pauses = times.windows(2).filter(|pair| pair[1] >= since);
        pauses.map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap_or_default()
    }

    pub fn commands(&self) -> Vec<Command> {
        lock(&self.commands).clone()
    }

    pub fn connections(&self) -> Vec<Connection> {
        lock(&self.connections).clone()
    }

    pub fn refusals(&self) -> BTreeMap<String, u64> {
        lock(&self.refusals).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
