//! What sealing promises on every secrets store.

use std::sync::Arc;

use roomlog_schemas::{AccountId, MessageId, RoomId};

use super::Backend;
use crate::sealing::{MasterKey, SEALED_OVERHEAD, SealError, Sealer, aad};
use crate::secrets::{KeyOwner, SecretsStore};

type Secrets = dyn Backend<dyn SecretsStore>;

const ANN: AccountId = AccountId::from_u128(1);
const BOB: AccountId = AccountId::from_u128(2);
const A: RoomId = RoomId::from_u128(10);
const B: RoomId = RoomId::from_u128(11);
const MESSAGE: MessageId = MessageId::from_u128(100);

fn master(digit: char) -> MasterKey {
    MasterKey::from_hex(&digit.to_string().repeat(64)).expect("64 hexadecimal digits")
}

fn sealer(store: &Arc<dyn SecretsStore>) -> Sealer {
    Sealer::new(store.clone(), master('7'), 1 << 20)
}

async fn sealer_with_keys(store: &Arc<dyn SecretsStore>) -> Sealer {
    let sealer = sealer(store);
    sealer.create_account_keys(&[ANN, BOB]).await.unwrap();
    sealer.create_room_keys(&[A, B]).await.unwrap();
    sealer
}

pub async fn what_is_sealed_opens_only_where_it_belongs(backend: &Secrets) {
    let sealer = sealer_with_keys(&backend.open().await).await;
    let key = sealer.message_key(ANN, A).await.unwrap();
    let place = aad::message_text(A, MESSAGE);
    let sealed = key.seal(&place, b"hello");
    assert_eq!(sealed.len(), 5 + SEALED_OVERHEAD);
    assert_ne!(key.seal(&place, b"hello"), sealed, "each time under a fresh nonce");
    assert_eq!(key.open(&place, &sealed).unwrap(), b"hello");

    let damaged = |opened| matches!(opened, Err(SealError::Damaged));
    assert!(damaged(key.open(&aad::message_text(B, MESSAGE), &sealed)));
    assert!(damaged(key.open(&aad::message_text(A, MessageId::from_u128(101)), &sealed)));
    assert!(damaged(key.open(b"", &sealed)));
    for (account, room) in [(BOB, A), (ANN, B), (BOB, B)] {
        let other = sealer.message_key(account, room).await.unwrap();
        assert!(damaged(other.open(&place, &sealed)));
    }
    for at in 0..sealed.len() {
        let mut changed = sealed.to_vec();
        changed[at] ^= 1;
        assert!(damaged(key.open(&place, &changed)), "byte {at}");
        assert!(damaged(key.open(&place, &sealed[..at])), "cut at {at}");
    }
    assert_eq!(key.open(&place, &key.seal(&place, b"")).unwrap(), b"");
}

pub async fn names_and_messages_have_keys_of_their_own(backend: &Secrets) {
    let sealer = sealer_with_keys(&backend.open().await).await;
    let keys = [
        sealer.message_key(ANN, A).await.unwrap(),
        sealer.account_key(ANN).await.unwrap(),
        sealer.room_key(A).await.unwrap(),
    ];
    for (n, key) in keys.iter().enumerate() {
        let sealed = key.seal(b"", b"x");
        for (m, other) in keys.iter().enumerate() {
            assert_eq!(other.open(b"", &sealed).is_ok(), n == m);
        }
    }
    let places = [
        aad::username(ANN).to_vec(),
        aad::email(ANN).to_vec(),
        aad::display_name(ANN).to_vec(),
        aad::room_name(RoomId(ANN.0)).to_vec(),
        aad::username(BOB).to_vec(),
    ];
    let sealed = keys[1].seal(&places[0], b"ann");
    assert!(keys[1].open(&places[0], &sealed).is_ok());
    assert!(places[1..].iter().all(|place| keys[1].open(place, &sealed).is_err()));
    assert_eq!(format!("{:?}", keys[0]), "ContentKey(secret)");
}

