//! Those who give commands: they compete for the same rooms, and try again under the same key, one
//! attempt after the other, with any writer.

use std::sync::OnceLock;

use bytes::Bytes;
use roomlog_domain::command::{Command, Context, CreateRoom, SendMessage};
use roomlog_eventlog::frame::MAX_RECORD_LEN;
use roomlog_schemas::{Access, AccountId, History, IdKey, IdempotencyKey, MessageId, RoomId, RoomKind};
use uuid::Uuid;

use super::profile::Profile;
use super::rng::Rng;
use crate::writer::request::{Millis, Outcome, Request};

/// Counts the attempts of a run.
pub type AttemptId = usize;

const ACCOUNTS: u128 = 5;
const MAX_ROOMS: usize = 8;
const HOUR_MS: i64 = 3_600_000;
const ID_KEY: IdKey = IdKey::new([3; 32]);

/// What somebody wants, under one key.
pub struct Intent {
    pub actor: AccountId,
    pub key: Option<IdempotencyKey>,
    /// The second one, if there is any, is a client's mistake.
    pub bodies: Vec<Command>,
    pub stage: Stage,
    /// Given after the faults have stopped: it has to be accepted.
    pub fresh: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The next attempt is made at this time or later.
    Due(Millis),
    /// An attempt is under way, given up at this time.
    Asked(AttemptId, Millis),
    Done,
}

/// One request to one writer.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    pub intent: usize,
    pub body: usize,
}

#[derive(Default)]
pub struct Clients {
    pub intents: Vec<Intent>,
    pub attempts: Vec<Attempt>,
    rooms: Vec<RoomId>,
    /// Those of `rooms` that are known to be there.
    made: Vec<RoomId>,
    messages: Vec<(RoomId, MessageId)>,
}

impl Clients {
    pub fn intent_of(&self, attempt: AttemptId) -> &Intent {
        &self.intents[self.attempts[attempt].intent]
    }

    /// The request that an attempt makes.
    pub fn request(&self, attempt: AttemptId, deadline: Millis) -> Request {
        let (intent, body) = (self.intent_of(attempt), self.attempts[attempt].body);
        Request {
            actor: Some(intent.actor),
            key: intent.key.map(|key| (key, fingerprint(body))),
            command: intent.bodies[body].clone(),
            context: Context::default(),
            deadline,
            traceparent: Some(attempt.to_string()),
        }
    }

    /// A new command by one of a few accounts.
    pub fn invent(&mut self, rng: &mut Rng, profile: &Profile, now: Millis) {
        let actor = AccountId::from_u128(1 + rng.below(ACCOUNTS as usize) as u128);
        let key_time = now + key_shift(rng, profile);
        let bodies = if rng.chance(profile.other_body) { 2 } else { 1 };
        let key = key(rng, key_time);
        let bodies = (0..bodies)
            .map(|n| self.command(rng, profile, actor, &[key.uuid().as_bytes().as_slice(), &[n]].concat()));
        let bodies = bodies.collect();
        let key = (!rng.chance(profile.without_key)).then_some(key);
        self.intents.push(Intent { actor, key, bodies, stage: Stage::Due(now), fresh: false });
    }

    /// A new room of an account that has done nothing before: nothing speaks against it.
    pub fn invent_fresh(&mut self, rng: &mut Rng, now: Millis) {
        let actor = AccountId::from_u128(1000 + self.intents.len() as u128);
        let key = key(rng, now);
        let body = create(ID_KEY.root_room(actor, key.uuid().as_bytes()), None, actor, Access::Public);
        self.intents.push(Intent {
            actor,
            key: Some(key),
            bodies: vec![body],
            stage: Stage::Due(now),
            fresh: true,
        });
    }

    fn command(&mut self, rng: &mut Rng, profile: &Profile, actor: AccountId, seed: &[u8]) -> Command {
        let rooms = if rng.chance(850) && !self.made.is_empty() { &self.made } else { &self.rooms };
        let Some(room_id) = rng.pick(rooms) else { return self.create_root(rng, actor, seed) };
        let kind = rng.below(100);
        if kind < 12 && self.rooms.len() < MAX_ROOMS {
            return if rng.chance(500) {
                self.create_root(rng, actor, seed)
            } else {
                let id = ID_KEY.sub_room(actor, seed, room_id);
                self.rooms.push(id);
                create(id, Some(room_id), actor, access(rng))
            };
        }
        match kind {
            0..35 => Command::JoinRoom { room_id, account_id: actor },
            35..50 => Command::LeaveRoom { room_id, account_id: actor },
            _ => {
                let message_id = ID_KEY.message(actor, seed, 0, room_id);
                let earlier: Vec<MessageId> = self
                    .messages
                    .iter()
                    .rev()
                    .filter(|(room, _)| *room == room_id)
                    .take(4)
                    .map(|(_, id)| *id)
                    .collect();
                let reply_to = if rng.chance(400) { rng.pick(&earlier) } else { None };
                self.messages.push((room_id, message_id));
                let text = if rng.chance(profile.too_large) { huge() } else { Bytes::from_static(b"text") };
                Command::SendMessage(SendMessage { room_id, message_id, author_id: actor, text, reply_to })
            }
        }
    }

