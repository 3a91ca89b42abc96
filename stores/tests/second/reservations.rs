//! Reserved names and credentials in the secrets store.

use std::sync::Arc;

use roomlog_schemas::{AccountId, IdempotencyKey};
use uuid::Builder;

use crate::secrets::Secrets;
use crate::{RACERS, Stored, account, count, race};
use roomlog_stores::SecretsStore;
use roomlog_stores::secrets::{Credential, Reservation, ReservationState, Reserved};

/// Of an account with a name and an e-mail of its own.
fn reservation(n: u128) -> Reservation {
    let key = Builder::from_unix_timestamp_millis(1_800_000_000_000, &[n as u8; 10]).into_uuid();
    Reservation {
        account_id: account(n),
        username: format!("user-{n}"),
        email: format!("user-{n}@example.org"),
        password_hash: format!("$argon2id$v=19$hash of {n}"),
        key: IdempotencyKey::new(key).expect("a UUIDv7"),
        fingerprint: vec![n as u8; 16],
        command: vec![0, 0xff, n as u8],
        created_at_ms: 1_000 + n as i64,
    }
}

fn existing(reservation: Reservation, state: ReservationState) -> Reserved {
    Reserved::Existing(Box::new(reservation), state)
}

/// All at the same time, each as changed by `change`.
async fn race_for(store: &Arc<dyn SecretsStore>, change: impl Fn(&mut Reservation)) -> Vec<Reserved> {
    let racers = (1..=RACERS as u128).map(|n| {
        let store = store.clone();
        let mut reservation = reservation(n);
        change(&mut reservation);
        async move { store.reserve(&reservation).await.stored() }
    });
    race(racers).await
}

pub async fn one_account_gets_a_name(backend: Secrets<'_>) {
    let store = backend.open().await;
    assert_eq!(store.reserve(&reservation(1)).await.stored(), Reserved::New);
    let same_name = Reservation { username: reservation(1).username, ..reservation(2) };
    assert_eq!(store.reserve(&same_name).await.stored(), Reserved::UsernameTaken);
    let same_email = Reservation { email: reservation(1).email, ..reservation(2) };
    assert_eq!(store.reserve(&same_email).await.stored(), Reserved::EmailTaken);
    let both = Reservation { username: reservation(1).username, ..same_email };
    assert_eq!(store.reserve(&both).await.stored(), Reserved::UsernameTaken);
    // What was refused has left nothing.
    assert_eq!(store.credential("user-2").await.stored(), None);
    assert_eq!(store.reserve(&reservation(2)).await.stored(), Reserved::New);
    // Active or not makes no difference.
    store.complete_reservation(account(1)).await.stored();
    let same_name = Reservation { username: reservation(1).username, ..reservation(3) };
    assert_eq!(store.reserve(&same_name).await.stored(), Reserved::UsernameTaken);
}

pub async fn of_two_registrations_of_one_name_one_is_new(backend: Secrets<'_>) {
    let store = backend.open().await;
    let answers = race_for(&store, |reservation| reservation.username = "wanted".to_owned()).await;
    assert_eq!(count(&answers, &Reserved::New), 1, "{answers:?}");
    assert_eq!(count(&answers, &Reserved::UsernameTaken), RACERS - 1, "{answers:?}");
    assert_eq!(store.pending_reservations(i64::MAX, 99).await.stored().len(), 1);
}

pub async fn of_two_registrations_of_one_email_one_is_new(backend: Secrets<'_>) {
    let store = backend.open().await;
    let answers = race_for(&store, |reservation| reservation.email = "wanted@example.org".to_owned()).await;
    assert_eq!(count(&answers, &Reserved::New), 1, "{answers:?}");
    assert_eq!(count(&answers, &Reserved::EmailTaken), RACERS - 1, "{answers:?}");
    assert_eq!(store.pending_reservations(i64::MAX, 99).await.stored().len(), 1);
}

pub async fn one_registration_sent_twice_is_new_once(backend: Secrets<'_>) {
    let store = backend.open().await;
    let answers = race_for(&store, |sent| *sent = reservation(1)).await;
    assert_eq!(count(&answers, &Reserved::New), 1, "{answers:?}");
    let repeat = existing(reservation(1), ReservationState::Pending);
    assert_eq!(count(&answers, &repeat), RACERS - 1, "{answers:?}");
}

/// Whatever the repeat brings; the caller compares.
pub async fn a_repeat_finds_the_row_as_it_was_made(backend: Secrets<'_>) {
    let store = backend.open().await;
    store.reserve(&reservation(1)).await.stored();
    store.reserve(&reservation(2)).await.stored();
    let other_body = Reservation { account_id: account(1), ..reservation(3) };
    let repeat = store.reserve(&other_body).await.stored();
    assert_eq!(repeat, existing(reservation(1), ReservationState::Pending));
    // Its own row comes before another's name.
    let others_name = Reservation { account_id: account(1), ..reservation(2) };
    let repeat = store.reserve(&others_name).await.stored();
    assert_eq!(repeat, existing(reservation(1), ReservationState::Pending));

    store.complete_reservation(account(1)).await.stored();
    let repeat = store.reserve(&reservation(1)).await.stored();
    assert_eq!(repeat, existing(reservation(1), ReservationState::Active));
    assert_eq!(store.credential("user-3").await.stored(), None);
}

