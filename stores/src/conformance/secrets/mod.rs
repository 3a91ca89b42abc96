//! What every secrets store promises.

mod sessions;

pub use sessions::*;

use roomlog_schemas::{AccountId, IdempotencyKey, RoomId, SessionId};
use uuid::Uuid;

use super::Backend;
use crate::secrets::{
    Credential, EndedSession, KeyOwner, Reservation, ReservationState, Reserved, Rotation, SecretsStore,
    Session,
};

type Secrets = dyn Backend<dyn SecretsStore>;

const ANN: AccountId = AccountId::from_u128(1);
const BOB: AccountId = AccountId::from_u128(2);

/// How many ask at the same time where only one may win.
const RACERS: u8 = 16;

fn reservation(account_id: AccountId, name: &str) -> Reservation {
    // A UUIDv7.
    let key = Uuid::from_u128(0x0190_163d_8694_739b_aea5_966c_0000_0000 + account_id.0.as_u128());
    Reservation {
        account_id,
        username: name.into(),
        email: format!("{name}@example.org"),
        password_hash: format!("$argon2id$of-{name}"),
        key: IdempotencyKey::new(key).expect("a UUIDv7"),
        fingerprint: vec![1, 2, 3],
        command: b"register".to_vec(),
        created_at_ms: 1_000,
    }
}

fn session(n: u128) -> Session {
    Session {
        session_id: SessionId::from_u128(n),
        account_id: ANN,
        refresh_hash: hash(n as u8),
        created_at_ms: 100,
        expires_at_ms: 1_000,
    }
}

fn hash(n: u8) -> [u8; 32] {
    [n; 32]
}

fn existing(reservation: &Reservation, state: ReservationState) -> Reserved {
    Reserved::Existing(Box::new(reservation.clone()), state)
}

pub async fn the_first_platform_key_wins(backend: &Secrets) {
    let store = backend.open().await;
    let racers: Vec<_> = (0..RACERS)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.platform_key("ids", &[n; 40]).await.unwrap() })
        })
        .collect();
    let mut keys = Vec::new();
    for racer in racers {
        keys.push(racer.await.unwrap());
    }
    keys.dedup();
    assert_eq!(keys.len(), 1, "all see the same key");
    assert_eq!(store.platform_key("ids", b"later").await.unwrap(), keys[0]);
    assert_eq!(store.platform_key("other", b"other").await.unwrap(), b"other");
}

pub async fn platform_keys_are_listed_by_prefix_and_removed(backend: &Secrets) {
    let store = backend.open().await;
    let list = async |prefix: &str| store.platform_keys(prefix).await.unwrap();
    assert_eq!(list("").await, []);
    for name in ["tokens/2", "tokens/10", "tokens", "token%", "t_kens/1", "Tokens/3", "ids"] {
        store.platform_key(name, name.as_bytes()).await.unwrap();
    }
    let named = |names: &[&str]| -> Vec<(String, Vec<u8>)> {
        names.iter().map(|name| ((*name).to_owned(), name.as_bytes().to_vec())).collect()
    };
    assert_eq!(list("tokens").await, named(&["tokens", "tokens/10", "tokens/2"]), "in the order of bytes");
    assert_eq!(list("tokens/").await, named(&["tokens/10", "tokens/2"]));
    assert_eq!(list("token%").await, named(&["token%"]), "a prefix is no pattern");
    assert_eq!(list("t_kens").await, named(&["t_kens/1"]));
    assert_eq!(list("").await.len(), 7);

    assert!(store.remove_platform_key("tokens/2").await.unwrap());
    assert!(!store.remove_platform_key("tokens/2").await.unwrap());
    assert_eq!(list("tokens/").await, named(&["tokens/10"]));
    // What is made under that name later is another key.
    assert_eq!(store.platform_key("tokens/2", b"new").await.unwrap(), b"new");
}

pub async fn the_first_key_of_an_owner_wins_whoever_asks(backend: &Secrets) {
    let store = backend.open().await;
    // A room's id may be an account's.
    let owners = [KeyOwner::Account(ANN), KeyOwner::Room(RoomId::from_u128(1)), KeyOwner::Account(BOB)];
    let racers: Vec<_> = (0..RACERS)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                let candidates = owners.map(|owner| (owner, vec![n, u8::from(owner == owners[1])]));
                store.create_keys(&candidates).await.unwrap()
            })
        })
        .collect();
    let mut answers = Vec::new();
    for racer in racers {
        answers.push(racer.await.unwrap());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "all see the same keys");
    assert_eq!(answers[0].iter().map(|key| key[1]).collect::<Vec<_>>(), [0, 1, 0]);
    let stored: Vec<_> = store.keys(&owners).await.unwrap().into_iter().flatten().collect();
    assert_eq!(stored, answers[0]);
}