    fn create_root(&mut self, rng: &mut Rng, actor: AccountId, seed: &[u8]) -> Command {
        let id = ID_KEY.root_room(actor, seed);
        self.rooms.push(id);
        create(id, None, actor, access(rng))
    }

    /// One whose next attempt is due.
    pub fn due(&self, rng: &mut Rng, now: Millis, fresh_only: bool) -> Option<usize> {
        let due: Vec<usize> = (0..self.intents.len())
            .filter(|&i| matches!(self.intents[i].stage, Stage::Due(at) if at <= now))
            .filter(|&i| self.intents[i].fresh || !fresh_only)
            .collect();
        rng.pick(&due)
    }

    /// Begins an attempt.
    pub fn attempt(&mut self, intent: usize, rng: &mut Rng, give_up_at: Millis) -> AttemptId {
        let body = rng.below(self.intents[intent].bodies.len());
        self.attempts.push(Attempt { intent, body });
        let attempt = self.attempts.len() - 1;
        self.intents[intent].stage = Stage::Asked(attempt, give_up_at);
        attempt
    }

    /// `None`: there will be no answer.
    pub fn answered(
        &mut self,
        attempt: AttemptId,
        outcome: Option<&Outcome>,
        rng: &mut Rng,
        profile: &Profile,
        now: Millis,
    ) {
        if let Some(Outcome::Accepted { answer, .. }) = outcome
            && let Command::CreateRoom(create) = &self.request(attempt, 0).command
            && answer.room_id == Some(create.room_id)
        {
            self.made.push(create.room_id);
        }
        let intent = &mut self.intents[self.attempts[attempt].intent];
        if !matches!(intent.stage, Stage::Asked(asked, _) if asked == attempt) {
            return; // given up before
        }
        let repeats = match outcome {
            Some(Outcome::Accepted { .. }) if intent.fresh => false,
            _ if intent.fresh => true,
            // Nothing that counts was written: asked elsewhere, with a key or without.
            Some(Outcome::Moved) => true,
            // Without a key there is no second attempt: it would be a second command.
            _ if intent.key.is_none() => false,
            None | Some(Outcome::Unknown | Outcome::Unavailable | Outcome::Overloaded) => rng.chance(850),
            Some(Outcome::KeyExpired | Outcome::TooLarge) => false,
            Some(_) => rng.chance(profile.repeated),
        };
        // Some come back much later, when days may have passed.
        let pause = if intent.fresh {
            50
        } else if rng.chance(300) {
            rng.between(0, 20_000)
        } else {
            rng.between(0, 500)
        };
        intent.stage = if repeats { Stage::Due(now + pause) } else { Stage::Done };
    }

    /// Attempts without an answer whose client has waited for long enough.
    pub fn overdue(&self, now: Millis) -> Vec<AttemptId> {
        let overdue = |intent: &Intent| match intent.stage {
            Stage::Asked(attempt, give_up_at) if give_up_at <= now => Some(attempt),
            _ => None,
        };
        self.intents.iter().filter_map(overdue).collect()
    }

    /// Some who had their answer ask once more, soon.
    pub fn come_back(&mut self, rng: &mut Rng, now: Millis) {
        for intent in &mut self.intents {
            if intent.stage == Stage::Done && intent.key.is_some() && rng.chance(400) {
                intent.stage = Stage::Due(now + rng.between(0, 20_000));
            }
        }
    }

    /// Whether a command that has to be accepted is not.
    pub fn fresh_open(&self) -> bool {
        self.intents.iter().any(|intent| intent.fresh && intent.stage != Stage::Done)
    }
}

pub fn fingerprint(body: usize) -> Bytes {
    Bytes::copy_from_slice(&[body as u8])
}

fn create(room_id: RoomId, parent_id: Option<RoomId>, creator_id: AccountId, access: Access) -> Command {
    Command::CreateRoom(CreateRoom {
        room_id,
        parent_id,
        kind: RoomKind::Group,
        access,
        history: History::default(),
        name: Bytes::from_static(b"name"),
        creator_id,
        source: None,
    })
}

fn access(rng: &mut Rng) -> Access {
    if rng.chance(100) { Access::Vip } else { Access::Public }
}

/// What a key's time differs from the log's: a little, or by a clock that is fast or days behind.
fn key_shift(rng: &mut Rng, profile: &Profile) -> Millis {
    if !rng.chance(profile.odd_key) {
        return rng.between(-1_000, 1_000);
    }
    match rng.below(8) {
        0 => rng.between(60_000, 120_000),
        1 => rng.between(-25 * HOUR_MS, -23 * HOUR_MS),
        2 => rng.between(-HOUR_MS, 0),
        _ => rng.between(30_000, 60_000),
    }
}

fn key(rng: &mut Rng, time_ms: Millis) -> IdempotencyKey {
    let random = (u128::from(rng.next()) << 64 | u128::from(rng.next()))
        & !(0xFFFF_FFFF_FFFF_F000 << 64)
        & !(0b11 << 62);
    let bits = (time_ms as u128) << 80 | 0x7 << 76 | 0b10 << 62 | random;
    IdempotencyKey::new(Uuid::from_u128(bits)).expect("version 7")
}

/// A text that no record has room for.
fn huge() -> Bytes {
    static HUGE: OnceLock<Bytes> = OnceLock::new();
    HUGE.get_or_init(|| vec![0; MAX_RECORD_LEN].into()).clone()
}
