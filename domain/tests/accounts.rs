//! Accounts: registered, imported, claimed; sessions ended.

mod support;
use support::*;

#[test]
fn an_account_is_registered() {
    given_nothing().when(register(ANNA)).then([registered(ANNA)]);
}

#[test]
fn registering_again_is_a_repeat() {
    given([registered(ANNA)]).when(register(ANNA)).then_unchanged(account_answer(ANNA));
}

#[test]
fn a_registered_account_belongs_to_somebody() {
    given([registered(ANNA)]).when(claim(ANNA)).then_rejected(Rejection::AlreadyClaimed);
}

#[test]
fn accounts_are_imported_without_name_and_e_mail() {
    given_nothing().when(import_accounts([ANNA, BEN])).then([account_imported(ANNA), account_imported(BEN)]);
}

#[test]
fn an_import_leaves_the_accounts_that_exist_as_they_are() {
    given([registered(ANNA)])
        .when(import_accounts([ANNA, BEN]))
        .then([account_imported(BEN)])
        .when(claim(ANNA))
        .then_rejected(Rejection::AlreadyClaimed);
}

#[test]
fn an_account_that_is_twice_in_an_import_is_registered_once() {
    given_nothing()
        .when(import_accounts([ANNA, BEN, ANNA]))
        .then([account_imported(ANNA), account_imported(BEN)]);
}

#[test]
fn importing_again_changes_nothing() {
    given([account_imported(ANNA), account_imported(BEN)])
        .when(import_accounts([BEN, ANNA]))
        .then_unchanged(Answer::default());
}

#[test]
fn an_import_of_nobody_changes_nothing() {
    given_nothing().when(import_accounts([])).then_unchanged(Answer::default());
}

#[test]
fn an_imported_account_is_claimed_once() {
    given([account_imported(ANNA)])
        .when(claim(ANNA))
        .then([claimed(ANNA)])
        .when(claim(ANNA))
        .then_rejected(Rejection::AlreadyClaimed);
}

#[test]
fn an_import_does_not_take_a_claimed_account_back() {
    given([account_imported(ANNA), claimed(ANNA)])
        .when(import_accounts([ANNA]))
        .then_unchanged(Answer::default())
        .when(claim(ANNA))
        .then_rejected(Rejection::AlreadyClaimed);
}

#[test]
fn an_unknown_account_cannot_be_claimed() {
    given([account_imported(ANNA)]).when(claim(BEN)).then_rejected(Rejection::AccountNotFound);
}

#[test]
fn registering_an_imported_account_does_not_claim_it() {
    given([account_imported(ANNA)])
        .when(register(ANNA))
        .then_unchanged(account_answer(ANNA))
        .when(claim(ANNA))
        .then([claimed(ANNA)]);
}

#[test]
fn a_session_ends_once_and_alone() {
    given([registered(ANNA)])
        .when(end_session(ANNA, PHONE))
        .then([session_ended(ANNA, PHONE)])
        .when(end_session(ANNA, PHONE))
        .then_unchanged(account_answer(ANNA))
        .when(end_session(ANNA, LAPTOP))
        .then([session_ended(ANNA, LAPTOP)]);
}

#[test]
fn nobodys_session_cannot_end() {
    given([registered(ANNA)]).when(end_session(BEN, PHONE)).then_rejected(Rejection::AccountNotFound);
}

#[test]
fn a_session_that_ended_long_ago_may_be_said_to_have_ended_again() {
    let others = (0..roomlog_domain::state::ENDED_SESSIONS as u128)
        .map(|n| session_ended(ANNA, SessionId::from_u128(0x1000 + n)));
    given([registered(ANNA), session_ended(ANNA, PHONE)])
        .and(others)
        .when(end_session(ANNA, PHONE))
        .then([session_ended(ANNA, PHONE)])
        .when(end_session(ANNA, PHONE))
        .then_unchanged(account_answer(ANNA));
}