pub async fn keys_come_in_the_order_asked(backend: &Secrets) {
    const KEYS: u128 = 12_000;
    let store = backend.open().await;
    let owner = |n: u128| match n % 2 {
        0 => KeyOwner::Account(AccountId::from_u128(n)),
        _ => KeyOwner::Room(RoomId::from_u128(n)),
    };
    let candidates: Vec<_> = (0..KEYS).map(|n| (owner(n), n.to_be_bytes().to_vec())).collect();
    let created = store.create_keys(&candidates).await.unwrap();
    assert!(created.iter().zip(&candidates).all(|(key, (_, candidate))| key == candidate));

    let asked: Vec<KeyOwner> = (0..KEYS + 5).rev().chain([7, 7]).map(owner).collect();
    let keys = store.keys(&asked).await.unwrap();
    assert_eq!(keys.len(), asked.len());
    assert!(keys[..5].iter().all(Option::is_none));
    let expected = (0..KEYS).rev().chain([7, 7]).map(|n| Some(n.to_be_bytes().to_vec()));
    assert!(keys[5..].iter().cloned().eq(expected));
    assert!(store.keys(&[]).await.unwrap().is_empty());
    assert!(store.create_keys(&[]).await.unwrap().is_empty());
}

pub async fn a_reservation_is_new_once_and_then_existing(backend: &Secrets) {
    let store = backend.open().await;
    let ann = reservation(ANN, "ann");
    assert_eq!(store.reserve(&ann).await.unwrap(), Reserved::New);
    assert_eq!(store.reserve(&ann).await.unwrap(), existing(&ann, ReservationState::Pending));
    // The same key with another body: the caller compares.
    let other_body = Reservation { username: "anna".into(), fingerprint: vec![9], ..ann.clone() };
    assert_eq!(store.reserve(&other_body).await.unwrap(), existing(&ann, ReservationState::Pending));
    store.complete_reservation(ANN).await.unwrap();
    store.complete_reservation(ANN).await.unwrap();
    assert_eq!(store.reserve(&ann).await.unwrap(), existing(&ann, ReservationState::Active));
}

pub async fn a_name_or_an_address_is_taken_once(backend: &Secrets) {
    let store = backend.open().await;
    let ann = reservation(ANN, "ann");
    assert_eq!(store.reserve(&ann).await.unwrap(), Reserved::New);
    let bob = reservation(BOB, "bob");
    let same_name = Reservation { username: "ann".into(), ..bob.clone() };
    assert_eq!(store.reserve(&same_name).await.unwrap(), Reserved::UsernameTaken);
    let same_address = Reservation { email: ann.email.clone(), ..bob.clone() };
    assert_eq!(store.reserve(&same_address).await.unwrap(), Reserved::EmailTaken);
    // A name and an address live in different namespaces.
    let crossed = Reservation { username: ann.email.clone(), email: "ann".into(), ..bob };
    assert_eq!(store.reserve(&crossed).await.unwrap(), Reserved::New);
}

pub async fn of_two_registrations_at_once_one_is_new(backend: &Secrets) {
    let store = backend.open().await;
    for round in 0..10 {
        let racers: Vec<_> = (0..RACERS)
            .map(|n| {
                let store = store.clone();
                let account = AccountId::from_u128(1_000 * (round + 1) + u128::from(n));
                let mut row = reservation(account, &format!("name{round}"));
                if n % 2 == 0 {
                    row.username = format!("name{round} {n}");
                }
                tokio::spawn(async move { store.reserve(&row).await.unwrap() })
            })
            .collect();
        let mut new = 0;
        for racer in racers {
            match racer.await.unwrap() {
                Reserved::New => new += 1,
                Reserved::UsernameTaken | Reserved::EmailTaken => {}
                other => panic!("another account's row: {other:?}"),
            }
        }
        assert_eq!(new, 1);
    }
}

pub async fn a_voided_reservation_frees_its_names(backend: &Secrets) {
    let store = backend.open().await;
    let ann = reservation(ANN, "ann");
    store.reserve(&ann).await.unwrap();
    store.void_reservation(ANN).await.unwrap();
    store.void_reservation(ANN).await.unwrap();
    assert_eq!(store.credential("ann").await.unwrap(), None);
    let bob = Reservation { username: ann.username, email: ann.email, ..reservation(BOB, "bob") };
    assert_eq!(store.reserve(&bob).await.unwrap(), Reserved::New);
    // An account that never was reserved.
    store.complete_reservation(ANN).await.unwrap();
    assert_eq!(store.reserve(&bob).await.unwrap(), existing(&bob, ReservationState::Pending));
}

pub async fn an_active_reservation_stays(backend: &Secrets) {
    let store = backend.open().await;
    let ann = reservation(ANN, "ann");
    store.reserve(&ann).await.unwrap();
    store.complete_reservation(ANN).await.unwrap();
    store.void_reservation(ANN).await.unwrap();
    assert_eq!(store.reserve(&ann).await.unwrap(), existing(&ann, ReservationState::Active));
}