pub async fn sealers_that_make_keys_at_once_agree(backend: &Secrets) {
    let store = backend.open().await;
    let racers: Vec<_> = (0..8)
        .map(|_| {
            let sealer = sealer(&store);
            tokio::spawn(async move {
                sealer.create_account_keys(&[ANN, BOB, ANN]).await.unwrap();
                sealer.create_room_keys(&[A]).await.unwrap();
                sealer
            })
        })
        .collect();
    let mut sealers = Vec::new();
    for racer in racers {
        sealers.push(racer.await.unwrap());
    }
    let sealed = sealers[0].cached_message_key(ANN, A).expect("just made").seal(b"", b"x");
    for sealer in &sealers {
        let key = sealer.cached_message_key(ANN, A).expect("just made");
        assert!(key.open(b"", &sealed).is_ok(), "all have the same key");
    }
}

pub async fn keys_outlive_the_process(backend: &Secrets) {
    let store = backend.open().await;
    let sealed = sealer_with_keys(&store).await.message_key(ANN, A).await.unwrap().seal(b"", b"x");
    drop(store);
    let store = backend.open().await;
    let sealer = sealer(&store);
    assert!(sealer.cached_message_key(ANN, A).is_none(), "nothing is loaded yet");
    let key = sealer.message_key(ANN, A).await.unwrap();
    assert_eq!(key.open(b"", &sealed).unwrap(), b"x");
    assert!(sealer.cached_message_key(ANN, A).is_some());
}

pub async fn stored_keys_are_wrapped(backend: &Secrets) {
    let store = backend.open().await;
    let sealer = sealer_with_keys(&store).await;
    let platform = sealer.platform_key("ids").await.unwrap();
    let stored = store.platform_key("ids", b"").await.unwrap();
    assert_eq!(stored.len(), platform.len() + SEALED_OVERHEAD);
    assert!(!stored.windows(8).any(|window| platform.windows(8).any(|plain| plain == window)));

    let owners = [KeyOwner::Account(ANN), KeyOwner::Account(BOB), KeyOwner::Room(A)];
    let stored: Vec<_> = store.keys(&owners).await.unwrap().into_iter().flatten().collect();
    assert!(stored.iter().all(|key| key.len() == 32 + SEALED_OVERHEAD));

    // One that was put in another's place does not pass for it.
    let stranger = AccountId::from_u128(3);
    store.create_keys(&[(KeyOwner::Account(stranger), stored[0].clone())]).await.unwrap();
    assert!(matches!(sealer.account_key(stranger).await, Err(SealError::Store(_))));
}

pub async fn another_master_key_opens_nothing(backend: &Secrets) {
    let store = backend.open().await;
    sealer_with_keys(&store).await.platform_key("ids").await.unwrap();
    let other = Sealer::new(store, master('8'), 1 << 20);
    assert!(matches!(other.account_key(ANN).await, Err(SealError::Store(_))));
    assert!(matches!(other.platform_key("ids").await, Err(SealError::Store(_))));
    assert!(matches!(other.create_account_keys(&[ANN]).await, Err(SealError::Store(_))));
    // What it makes itself is its own.
    other.create_account_keys(&[AccountId::from_u128(9)]).await.unwrap();
    other.account_key(AccountId::from_u128(9)).await.unwrap();
}

pub async fn a_key_that_is_gone_is_destroyed(backend: &Secrets) {
    let sealer = sealer_with_keys(&backend.open().await).await;
    let gone = AccountId::from_u128(3);
    let is_gone = |error| matches!(error, Some(SealError::Destroyed(KeyOwner::Account(a))) if a == gone);
    assert!(is_gone(sealer.account_key(gone).await.err()));
    assert!(is_gone(sealer.message_key(gone, A).await.err()));
    assert!(is_gone(sealer.fingerprint(gone, b"").await.err()));
    assert!(sealer.cached_account_key(gone).is_none());
    let room = sealer.message_key(ANN, RoomId::from_u128(12)).await.err();
    assert!(matches!(room, Some(SealError::Destroyed(KeyOwner::Room(_)))));
}

pub async fn keys_come_in_one_batch(backend: &Secrets) {
    let store = backend.open().await;
    let made = sealer_with_keys(&store).await;
    let sealer = sealer(&store);
    let gone = AccountId::from_u128(3);
    let pairs = [(ANN, A), (gone, A), (BOB, A), (ANN, RoomId::from_u128(12)), (BOB, B), (ANN, A)];
    let keys = sealer.message_keys(&pairs).await.unwrap();
    assert_eq!(keys.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true, false, true, true]);
    for ((account, room), key) in pairs.into_iter().zip(keys) {
        if let Some(key) = key {
            let sealed = made.message_key(account, room).await.unwrap().seal(b"", b"x");
            assert!(key.open(b"", &sealed).is_ok());
            assert!(sealer.cached_message_key(account, room).is_some());
        }
    }
    assert!(sealer.message_keys(&[]).await.unwrap().is_empty());
}

