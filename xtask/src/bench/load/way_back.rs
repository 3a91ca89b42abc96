//! Sockets that lost their connection, on the way back to where everybody else is.

use std::time::Instant;

use crate::bench::figures::Latencies;

/// A socket is back in step when it has started again and has everything of its room that the load knows to be
/// accepted.
#[derive(Default)]
pub struct WayBack {
    /// The highest seq that a sender was told, by room.
    accepted: Vec<u64>,
    sockets: Vec<Socket>,
    /// Lost, and not back yet.
    missing: usize,
    /// From the loss until back in step.
    pub back: Latencies,
    pub came_back: u64,
    /// Attempts to open a connection again that came to nothing.
    pub failed_attempts: u64,
}

struct Socket {
    room: usize,
    /// The last seq that it has.
    seen: u64,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    InStep,
    Lost { at: Instant },
    Started { lost_at: Instant },
}

impl WayBack {
    pub fn new(rooms: usize) -> Self {
        Self { accepted: vec![0; rooms], ..Self::default() }
    }

    /// Sockets are numbered in the order of these calls.
    pub fn add(&mut self, room: usize, next_seq: u64) {
        self.sockets.push(Socket { room, seen: next_seq.saturating_sub(1), state: State::InStep });
    }

    /// Forgets what has been counted.
    pub fn begin(&mut self) {
        self.back = Latencies::default();
        self.came_back = 0;
        self.failed_attempts = 0;
    }

    pub fn accepted(&mut self, room: usize, seq: u64) {
        self.accepted[room] = self.accepted[room].max(seq);
    }

    pub fn lost(&mut self, socket: usize, at: Instant) {
        let state = &mut self.sockets[socket].state;
        // One that is lost again on its way is still on the same way.
        *state = match *state {
            State::InStep => {
                self.missing += 1;
                State::Lost { at }
            }
            State::Started { lost_at } => State::Lost { at: lost_at },
            lost @ State::Lost { .. } => lost,
        };
    }

    pub fn started(&mut self, socket: usize, now: Instant) {
        let state = &mut self.sockets[socket].state;
        if let State::Lost { at } = *state {
            *state = State::Started { lost_at: at };
        }
        self.look(socket, now);
    }

    pub fn arrived(&mut self, socket: usize, seq: u64, now: Instant) {
        let seen = &mut self.sockets[socket].seen;
        *seen = seq.max(*seen);
        self.look(socket, now);
    }

    fn look(&mut self, socket: usize, now: Instant) {
        let socket = &mut self.sockets[socket];
        if let State::Started { lost_at } = socket.state
            && socket.seen >= self.accepted[socket.room]
        {
            socket.state = State::InStep;
            self.missing -= 1;
            self.came_back += 1;
            self.back.record(now.saturating_duration_since(lost_at));
        }
    }

    /// The last seq that it has; it resumes after it.
    pub fn seen(&self, socket: usize) -> u64 {
        self.sockets[socket].seen
    }

    pub fn missing(&self) -> usize {
        self.missing
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::bench::figures::Figures;

    fn after(start: Instant, milliseconds: u64) -> Instant {
        start + Duration::from_millis(milliseconds)
    }

    fn longest(way_back: &WayBack) -> f64 {
        let mut figures = Figures::new();
        way_back.back.report("back", &mut figures);
        figures["back_max_ms"]
    }

    #[test]
    fn a_socket_is_back_when_it_has_what_was_accepted() {
        let start = Instant::now();
        let mut way_back = WayBack::new(2);
        way_back.add(0, 5);
        way_back.add(1, 1);
        way_back.lost(0, start);
        way_back.accepted(0, 6);
        assert_eq!((way_back.missing(), way_back.seen(0)), (1, 4));
        way_back.started(0, after(start, 10));
        way_back.arrived(0, 5, after(start, 11));
        assert_eq!(way_back.missing(), 1);
        way_back.arrived(0, 6, after(start, 20));
        assert_eq!((way_back.missing(), way_back.came_back, way_back.seen(0)), (0, 1, 6));
        assert!((longest(&way_back) - 20.0).abs() < 0.1);
    }

    #[test]
    fn a_socket_that_missed_nothing_is_back_at_once() {
        let start = Instant::now();
        let mut way_back = WayBack::new(1);
        way_back.add(0, 1);
        way_back.lost(0, start);
        way_back.started(0, after(start, 7));
        assert_eq!((way_back.missing(), way_back.came_back), (0, 1));
    }

    #[test]
    fn one_that_is_lost_again_on_its_way_counts_from_the_first_loss() {
        let start = Instant::now();
        let mut way_back = WayBack::new(1);
        way_back.add(0, 1);
        way_back.accepted(0, 1);
        way_back.lost(0, start);
        way_back.started(0, after(start, 5));
        way_back.lost(0, after(start, 6));
        assert_eq!(way_back.missing(), 1);
        way_back.arrived(0, 1, after(start, 7));
        assert_eq!(way_back.missing(), 1, "it has not started again");
        way_back.started(0, after(start, 9));
        assert_eq!((way_back.missing(), way_back.came_back), (0, 1));
        assert!((longest(&way_back) - 9.0).abs() < 0.1);
    }

    #[test]
    fn a_new_round_counts_anew() {
        let start = Instant::now();
        let mut way_back = WayBack::new(1);
        way_back.add(0, 3);
        way_back.lost(0, start);
        way_back.started(0, start);
        way_back.begin();
        assert_eq!((way_back.came_back, way_back.seen(0)), (0, 2));
    }
}
