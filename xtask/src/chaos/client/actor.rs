//! What one client does: it says something, comes and goes, and repeats what was not answered.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use uuid::Uuid;

use super::rest::refused;
use super::{Client, Phase, Room, Shared, socket};
use crate::chaos::history::{Attempt, Command, Outcome, Wanted};
use crate::chaos::random::Random;
use crate::chaos::recorder::Number;

/// One in so many commands is repeated although it was answered.
const REPEATED: usize = 8;
/// Of those that a socket can carry, one in so many goes that way.
const ON_SOCKET: usize = 4;
/// One in so many messages is given up when its first attempt was not answered.
const GIVEN_UP: usize = 6;
/// One in so many commands changes a membership.
const MOVES: usize = 8;
/// Between the attempts of one command.
const BETWEEN_ATTEMPTS: std::ops::RangeInclusive<u64> = 50..=300;

/// Something that a client is told to do besides.
#[derive(Debug)]
pub enum Order {
    /// So many messages of so many bytes, one after the other.
    Burst { room: Uuid, messages: usize, bytes: usize },
    /// One message, and word when it is answered.
    Mark { room: Uuid, done: tokio::sync::oneshot::Sender<u64> },
}

pub async fn run(
    shared: Arc<Shared>,
    client: Arc<Client>,
    number: u64,
    mut orders: mpsc::UnboundedReceiver<Order>,
) {
    let random = Random::new(shared.seed, 1_000 + number);
    let mut actor = Actor { shared: shared.clone(), client, random, said: 0, number };
    let mut phase = shared.phase.clone();
    loop {
        let Phase { no_more_commands: quiet, over, .. } = *phase.borrow_and_update();
        if over {
            return;
        }
        let pause = Duration::from_millis(actor.random.between(0, shared.pause));
        tokio::select! {
            biased;
            Some(order) = orders.recv() => actor.obey(order).await,
            changed = phase.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(pause), if !quiet => actor.act().await,
        }
    }
}

struct Actor {
    shared: Arc<Shared>,
    client: Arc<Client>,
    random: Random,
    said: u64,
    number: u64,
}

impl Actor {
    async fn obey(&mut self, order: Order) {
        match order {
            Order::Burst { room, messages, bytes } => {
                for _ in 0..messages {
                    if self.shared.phase.borrow().no_more_commands {
                        return;
                    }
                    let text = self.text(bytes);
                    self.give(Wanted::Send { room, text }, false).await;
                }
            }
            Order::Mark { room, done } => {
                let text = self.text(0);
                if let Some(seq) = self.give(Wanted::Send { room, text }, false).await {
                    let _ = done.send(seq);
                }
            }
        }
    }

    async fn act(&mut self) {
        let rooms = self.shared.rooms.clone();
        let (inside, outside): (Vec<Room>, Vec<Room>) =
            rooms.into_iter().partition(|room| self.client.is_member(room.id));
        if inside.is_empty() || self.random.one_in(MOVES) {
            let leave = self.random.one_in(2);
            let may_leave: Vec<Room> =
                inside.iter().copied().filter(|room| room.creator != self.client.account).collect();
            let may_join: Vec<Room> = outside
                .iter()
                .copied()
                .filter(|room| room.parent.is_none_or(|parent| self.client.is_member(parent)))
                .collect();
            if leave && let Some(room) = self.random.choose(&may_leave).copied() {
                return self.leave(room).await;
            }
            if let Some(room) = self.random.choose(&may_join).copied() {
                return self.join(room).await;
            }
        }
        if let Some(room) = self.random.choose(&inside).copied() {
            let length = self.random.below(200);
            let text = self.text(length);
            self.give(Wanted::Send { room: room.id, text }, true).await;
        }
    }

    async fn join(&mut self, room: Room) {
        if let Some(seq) = self.give(Wanted::Join { room: room.id }, false).await {
            let mut state = self.client.lock();
            state.member.insert(room.id);
            // The next socket has to begin with the joining, if this one does not get that far.
            state.places.entry(room.id).or_insert(seq - 1);
        }
    }

