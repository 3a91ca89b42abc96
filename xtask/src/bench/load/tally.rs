//! What has been sent, answered and received.

use std::collections::BTreeMap;
use std::time::Instant;

use super::audit::{Arrival, SocketLog};
use super::way_back::WayBack;
use crate::bench::figures::Latencies;

/// The books of one round. Messages are numbered through all rounds.
pub struct Tally {
    /// Number of the round's first message.
    first: u32,
    pub messages: Vec<Message>,
    pub sockets: Vec<SocketLog>,
    sockets_of_room: Vec<u64>,
    /// Messages intended within it are what latencies are measured of.
    window: Option<(Instant, Instant)>,
    /// From a message's intended time to its answer.
    pub accept: Latencies,
    /// … to its arrival at each socket.
    pub send_to_socket: Latencies,
    /// … to its leaving: how late the load itself was.
    pub dispatch: Latencies,
    pub counters: Counters,
    /// By what happened, with the number of times.
    pub errors: BTreeMap<String, u64>,
    /// Position of the last answer that came in, by room.
    pub last_positions: Vec<Option<String>>,
    pub way_back: WayBack,
}

pub struct Message {
    pub room: usize,
    pub intended: Instant,
    /// Its place in the room, once accepted.
    pub seq: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    pub sent: u64,
    pub answered: u64,
    pub accepted: u64,
    /// Messages that arrived at a socket.
    pub deliveries: u64,
    /// Deliveries that the accepted messages make.
    pub deliveries_due: u64,
}

pub struct Accepted {
    pub seq: u64,
    pub position: String,
}

impl Tally {
    pub fn new(rooms: usize) -> Self {
        Self {
            first: 0,
            messages: Vec::new(),
            sockets: Vec::new(),
            sockets_of_room: vec![0; rooms],
            window: None,
            accept: Latencies::default(),
            send_to_socket: Latencies::default(),
            dispatch: Latencies::default(),
            counters: Counters::default(),
            errors: BTreeMap::new(),
            last_positions: vec![None; rooms],
            way_back: WayBack::new(rooms),
        }
    }

    /// A socket in this room whose next event will have this seq. Answers its number.
    pub fn add_socket(&mut self, room: usize, next_seq: u64) -> usize {
        self.sockets_of_room[room] += 1;
        self.way_back.add(room, next_seq);
        self.sockets.push(SocketLog { room, next_seq, arrivals: Vec::new() });
        self.sockets.len() - 1
    }

    /// Closes the books of the round before.
    pub fn begin(&mut self, window: (Instant, Instant)) {
        let sockets = std::mem::take(&mut self.sockets);
        let sockets_of_room = std::mem::take(&mut self.sockets_of_room);
        let first = self.first + self.messages.len() as u32;
        let mut way_back = std::mem::take(&mut self.way_back);
        way_back.begin();
        let rooms = sockets_of_room.len();
        *self = Self { first, sockets_of_room, way_back, window: Some(window), ..Self::new(rooms) };
        self.sockets = sockets.into_iter().map(SocketLog::continued).collect();
    }

    /// Answers the message's number.
    pub fn send(&mut self, room: usize, intended: Instant) -> u32 {
        self.messages.push(Message { room, intended, seq: None });
        self.counters.sent += 1;
        self.first + (self.messages.len() - 1) as u32
    }

    pub fn left(&mut self, number: u32, now: Instant) {
        if let Some(latency) = self.latency(number, now) {
            self.dispatch.record(latency);
        }
    }

    pub fn accepted(&mut self, number: u32, accepted: Accepted, now: Instant) {
        if let Some(latency) = self.latency(number, now) {
            self.accept.record(latency);
        }
        // One of an earlier round counted there as unanswered.
        let Some(message) = self.message(number) else { return };
        message.seq = Some(accepted.seq);
        let room = message.room;
        self.counters.answered += 1;
        self.counters.accepted += 1;
        self.counters.deliveries_due += self.sockets_of_room[room];
        self.last_positions[room] = Some(accepted.position);
        self.way_back.accepted(room, accepted.seq);
    }

