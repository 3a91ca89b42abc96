//! Whether every socket got what it should have got: each accepted message of its room once and in order.

use super::tally::Message;

/// What arrived at one socket, in the order of arrival.
pub struct SocketLog {
    pub room: usize,
    /// The seq that has to come next, before the first arrival.
    pub next_seq: u64,
    pub arrivals: Vec<Arrival>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A message of ours.
    Message { number: u32, seq: u64 },
    /// Another event of the room.
    Other { seq: u64 },
    /// A range that this account may not see, both ends included.
    Hidden { from: u64, to: u64 },
    /// Of a room that the socket has nothing to do with.
    ForeignRoom,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Accepted, but not delivered to a socket of the room: one for each socket.
    pub lost: u64,
    /// Delivered to one socket once more.
    pub doubled: u64,
    /// Delivered to one socket with a lower seq than something before it, and not doubled.
    pub out_of_order: u64,
    /// Seqs that a socket's stream passed over.
    pub skipped_seqs: u64,
    /// Delivered with another seq than the sender was told, or of another room.
    pub misplaced: u64,
    /// Delivered although the sender was not told that it is accepted: no error where the outcome stayed unknown.
    pub delivered_unaccepted: u64,
}

impl SocketLog {
    /// The same socket in the next round.
    pub fn continued(self) -> Self {
        let next_seq = self.arrivals.iter().filter_map(Arrival::last_seq).map(|seq| seq + 1).max();
        let next_seq = next_seq.unwrap_or_default().max(self.next_seq);
        Self { room: self.room, next_seq, arrivals: Vec::new() }
    }
}

impl Arrival {
    /// The first and the last seq of it.
    fn seqs(&self) -> Option<(u64, u64)> {
        match *self {
            Self::Message { seq, .. } | Self::Other { seq } => Some((seq, seq)),
            Self::Hidden { from, to } => Some((from, to)),
            Self::ForeignRoom => None,
        }
    }

    pub fn last_seq(&self) -> Option<u64> {
        self.seqs().map(|(_, last)| last)
    }
}

/// `messages` are those numbered from `first` on. Arrivals of other numbers only have to be in order.
pub fn audit(first: u32, messages: &[Message], sockets: &[SocketLog]) -> Audit {
    let mut audit = Audit::default();
    let mut seen = vec![false; messages.len()];
    for socket in sockets {
        seen.fill(false);
        audit.follow(first, messages, socket, &mut seen);
        let missing = messages
            .iter()
            .zip(&seen)
            .filter(|(message, seen)| message.room == socket.room && message.seq.is_some() && !**seen);
        audit.lost += missing.count() as u64;
    }
    audit
}

impl Audit {
    fn follow(&mut self, first: u32, messages: &[Message], socket: &SocketLog, seen: &mut [bool]) {
        let mut next_seq = socket.next_seq;
        for arrival in &socket.arrivals {
            let Some((from, to)) = arrival.seqs() else {
                self.misplaced += 1;
                continue;
            };
            let mut repeated = false;
            if let Arrival::Message { number, seq } = *arrival
                && let Some(index) = number.checked_sub(first).map(|index| index as usize)
                && let Some(message) = messages.get(index)
            {
                repeated = std::mem::replace(&mut seen[index], true);
                match message.seq {
                    _ if message.room != socket.room => self.misplaced += 1,
                    Some(told) if told != seq => self.misplaced += 1,
                    Some(_) => {}
                    None => self.delivered_unaccepted += 1,
                }
            }
            if repeated {
                self.doubled += 1;
            } else if from < next_seq {
                self.out_of_order += 1;
            } else {
                self.skipped_seqs += from - next_seq;
            }
            next_seq = next_seq.max(to + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// Two rooms; messages 10, 11 and 13 are in room 0 at seqs 3, 4 and 6, message 12 in room 1 at seq 1, and message
    /// 14 of room 0 was not accepted.
    fn messages() -> Vec<Message> {
        let message = |room, seq| Message { room, intended: Instant::now(), seq };
        vec![
            message(0, Some(3)),
            message(0, Some(4)),
            message(1, Some(1)),
            message(0, Some(6)),
            message(0, None),
        ]
    }

    fn message(number: u32, seq: u64) -> Arrival {
        Arrival::Message { number, seq }
    }

    fn audited(arrivals: &[Arrival]) -> Audit {
        let socket = SocketLog { room: 0, next_seq: 3, arrivals: arrivals.to_vec() };
        audit(10, &messages(), &[socket])
    }

    #[test]
    fn all_of_a_room_once_and_in_order_is_right() {
        let all = [message(10, 3), message(11, 4), Arrival::Other { seq: 5 }, message(13, 6)];
        assert_eq!(audited(&all), Audit::default());
        let hidden = [message(10, 3), message(11, 4), Arrival::Hidden { from: 5, to: 5 }, message(13, 6)];
        assert_eq!(audited(&hidden), Audit::default());
    }

    #[test]
    fn what_did_not_arrive_is_lost_for_each_socket() {
        let silent = || SocketLog { room: 0, next_seq: 3, arrivals: Vec::new() };
        assert_eq!(audit(10, &messages(), &[silent(), silent()]).lost, 6);
        let passed_over = audited(&[message(10, 3), Arrival::Other { seq: 5 }, message(13, 6)]);
        assert_eq!(passed_over, Audit { lost: 1, skipped_seqs: 1, ..Audit::default() });
    }

    #[test]
    fn a_repeat_is_doubled_not_out_of_order() {
        let arrivals =
            [message(10, 3), message(11, 4), message(10, 3), Arrival::Other { seq: 5 }, message(13, 6)];
        assert_eq!(audited(&arrivals), Audit { doubled: 1, ..Audit::default() });
    }

    #[test]
    fn a_late_arrival_is_out_of_order_and_was_passed_over() {
        let arrivals = [message(10, 3), Arrival::Other { seq: 5 }, message(11, 4), message(13, 6)];
        assert_eq!(audited(&arrivals), Audit { out_of_order: 1, skipped_seqs: 1, ..Audit::default() });
    }

    #[test]
    fn another_place_than_the_sender_was_told_is_misplaced() {
        let wrong_seq = [message(10, 3), message(13, 4), Arrival::Other { seq: 5 }, message(11, 6)];
        assert_eq!(audited(&wrong_seq), Audit { misplaced: 2, ..Audit::default() });
        let foreign = [message(10, 3), message(11, 4), Arrival::ForeignRoom, message(12, 5), message(13, 6)];
        assert_eq!(audited(&foreign), Audit { misplaced: 2, ..Audit::default() });
    }

    #[test]
    fn an_unknown_outcome_may_be_delivered() {
        let arrivals = [message(10, 3), message(11, 4), message(14, 5), message(13, 6)];
        assert_eq!(audited(&arrivals), Audit { delivered_unaccepted: 1, ..Audit::default() });
    }

    #[test]
    fn a_socket_goes_on_where_the_last_round_ended() {
        let socket = SocketLog { room: 0, next_seq: 3, arrivals: vec![message(10, 3), message(11, 4)] };
        assert_eq!(socket.continued().next_seq, 5);
        let silent = SocketLog { room: 0, next_seq: 3, arrivals: Vec::new() };
        assert_eq!(silent.continued().next_seq, 3);
    }
}
