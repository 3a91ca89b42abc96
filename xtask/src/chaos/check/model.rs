//! What a replay of the log gives: timelines, memberships, and who may see what.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use crate::chaos::history::{Event, History, Millis, Seq, Wanted, What};

#[derive(Debug, Default)]
pub struct Model {
    pub rooms: BTreeMap<Uuid, Room>,
    /// What each message said, as far as its sender was one of ours.
    pub texts: HashMap<Uuid, String>,
    /// When the command behind a joining was first sent.
    asked: HashMap<(Uuid, Seq), Millis>,
}

#[derive(Debug, Default)]
pub struct Room {
    pub creator: Uuid,
    pub from_beginning: bool,
    /// By seq. Of two with the same one the first.
    pub timeline: BTreeMap<Seq, Event>,
    /// In rising seq.
    pub stays: BTreeMap<Uuid, Vec<Stay>>,
}

/// A membership, from the event of joining to that of leaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stay {
    pub joined: Seq,
    pub left: Option<Seq>,
}

impl Model {
    pub fn of(history: &History) -> Self {
        let mut model = Self::default();
        let commands: HashMap<_, _> =
            history.commands.iter().map(|command| ((command.account, command.key), command)).collect();
        for record in &history.log.records {
            let command = record.actor.zip(record.key).and_then(|by| commands.get(&by));
            for event in &record.events {
                model.apply(event);
                let Some(command) = command else { continue };
                match (&event.what, &command.wanted) {
                    (What::Sent { message, .. }, Wanted::Send { text, .. }) => {
                        model.texts.insert(*message, text.clone());
                    }
                    (What::Joined { .. }, _) => {
                        let began = command.attempts.first().map_or(0, |attempt| attempt.began);
                        model.asked.insert((event.room, event.seq), began);
                    }
                    _ => {}
                }
            }
        }
        model
    }

    fn apply(&mut self, event: &Event) {
        let room = self.rooms.entry(event.room).or_default();
        match event.what {
            What::Created { by, from_beginning } => {
                room.creator = by;
                room.from_beginning = from_beginning;
            }
            What::Joined { account } => {
                room.stays.entry(account).or_default().push(Stay { joined: event.seq, left: None });
            }
            What::Left { account } => {
                if let Some(stay) = room.stays.entry(account).or_default().last_mut() {
                    stay.left.get_or_insert(event.seq);
                }
            }
            What::Sent { .. } => {}
        }
        room.timeline.entry(event.seq).or_insert_with(|| event.clone());
    }

    /// When the account first asked for the joining with this event; 0 where that is not known.
    pub fn asked(&self, room: Uuid, joined: Seq) -> Millis {
        self.asked.get(&(room, joined)).copied().unwrap_or(0)
    }
}

impl Room {
    pub fn last_seq(&self) -> Seq {
        self.timeline.last_key_value().map_or(0, |(seq, _)| *seq)
    }

    pub fn stays_of(&self, account: Uuid) -> &[Stay] {
        self.stays.get(&account).map_or(&[], Vec::as_slice)
    }

    /// Everybody whose stay lasts, with the seq of joining.
    pub fn members(&self) -> BTreeMap<Uuid, Seq> {
        let lasting = |stays: &Vec<Stay>| stays.last().filter(|stay| stay.left.is_none()).copied();
        self.stays
            .iter()
            .filter_map(|(account, stays)| lasting(stays).map(|stay| (*account, stay.joined)))
            .collect()
    }

    pub fn is_member(&self, account: Uuid) -> bool {
        self.stays_of(account).last().is_some_and(|stay| stay.left.is_none())
    }

    /// Whether the account was a member when this event was accepted, its joining and removal included.
    pub fn was_member(&self, account: Uuid, seq: Seq) -> bool {
        self.stays_of(account).iter().any(|stay| stay.contains(seq))
    }

    /// The stays that begin behind this event.
    pub fn stays_after(&self, account: Uuid, seq: Seq) -> impl Iterator<Item = Stay> {
        self.stays_of(account).iter().copied().filter(move |stay| stay.joined > seq)
    }
}

impl Stay {
    fn contains(&self, seq: Seq) -> bool {
        self.joined <= seq && self.left.is_none_or(|left| seq <= left)
    }
}
