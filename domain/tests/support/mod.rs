//! Tests of the domain read: given these events, when this command comes, then this happens.

#![allow(dead_code, unused_imports, reason = "every test binary uses its own part")]

mod commands;
mod events;
pub mod invariants;
pub mod random;

pub use bytes::Bytes;
pub use commands::*;
pub use events::*;
pub use roomlog_domain::command::{ClaimAccount, CreateRoom, ImportAccounts, RegisterAccount, SendMessage};
pub use roomlog_domain::command::{DefineRole, RemoveRole, SetOverride, SetRole, TransferOwnership};
pub use roomlog_domain::role::Override;
pub use roomlog_domain::{Answer, Command, Context, Decision, ImportBatch, ImportItem, ImportKind};
pub use roomlog_domain::{Permission, Permissions, Rejection, Role, State};
pub use roomlog_schemas::{Access, AccountId, Event, History, MessageId, Noted, RoomId, RoomKind, SessionId};
pub use roomlog_schemas::{OverrideSet, RoleDefined, RoleId, RoleRemoved, RoleSet};

pub const ANNA: AccountId = AccountId::from_u128(0xa);
pub const BEN: AccountId = AccountId::from_u128(0xb);
pub const CARA: AccountId = AccountId::from_u128(0xc);
pub const DORA: AccountId = AccountId::from_u128(0xd);

pub const ROOT: RoomId = RoomId::from_u128(0x10);
pub const SUB: RoomId = RoomId::from_u128(0x11);
pub const LEAF: RoomId = RoomId::from_u128(0x12);
pub const SIDE: RoomId = RoomId::from_u128(0x13);
pub const OTHER_ROOT: RoomId = RoomId::from_u128(0x20);
pub const UNKNOWN: RoomId = RoomId::from_u128(0xff);

pub const HELLO: MessageId = MessageId::from_u128(0x100);
pub const REPLY: MessageId = MessageId::from_u128(0x101);
pub const THIRD: MessageId = MessageId::from_u128(0x102);

/// A custom role.
pub const HELPER: RoleId = RoleId::from_u128(0x300);
pub const SINGER: RoleId = RoleId::from_u128(0x301);

pub const PHONE: SessionId = SessionId::from_u128(0x200);
pub const LAPTOP: SessionId = SessionId::from_u128(0x201);

/// Where imported accounts, rooms and messages of these tests come from.
pub const SOURCE: &str = "elsewhere";

/// A state and what a decision may know besides.
#[derive(Clone, Default)]
pub struct Given {
    pub state: State,
    context: Context,
}

/// What a command came to.
pub struct Outcome {
    given: Given,
    decision: Result<Decision, Rejection>,
}

/// The history so far. It has to be one that could have happened: gap-free in every room.
#[track_caller]
pub fn given(history: impl IntoIterator<Item = Vec<Event>>) -> Given {
    Given::default().and(history)
}

pub fn given_nothing() -> Given {
    Given::default()
}

impl Given {
    /// More history.
    #[track_caller]
    pub fn and(mut self, history: impl IntoIterator<Item = Vec<Event>>) -> Given {
        for event in history.into_iter().flatten() {
            if let Some((room_id, seq)) = event.timeline() {
                let last = self.state.rooms.get(&room_id).map_or(0, |room| room.seq);
                assert_eq!(seq, last + 1, "the history has a gap: {event:?}");
            }
            self.state.apply(&event);
        }
        self
    }

    /// Messages that a store knows to be in the command's room.
    pub fn knowing(mut self, messages: impl Into<Vec<MessageId>>) -> Given {
        self.context.known_messages = messages.into();
        self
    }

    pub fn when(self, command: Command) -> Outcome {
        let decision = self.state.decide(&command, &self.context);
        Outcome { given: self, decision }
    }
}

impl Outcome {
    /// Accepted, with exactly these events. What comes next is decided on top of them.
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = Vec<Event>>) -> Given {
        let expected: Vec<Event> = expected.into_iter().flatten().collect();
        assert_eq!(self.decision, Ok(Decision::Events(expected.clone())));
        self.given.and([expected])
    }

    /// Accepted, whatever its events.
    #[track_caller]
    pub fn then_accepted(self) -> Given {
        let events = self.events();
        self.given.and([events])
    }

    /// Accepted, and this is what the client gets.
    #[track_caller]
    pub fn then_answered(self, expected: Answer) -> Given {
        assert_eq!(Answer::from_events(&self.events()), expected);
        self.then_accepted()
    }

    /// Things were so already.
    #[track_caller]
    pub fn then_unchanged(self, expected: Answer) -> Given {
        assert_eq!(self.decision, Ok(Decision::Unchanged(expected)));
        self.given
    }

    #[track_caller]
    pub fn then_rejected(self, expected: Rejection) -> Given {
        assert_eq!(self.decision, Err(expected));
        self.given
    }

    #[track_caller]
    fn events(&self) -> Vec<Event> {
        match &self.decision {
            Ok(Decision::Events(events)) => events.clone(),
            other => panic!("expected events, got {other:?}"),
        }
    }
}

pub fn answer(room_id: RoomId, seq: u64) -> Answer {
    Answer { room_id: Some(room_id), seq, ..Answer::default() }
}

pub fn role_answer(room_id: RoomId, role_id: RoleId, seq: u64) -> Answer {
    Answer { role_id: Some(role_id), ..answer(room_id, seq) }
}

pub fn account_answer(account_id: AccountId) -> Answer {
    Answer { account_id: Some(account_id), ..Answer::default() }
}
