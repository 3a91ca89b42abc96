//! How the rooms that are behind read on: one step of one room at a time.

use std::task::{Context, Poll};

use futures::FutureExt;
use tokio::time::Instant;

use super::{Attached, InRoom, Rooms, Standing};
use crate::catch_up::{Outcome, Step, Stepped};

impl Rooms {
    /// Goes on with the rooms that are behind, one step at a time, while there is room in the queue.
    pub fn poll_step(&mut self, cx: &mut Context<'_>) -> bool {
        if self.step.is_none() && !self.next_step() {
            return false;
        }
        let Some(step) = &mut self.step else { return false };
        let Poll::Ready(stepped) = step.poll_unpin(cx) else { return false };
        self.step = None;
        self.stepped(stepped);
        // A slow resume of other rooms has all the time it needs.
        if self.fallen_behind == 0 {
            self.queue.caught_up();
        }
        true
    }

    /// When a step that failed is to be tried again.
    pub fn retry_at(&self) -> Option<Instant> {
        self.waiting.iter().map(|&(at, _)| at).min()
    }

    pub fn retry(&mut self, now: Instant) {
        let (due, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(|&(at, _)| at <= now);
        self.waiting = waiting;
        self.behind.extend(due.into_iter().map(|(_, room)| room));
    }

    pub fn is_behind(&self) -> bool {
        self.step.is_some() || !self.behind.is_empty() || !self.waiting.is_empty()
    }

    fn next_step(&mut self) -> bool {
        // The common case first: it needs no lock.
        while !self.behind.is_empty() && self.queue.bytes() <= self.hub.options.queue_bytes / 2 {
            if self.begin_step() {
                return true;
            }
        }
        false
    }

    /// False if the first room that is behind needs none any more.
    fn begin_step(&mut self) -> bool {
        let Some(id) = self.behind.pop_front() else { return false };
        let Some(InRoom {
            attached: Some(Attached { room, key, .. }),
            joined,
            standing: Standing::Behind(behind),
        }) = self.rooms.get(&id)
        else {
            return false;
        };
        let (next, joined) = (behind.next, *joined);
        if behind.over.is_some() {
            self.stepped(Stepped { room: id, next, joined, outcome: Outcome::Left });
            return false;
        }
        let step = Step {
            hub: self.hub.clone(),
            queue: self.queue.clone(),
            room: room.clone(),
            key: *key,
            next,
            joined,
        };
        self.step = Some(step.run().boxed());
        true
    }

    fn stepped(&mut self, stepped: Stepped) {
        let Stepped { room: id, next, joined, outcome } = stepped;
        let Some(in_room) = self.rooms.get_mut(&id) else { return };
        let Standing::Behind(behind) = &mut in_room.standing else { return };
        behind.next = next;
        in_room.joined = joined;
        let was_live = behind.was_live;
        let outcome = if behind.over.is_some() { Outcome::Left } else { outcome };
        let left = behind.over.take().unwrap_or(next.saturating_sub(1));
        match outcome {
            Outcome::Live { from_store } => {
                in_room.standing = Standing::Live;
                let telemetry = &self.hub.telemetry;
                let resumes =
                    if from_store { &telemetry.resumes_from_store } else { &telemetry.resumes_from_ring };
                resumes.increment(1);
                self.fallen_behind -= usize::from(was_live);
            }
            Outcome::More => {
                behind.backoff.succeeded();
                // Those that have to be live again soon come first.
                if was_live { self.behind.push_front(id) } else { self.behind.push_back(id) }
            }
            Outcome::Retry => {
                self.waiting.push((Instant::now() + behind.backoff.next(), id));
            }
            // What its rows lack may be a removal: nothing is sent before they are complete.
            Outcome::Quarantined => {
                in_room.standing = Standing::Ended(next);
                in_room.detach(&self.queue);
                self.fallen_behind -= usize::from(was_live);
            }
            Outcome::Left => match behind.rejoined.take().filter(|rejoined| rejoined.seq > left) {
                Some(rejoined) => {
                    in_room.joined = rejoined;
                    self.behind.push_back(id);
                }
                None => {
                    in_room.standing = Standing::Ended(next);
                    in_room.detach(&self.queue);
                    self.fallen_behind -= usize::from(was_live);
                }
            },
        }
    }
}