    async fn leave(&mut self, room: Room) {
        // Whatever comes of it, what is below is not counted on any more.
        let below = self.shared.rooms.iter().filter(|below| below.parent == Some(room.id));
        let gone: Vec<Uuid> = below.map(|below| below.id).chain([room.id]).collect();
        if self.give(Wanted::Leave { room: room.id }, false).await.is_some() {
            self.client.lock().member.retain(|room| !gone.contains(room));
        }
    }

    fn text(&mut self, bytes: usize) -> String {
        self.said += 1;
        let text = format!("{} says {}", self.number, self.said);
        let padding = bytes.saturating_sub(text.len());
        text + &" …".repeat(padding / " …".len())
    }

    /// Gives a command until it is answered; its seq if it was accepted.
    async fn give(&mut self, wanted: Wanted, may_give_up: bool) -> Option<u64> {
        let seq = self.give_until_answered(wanted, may_give_up).await;
        self.shared.recorder.finished();
        seq
    }

    async fn give_until_answered(&mut self, wanted: Wanted, may_give_up: bool) -> Option<u64> {
        let key = Uuid::now_v7();
        let command =
            Command { account: self.client.account, key, wanted: wanted.clone(), attempts: Vec::new() };
        let number = self.shared.recorder.command(command);
        let gives_up = may_give_up && self.random.one_in(GIVEN_UP);
        loop {
            match self.attempt(number, key, &wanted).await {
                Outcome::Accepted(answer) => {
                    if self.random.one_in(REPEATED) {
                        self.attempt(number, key, &wanted).await;
                    }
                    return Some(answer.seq);
                }
                Outcome::Rejected(_) => return None,
                Outcome::Unknown(code) if gives_up || code == "key_expired" => return None,
                Outcome::Unknown(_) => {}
            }
            let (low, high) = BETWEEN_ATTEMPTS.into_inner();
            tokio::time::sleep(Duration::from_millis(self.random.between(low, high))).await;
        }
    }

    async fn attempt(&mut self, number: Number, key: Uuid, wanted: &Wanted) -> Outcome {
        let began = self.shared.recorder.now();
        let (instance, outcome) = if self.random.one_in(ON_SOCKET) {
            ("its socket".to_owned(), self.on_socket(key, wanted).await)
        } else {
            self.over_rest(key, wanted).await
        };
        let ended = self.shared.recorder.now();
        let attempt = Attempt { began, ended, instance, outcome: outcome.clone() };
        self.shared.recorder.attempt(number, attempt);
        outcome
    }

    async fn over_rest(&mut self, key: Uuid, wanted: &Wanted) -> (String, Outcome) {
        let shared = self.shared.clone();
        let Some(instance) = self.random.choose(&shared.targets.commands) else {
            return (String::new(), Outcome::Unknown("no instance".to_owned()));
        };
        let token = self.client.token();
        let outcome = match shared.rest.attempt(instance, &token, key, wanted).await {
            Ok(outcome) => outcome,
            Err(outcome) => {
                // Whether that works shows at the next attempt.
                let _ = self.client.log_in(&shared).await;
                outcome
            }
        };
        (instance.name.clone(), outcome)
    }

    async fn on_socket(&mut self, key: Uuid, wanted: &Wanted) -> Outcome {
        let no_answer = || Outcome::Unknown("no answer on the socket".to_owned());
        let (reply, answered) = tokio::sync::oneshot::channel();
        let command = socket::Command { key, wanted: wanted.clone(), reply };
        if self.client.to_socket.try_send(command).is_err() {
            return no_answer();
        }
        match tokio::time::timeout(socket::ANSWER_TIMEOUT, answered).await {
            Ok(Ok(socket::Reply::Accepted(answer))) => Outcome::Accepted(answer),
            Ok(Ok(socket::Reply::Refused { status, code })) => refused(status, code),
            _ => no_answer(),
        }
    }
}
