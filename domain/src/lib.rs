//! The rules of rooms and accounts, as pure functions.
//!
//! `decide(state, command, context) -> decision | rejection`, `apply(state, event)`. No I/O, no
//! clock, no random numbers: what a decision needs comes in its context.
//!
//! [`State`] is one partition's; it is made of persistent maps, so a clone costs next to nothing
//! and the writer can keep one per record in flight.

mod accounts;
pub mod command;
mod import;
pub mod permission;
pub mod rejection;
pub mod role;
mod roles;
mod rooms;
pub mod state;
pub mod visibility;
pub mod way;

pub use command::{Answer, Command, Context, Decision, ImportBatch, ImportItem, ImportKind};
pub use permission::{Permission, Permissions};
pub use rejection::Rejection;
pub use role::Role;
pub use roles::MAX_CUSTOM_ROLES;
pub use state::{STATE_VERSION, State};

use roomlog_schemas::Event;

impl State {
    /// What this command does to this state. Reads nothing but its arguments.
    pub fn decide(&self, command: &Command, context: &Context) -> Result<Decision, Rejection> {
        match command {
            Command::RegisterAccount(c) => accounts::register(self, c),
            Command::ClaimAccount(c) => accounts::claim(self, c),
            Command::ImportAccounts(c) => accounts::import(self, c),
            Command::EndSession { account_id, session_id } => {
                accounts::end_session(self, *account_id, *session_id)
            }
            Command::CreateRoom(c) => rooms::create(self, c),
            Command::JoinRoom { room_id, account_id } => rooms::join(self, *room_id, *account_id),
            Command::LeaveRoom { room_id, account_id } => rooms::leave(self, *room_id, *account_id),
            Command::SendMessage(c) => rooms::send(self, c, context),
            Command::SetRole(c) => roles::set(self, c),
            Command::TransferOwnership(c) => roles::transfer(self, c),
            Command::CreateRole(c) => roles::create(self, c),
            Command::ChangeRole(c) => roles::change(self, c),
            Command::RemoveRole(c) => roles::remove(self, c),
            Command::SetOverride(c) => roles::set_override(self, c),
            Command::Import(batch) => import::batch(self, batch, context),
        }
    }

    /// Takes an accepted event into the state. Total: never fails, whatever the event.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::AccountRegistered(_) | Event::AccountClaimed(_) | Event::SessionEnded(_) => {
                accounts::apply(self, event);
            }
            _ => rooms::apply(self, event),
        }
    }
}
