//! Accounts: registered, imported, claimed; their sessions that were ended. That names are unique is
//! settled before a command gets here, by the reservation in the secrets store, and so is whether a
//! session is the account's.

use std::collections::HashSet;

use roomlog_schemas::{AccountClaimed, AccountId, AccountRegistered, Event, SessionEnded, SessionId};

use crate::command::{Answer, ClaimAccount, Decision, ImportAccounts, RegisterAccount};
use crate::rejection::Rejection;
use crate::state::{Account, State};

pub fn register(state: &State, command: &RegisterAccount) -> Result<Decision, Rejection> {
    let account_id = command.account_id;
    if state.accounts.contains_key(&account_id) {
        return Ok(Decision::Unchanged(Answer { account_id: Some(account_id), ..Answer::default() }));
    }
    Ok(Decision::Events(vec![
        AccountRegistered {
            account_id,
            username: Some(command.username.clone()),
            email: Some(command.email.clone()),
            display_name: None,
            source: None,
        }
        .into(),
    ]))
}

pub fn claim(state: &State, command: &ClaimAccount) -> Result<Decision, Rejection> {
    let account_id = command.account_id;
    match state.accounts.get(&account_id) {
        None => Err(Rejection::AccountNotFound),
        Some(Account { claimed: true }) => Err(Rejection::AlreadyClaimed),
        Some(Account { claimed: false }) => Ok(Decision::Events(vec![
            AccountClaimed { account_id, username: command.username.clone(), email: command.email.clone() }
                .into(),
        ])),
    }
}

pub fn import(state: &State, command: &ImportAccounts) -> Result<Decision, Rejection> {
    let mut seen = HashSet::new();
    let events: Vec<Event> = command
        .accounts
        .iter()
        .filter(|(account_id, _)| !state.accounts.contains_key(account_id) && seen.insert(*account_id))
        .map(|(account_id, display_name)| {
            AccountRegistered {
                account_id: *account_id,
                username: None,
                email: None,
                display_name: Some(display_name.clone()),
                source: Some(command.source.clone()),
            }
            .into()
        })
        .collect();
    if events.is_empty() { Ok(Decision::Unchanged(Answer::default())) } else { Ok(Decision::Events(events)) }
}

/// A repeat changes nothing while the session is among the last that ended in this partition. After
/// that it says once more what is so already.
pub fn end_session(
    state: &State,
    account_id: AccountId,
    session_id: SessionId,
) -> Result<Decision, Rejection> {
    if !state.accounts.contains_key(&account_id) {
        return Err(Rejection::AccountNotFound);
    }
    if state.ended_sessions.contains(session_id) {
        return Ok(Decision::Unchanged(Answer { account_id: Some(account_id), ..Answer::default() }));
    }
    Ok(Decision::Events(vec![SessionEnded { account_id, session_id }.into()]))
}

pub fn apply(state: &mut State, event: &Event) {
    match event {
        Event::AccountRegistered(e) => {
            state.accounts.insert(e.account_id, Account { claimed: e.source.is_none() });
        }
        Event::AccountClaimed(e) => {
            state.accounts.insert(e.account_id, Account { claimed: true });
        }
        Event::SessionEnded(e) => state.ended_sessions.push(e.session_id),
        _ => {}
    }
}