pub async fn pending_reservations_come_oldest_first(backend: &Secrets) {
    let store = backend.open().await;
    let at = |n: u128, created_at_ms| Reservation {
        created_at_ms,
        ..reservation(AccountId::from_u128(n), &format!("name{n}"))
    };
    let rows = [at(1, 30), at(2, 10), at(3, 20), at(4, 40), at(5, 15)];
    for row in &rows {
        assert_eq!(store.reserve(row).await.unwrap(), Reserved::New);
    }
    store.complete_reservation(rows[4].account_id).await.unwrap();
    let pending = store.pending_reservations(40, 10).await.unwrap();
    assert_eq!(pending, [rows[1].clone(), rows[2].clone(), rows[0].clone()]);
    assert_eq!(store.pending_reservations(40, 2).await.unwrap(), pending[..2]);
    assert_eq!(store.pending_reservations(10, 10).await.unwrap(), []);
}

pub async fn a_credential_is_found_by_name_and_by_address(backend: &Secrets) {
    let store = backend.open().await;
    let ann = reservation(ANN, "ann");
    store.reserve(&ann).await.unwrap();
    let credential = |state| Credential { account_id: ANN, password_hash: ann.password_hash.clone(), state };
    let pending = Some(credential(ReservationState::Pending));
    assert_eq!(store.credential("ann").await.unwrap(), pending);
    store.complete_reservation(ANN).await.unwrap();
    let active = Some(credential(ReservationState::Active));
    assert_eq!(store.credential("ann").await.unwrap(), active);
    assert_eq!(store.credential("ann@example.org").await.unwrap(), active);
    assert_eq!(store.credential("bob").await.unwrap(), None);
    assert_eq!(store.credential("").await.unwrap(), None);

    // Being called like another's address does not put one in its place.
    let bob = Reservation { username: "ann@example.org".into(), ..reservation(BOB, "bob") };
    store.reserve(&bob).await.unwrap();
    assert_eq!(store.credential("ann@example.org").await.unwrap(), active);
}

pub async fn a_claim_code_is_checked_replaced_and_removed(backend: &Secrets) {
    let store = backend.open().await;
    assert!(!store.check_claim_code(ANN, &hash(1), 0).await.unwrap());
    store.put_claim_code(ANN, &hash(1), 1_000).await.unwrap();
    for _ in 0..2 {
        assert!(store.check_claim_code(ANN, &hash(1), 999).await.unwrap(), "a claim can be repeated");
    }
    assert!(!store.check_claim_code(ANN, &hash(1), 1_000).await.unwrap());
    assert!(!store.check_claim_code(ANN, &hash(2), 999).await.unwrap());
    assert!(!store.check_claim_code(BOB, &hash(1), 999).await.unwrap());

    store.put_claim_code(ANN, &hash(2), 2_000).await.unwrap();
    assert!(!store.check_claim_code(ANN, &hash(1), 999).await.unwrap());
    assert!(store.check_claim_code(ANN, &hash(2), 1_999).await.unwrap());
    store.remove_claim_code(ANN).await.unwrap();
    store.remove_claim_code(ANN).await.unwrap();
    assert!(!store.check_claim_code(ANN, &hash(2), 999).await.unwrap());
}

pub async fn all_of_it_survives_a_restart(backend: &Secrets) {
    let store = backend.open().await;
    let (ann, bob) = (reservation(ANN, "ann"), reservation(BOB, "bob"));
    store.platform_key("ids", b"platform").await.unwrap();
    store.create_keys(&[(KeyOwner::Account(ANN), b"key".to_vec())]).await.unwrap();
    store.reserve(&ann).await.unwrap();
    store.complete_reservation(ANN).await.unwrap();
    store.reserve(&bob).await.unwrap();
    store.create_session(&session(1)).await.unwrap();
    store.rotate_session(&hash(1), &hash(2), 500, 1_000).await.unwrap();
    store.put_claim_code(BOB, &hash(7), 1_000).await.unwrap();
    drop(store);

    let store = backend.open().await;
    assert_eq!(store.platform_key("ids", b"other").await.unwrap(), b"platform");
    assert_eq!(store.keys(&[KeyOwner::Account(ANN)]).await.unwrap(), [Some(b"key".to_vec())]);
    assert_eq!(store.reserve(&ann).await.unwrap(), existing(&ann, ReservationState::Active));
    assert_eq!(store.pending_reservations(i64::MAX, 9).await.unwrap(), [bob]);
    assert!(store.check_claim_code(BOB, &hash(7), 500).await.unwrap());
    assert!(store.session_is_live(SessionId::from_u128(1), 500).await.unwrap());
    let reused = Rotation::Reused { account_id: ANN, session_id: SessionId::from_u128(1) };
    assert_eq!(store.rotate_session(&hash(1), &hash(3), 500, 1_000).await.unwrap(), reused);
}
