//! The appends that wait for the writer, in the order in which they were called.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};

use tokio::sync::oneshot;

use crate::limit::copies_len;
use crate::partition::TopicPartition;
use crate::port::{Appended, LogError, NewRecord};

/// Most appends that wait: past this the disk is behind by far, and waiting longer helps nobody.
const MOST_WAITING: usize = 16_384;
/// Most bytes that wait: about what a disk writes in a tenth of a second.
const MOST_WAITING_BYTES: usize = 32 * 1024 * 1024;
/// Most appends in one commit, and most bytes: what bounds the wait of the first one among them,
/// and the growth of the write-ahead log between two checkpoints.
const BATCH: usize = 1_024;
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// What a waiting append takes beside its bytes.
const OVERHEAD: usize = 256;

/// One append; `reply` resolves it.
#[derive(Debug)]
pub(super) struct Waiting {
    pub partition: TopicPartition,
    pub record: NewRecord,
    pub reply: oneshot::Sender<Result<Appended, LogError>>,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    closed: bool,
}

impl Queue {
    /// Does not wait. On an error nothing was taken over.
    pub fn push(&self, append: Waiting) -> Result<(), LogError> {
        let mut state = self.lock();
        if state.closed {
            return Err(LogError::Unavailable("the log is closed".into()));
        }
        let bytes = size_of(&append);
        if state.waiting.len() >= MOST_WAITING || state.bytes + bytes > MOST_WAITING_BYTES {
            metrics::counter!("roomlog_log_queue_full_total").increment(1);
            return Err(LogError::Unavailable("queue full".into()));
        }
        state.bytes += bytes;
        state.waiting.push_back(append);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Waits for the first append and takes with it what else is waiting, up to a bound: a group
    /// forms while the one before it commits, without any added delay. `None` once the queue is
    /// closed and empty.
    pub fn take(&self) -> Option<Vec<Waiting>> {
        let state = self.lock();
        let mut state = self
            .filled
            .wait_while(state, |state| state.waiting.is_empty() && !state.closed)
            .expect("nothing panics while it holds the queue");
        let mut bytes = 0;
        let mut count = 0;
        for append in state.waiting.iter().take(BATCH) {
            bytes += size_of(append);
            if count > 0 && bytes > BATCH_BYTES {
                bytes -= size_of(append);
                break;
            }
            count += 1;
        }
        state.bytes -= bytes;
        let batch: Vec<Waiting> = state.waiting.drain(..count).collect();
        (!batch.is_empty()).then_some(batch)
    }

    pub fn is_empty(&self) -> bool {
        self.lock().waiting.is_empty()
    }

    /// No more appends; those that wait are still taken.
    pub fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the queue")
    }
}

fn size_of(append: &Waiting) -> usize {
    append.record.value.len() + copies_len(&append.record) + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn append(len: usize) -> Waiting {
        let record = NewRecord { value: Bytes::from(vec![0; len]), ..NewRecord::default() };
        Waiting { partition: TopicPartition::rooms(0), record, reply: oneshot::channel().0 }
    }

    #[test]
    fn appends_past_the_bound_are_refused_until_some_were_taken() {
        let queue = Queue::default();
        let large = MOST_WAITING_BYTES / 4;
        for _ in 0..3 {
            queue.push(append(large)).unwrap();
        }
        assert!(matches!(queue.push(append(large)), Err(LogError::Unavailable(_))));
        assert_eq!(queue.take().unwrap().len(), 1, "more would pass the bytes of one batch");
        queue.push(append(large)).unwrap();
    }

    #[test]
    fn what_waits_when_the_queue_closes_is_still_taken() {
        let queue = Queue::default();
        for _ in 0..BATCH + 1 {
            queue.push(append(1)).unwrap();
        }
        queue.close();
        assert!(queue.push(append(1)).is_err());
        let taken: Vec<usize> = std::iter::from_fn(|| queue.take()).map(|batch| batch.len()).collect();
        assert_eq!(taken, [BATCH, 1]);
        assert_eq!(queue.lock().bytes, 0);
    }
}
