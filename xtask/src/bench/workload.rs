//! A load, and what it goes to.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    pub rooms: usize,
    /// Each of them members of the one room.
    pub accounts_per_room: usize,
    /// Members of each room besides, who never open a socket.
    pub silent_members_per_room: usize,
    /// Shared evenly among the room's accounts; a server may allow an account 64 at most.
    pub sockets_per_room: usize,
    pub load: Load,
    /// What happens to the sockets in the middle of each round.
    pub cut: Option<Cut>,
    /// Bytes of a message's text.
    pub text_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// Messages go out at their intended times, whatever the answers; spread evenly over the rooms.
    Open { messages_per_second: u32 },
    /// Each sender sends again when it has its answer.
    Closed { senders: usize },
    /// Open loads at one rate after the other, up to this one, until the highest is found that everything keeps up
    /// with.
    Search { most_per_second: u32 },
    /// Sockets that nothing is sent to.
    Idle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// The clients' connections are closed, all at once.
    Connections,
    /// A process that has sockets is killed and started again; where it is alone, all sockets were its.
    Process,
}

/// Of one socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub room: usize,
    /// Which of the room's accounts.
    pub member: usize,
    /// Among the processes that take sockets.
    pub turn: usize,
}

/// How long, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// Load before each measurement, not measured.
    pub warm_up_seconds: u32,
    pub seconds: u32,
    pub rounds: u32,
}

impl Timing {
    pub fn warm_up(&self) -> Duration {
        Duration::from_secs(self.warm_up_seconds.into())
    }

    pub fn measured(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }
}

/// What the goals are stated for.
const TEXT_BYTES: usize = 256;

impl Workload {
    pub fn new(rooms: usize, accounts_per_room: usize, sockets_per_room: usize, load: Load) -> Self {
        Self {
            rooms,
            accounts_per_room,
            silent_members_per_room: 0,
            sockets_per_room,
            load,
            cut: None,
            text_bytes: TEXT_BYTES,
        }
    }

    pub fn sockets(&self) -> usize {
        self.rooms * self.sockets_per_room
    }

    pub fn accounts(&self) -> usize {
        self.rooms * self.accounts_per_room
    }

    /// Where the `number`th socket belongs. Sockets go round the rooms first, so that any number of them is spread evenly;
    /// those of one account go round the processes.
    pub fn place(&self, number: usize) -> Place {
        let (room, in_room) = (number % self.rooms, number / self.rooms);
        Place {
            room,
            member: in_room % self.accounts_per_room,
            turn: room + in_room / self.accounts_per_room,
        }
    }

    #[cfg(test)]
    pub fn assert_possible(&self) {
        /// A server's limit.
        const SOCKETS_PER_ACCOUNT: usize = 64;
        let per_account = self.sockets_per_room.div_ceil(self.accounts_per_room);
        assert!(per_account <= SOCKETS_PER_ACCOUNT, "{self}: {per_account} sockets for an account");
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rooms = if self.rooms == 1 { "room" } else { "rooms" };
        let sockets = if self.sockets_per_room == 1 { "socket" } else { "sockets" };
        write!(f, "{} {rooms} × {} {sockets}, {}", self.rooms, self.sockets_per_room, self.load)?;
        match self.silent_members_per_room {
            0 => {}
            silent => write!(f, ", {silent} silent members each")?,
        }
        match self.cut {
            None => Ok(()),
            Some(Cut::Connections) => f.write_str(", all connections cut at once"),
            Some(Cut::Process) => f.write_str(", a process with sockets killed"),
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { messages_per_second } => write!(f, "{messages_per_second} messages/s"),
            Self::Closed { senders: 1 } => f.write_str("1 closed-loop sender"),
            Self::Closed { senders } => write!(f, "{senders} closed-loop senders"),
            Self::Search { most_per_second } => {
                write!(f, "the highest rate up to {most_per_second} messages/s")
            }
            Self::Idle => f.write_str("idle"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn sockets_are_spread_evenly_over_rooms_accounts_and_processes() {
        const PROCESSES: usize = 2;
        let workload = Workload::new(4, 2, 10, Load::Idle);
        let mut of = BTreeMap::<_, usize>::new();
        let mut of_process = [0; PROCESSES];
        for number in 0..workload.sockets() {
            let Place { room, member, turn } = workload.place(number);
            *of.entry((room, member)).or_default() += 1;
            of_process[turn % PROCESSES] += 1;
        }
        assert!(of.len() == 8 && of.values().all(|sockets| *sockets == 5), "{of:?}");
        assert_eq!(of_process, [20, 20]);
        // One account is connected to both processes.
        let turns: Vec<_> = (0..workload.sockets())
            .map(|number| workload.place(number))
            .filter(|place| (place.room, place.member) == (0, 0))
            .map(|place| place.turn % PROCESSES)
            .collect();
        assert!(turns.contains(&0) && turns.contains(&1), "{turns:?}");
    }

    #[test]
    fn a_workload_is_said_in_one_line() {
        let mut workload = Workload::new(1, 1, 1, Load::Closed { senders: 1 });
        assert_eq!(workload.to_string(), "1 room × 1 socket, 1 closed-loop sender");
        workload.silent_members_per_room = 9;
        workload.cut = Some(Cut::Connections);
        workload.load = Load::Open { messages_per_second: 5 };
        assert_eq!(
            workload.to_string(),
            "1 room × 1 socket, 5 messages/s, 9 silent members each, all connections cut at once"
        );
    }
}