pub async fn completing_is_final(backend: Secrets<'_>) {
    let store = backend.open().await;
    store.reserve(&reservation(1)).await.stored();
    store.complete_reservation(account(1)).await.stored();
    store.complete_reservation(account(1)).await.stored();
    store.complete_reservation(account(9)).await.stored();
    store.void_reservation(account(1)).await.stored();
    let repeat = store.reserve(&reservation(1)).await.stored();
    assert_eq!(repeat, existing(reservation(1), ReservationState::Active));
    assert!(store.pending_reservations(i64::MAX, 9).await.stored().is_empty());
}

pub async fn voiding_frees_the_names(backend: Secrets<'_>) {
    let store = backend.open().await;
    store.reserve(&reservation(1)).await.stored();
    store.reserve(&reservation(2)).await.stored();
    store.void_reservation(account(1)).await.stored();
    store.void_reservation(account(1)).await.stored();
    assert_eq!(store.credential("user-1").await.stored(), None);
    let pending = store.pending_reservations(i64::MAX, 9).await.stored();
    assert_eq!(pending, [reservation(2)]);
    let heir = Reservation { account_id: account(3), ..reservation(1) };
    assert_eq!(store.reserve(&heir).await.stored(), Reserved::New);
    assert_eq!(store.reserve(&reservation(1)).await.stored(), Reserved::UsernameTaken);
}

pub async fn pending_ones_come_oldest_first(backend: Secrets<'_>) {
    let store = backend.open().await;
    for n in [3, 1, 4, 2, 5] {
        store.reserve(&reservation(n)).await.stored();
    }
    store.complete_reservation(account(2)).await.stored();
    let pending = async |before_ms, limit| {
        let reservations = store.pending_reservations(before_ms, limit).await.stored();
        for reservation_found in &reservations {
            assert_eq!(*reservation_found, reservation(reservation_found.account_id.0.as_u128()));
        }
        reservations.iter().map(|reservation| reservation.account_id).collect::<Vec<AccountId>>()
    };
    assert_eq!(pending(i64::MAX, usize::MAX).await, [1, 3, 4, 5].map(account));
    assert_eq!(pending(i64::MAX, 2).await, [1, 3].map(account));
    assert_eq!(pending(1_004, 9).await, [1, 3].map(account), "before, not at");
    assert_eq!(pending(1_001, 9).await, []);
    assert_eq!(pending(i64::MAX, 0).await, []);
}

pub async fn a_credential_is_found_by_name_and_by_email(backend: Secrets<'_>) {
    let store = backend.open().await;
    store.reserve(&reservation(1)).await.stored();
    store.reserve(&reservation(2)).await.stored();
    let credential = |n, state| {
        let Reservation { account_id, password_hash, .. } = reservation(n);
        Some(Credential { account_id, password_hash, state })
    };
    let pending = credential(1, ReservationState::Pending);
    assert_eq!(store.credential("user-1").await.stored(), pending);
    assert_eq!(store.credential("user-1@example.org").await.stored(), pending);
    store.complete_reservation(account(1)).await.stored();
    let active = credential(1, ReservationState::Active);
    assert_eq!(store.credential("user-1").await.stored(), active);
    assert_eq!(store.credential("user-1@example.org").await.stored(), active);
    for unknown in ["user-3", "", "USER-1", "user-", "user-1@example.or", "%"] {
        assert_eq!(store.credential(unknown).await.stored(), None, "{unknown:?}");
    }

    // Nobody can stand in front of another's e-mail by being called so.
    let impostor = Reservation { username: "user-2@example.org".to_owned(), ..reservation(3) };
    assert_eq!(store.reserve(&impostor).await.stored(), Reserved::New);
    let second = credential(2, ReservationState::Pending);
    assert_eq!(store.credential("user-2@example.org").await.stored(), second);
}

pub async fn reservations_are_there_after_a_restart(backend: Secrets<'_>) {
    let store = backend.open().await;
    store.reserve(&reservation(1)).await.stored();
    store.reserve(&reservation(2)).await.stored();
    store.complete_reservation(account(2)).await.stored();
    drop(store);
    let store = backend.open().await;
    assert_eq!(store.pending_reservations(i64::MAX, 9).await.stored(), [reservation(1)]);
    let repeat = store.reserve(&reservation(2)).await.stored();
    assert_eq!(repeat, existing(reservation(2), ReservationState::Active));
}