    pub fn refused(&mut self, number: u32, why: String) {
        if self.message(number).is_some() {
            self.counters.answered += 1;
        }
        self.count_error(why);
    }

    /// One that was not sent, because the load would have got ahead of the answers by too much.
    pub fn held_back(&mut self) {
        self.count_error("held_back".to_owned());
    }

    /// Messages that have no answer yet.
    pub fn in_flight(&self) -> u64 {
        self.counters.sent - self.counters.answered
    }

    pub fn count_error(&mut self, what: String) {
        *self.errors.entry(what).or_default() += 1;
    }

    pub fn arrived(&mut self, socket: usize, arrival: Arrival, now: Instant) {
        if let Arrival::Message { number, .. } = arrival {
            self.counters.deliveries += 1;
            if let Some(latency) = self.latency(number, now) {
                self.send_to_socket.record(latency);
            }
        }
        self.sockets[socket].arrivals.push(arrival);
        if let Some(seq) = arrival.last_seq() {
            self.way_back.arrived(socket, seq, now);
        }
    }

    pub fn first(&self) -> u32 {
        self.first
    }

    /// Since the message's intended time, if that lies in the window.
    fn latency(&mut self, number: u32, now: Instant) -> Option<std::time::Duration> {
        let (from, to) = self.window?;
        let intended = self.message(number)?.intended;
        (from <= intended && intended < to).then(|| now.saturating_duration_since(intended))
    }

    /// `None` for those of earlier rounds.
    fn message(&mut self, number: u32) -> Option<&mut Message> {
        self.messages.get_mut(number.checked_sub(self.first)? as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::bench::figures::Figures;

    fn accepted(seq: u64) -> Accepted {
        Accepted { seq, position: String::new() }
    }

    #[test]
    fn latency_counts_from_the_intended_time_and_only_within_the_window() {
        let from = Instant::now();
        let at = |milliseconds| from + Duration::from_millis(milliseconds);
        let mut tally = Tally::new(1);
        let socket = tally.add_socket(0, 5);
        tally.begin((at(100), at(200)));
        for (intended, answered) in [(50, 90), (150, 160), (200, 900)] {
            let number = tally.send(0, at(intended));
            tally.accepted(number, accepted(5), at(answered));
            tally.arrived(socket, Arrival::Message { number, seq: 5 }, at(answered + 1));
        }
        let mut figures = Figures::new();
        tally.accept.report("accept", &mut figures);
        tally.send_to_socket.report("socket", &mut figures);
        assert!((figures["accept_max_ms"] - 10.0).abs() < 0.02, "{figures:?}");
        assert!((figures["socket_max_ms"] - 11.0).abs() < 0.02, "{figures:?}");
        assert_eq!((tally.counters.accepted, tally.counters.deliveries), (3, 3));
    }

    #[test]
    fn a_round_begins_with_empty_books_and_goes_on_numbering() {
        let now = Instant::now();
        let mut tally = Tally::new(2);
        let socket = tally.add_socket(1, 1);
        tally.begin((now, now));
        let number = tally.send(1, now);
        tally.accepted(number, accepted(1), now);
        tally.arrived(socket, Arrival::Message { number, seq: 1 }, now);
        tally.begin((now, now));
        assert_eq!(tally.sockets[socket].next_seq, 2);
        assert!(tally.sockets[socket].arrivals.is_empty());
        assert_eq!((tally.counters.sent, tally.first()), (0, 1));
        assert_eq!(tally.send(1, now), 1);
        // A straggler of the round before.
        tally.accepted(0, accepted(1), now);
        tally.refused(0, "status_503".to_owned());
        assert_eq!((tally.counters.accepted, tally.counters.answered), (0, 0));
    }
}