pub async fn a_forgotten_key_is_loaded_again(backend: &Secrets) {
    let sealer = sealer_with_keys(&backend.open().await).await;
    let sealed = sealer.cached_message_key(ANN, A).expect("just made").seal(b"", b"x");
    sealer.clone().forget(KeyOwner::Account(ANN));
    assert!(sealer.cached_message_key(ANN, A).is_none());
    assert!(sealer.cached_account_key(ANN).is_none());
    assert!(sealer.cached_fingerprint(ANN, b"").is_none());
    assert!(sealer.cached_message_key(BOB, A).is_some(), "the others stay");
    assert!(sealer.message_key(ANN, A).await.unwrap().open(b"", &sealed).is_ok());
}

pub async fn a_cache_over_its_limit_loads_again(backend: &Secrets) {
    let store = backend.open().await;
    let sealer = Sealer::new(store, master('7'), 4 * 1024);
    let accounts: Vec<AccountId> = (1..=500).map(AccountId::from_u128).collect();
    sealer.create_account_keys(&accounts).await.unwrap();
    sealer.create_room_keys(&[A]).await.unwrap();
    let cached = accounts.iter().filter(|&&account| sealer.cached_account_key(account).is_some()).count();
    assert!(cached < 50, "{cached} keys in 4 KiB");

    let pairs: Vec<_> = accounts.iter().map(|&account| (account, A)).collect();
    let keys = sealer.message_keys(&pairs).await.unwrap();
    for (&(account, room), key) in pairs.iter().zip(keys) {
        let sealed = key.expect("it was made").seal(b"", b"x");
        assert!(sealer.message_key(account, room).await.unwrap().open(b"", &sealed).is_ok());
    }
}

pub async fn fingerprints_depend_on_account_and_body(backend: &Secrets) {
    let store = backend.open().await;
    let sealer = sealer_with_keys(&store).await;
    let print = sealer.fingerprint(ANN, b"body").await.unwrap();
    assert_eq!(print.len(), 16);
    assert_eq!(sealer.cached_fingerprint(ANN, b"body"), Some(print.clone()));
    assert_eq!(Sealer::new(store, master('7'), 0).fingerprint(ANN, b"body").await.unwrap(), print);
    assert_ne!(sealer.fingerprint(ANN, b"other").await.unwrap(), print);
    assert_ne!(sealer.fingerprint(BOB, b"body").await.unwrap(), print);
    assert_ne!(blake3::hash(b"body").as_bytes()[..16], print[..]);
}

pub async fn platform_keys_have_names(backend: &Secrets) {
    let store = backend.open().await;
    let ids = sealer(&store).platform_key("ids").await.unwrap();
    assert_eq!(sealer(&store).platform_key("ids").await.unwrap(), ids);
    assert_ne!(sealer(&store).platform_key("tokens").await.unwrap(), ids);
}

pub async fn platform_keys_of_a_prefix_are_opened_under_their_names(backend: &Secrets) {
    let store = backend.open().await;
    let sealer = sealer(&store);
    assert!(sealer.platform_keys("tokens").await.unwrap().is_empty());
    let (first, second) =
        (sealer.platform_key("tokens").await.unwrap(), sealer.platform_key("tokens/1").await.unwrap());
    sealer.platform_key("ids").await.unwrap();
    let expected = [("tokens".to_owned(), first), ("tokens/1".to_owned(), second)];
    assert_eq!(sealer.platform_keys("tokens").await.unwrap(), expected);
    assert!(sealer.remove_platform_key("tokens").await.unwrap());
    assert!(!sealer.remove_platform_key("tokens").await.unwrap());
    assert_eq!(sealer.platform_keys("tokens").await.unwrap(), expected[1..]);

    // A key that was put under another name does not pass for the one of that name.
    let wrapped = store.platform_key("tokens/1", b"").await.unwrap();
    store.platform_key("tokens/2", &wrapped).await.unwrap();
    assert!(matches!(sealer.platform_keys("tokens").await, Err(SealError::Store(_))));
}
