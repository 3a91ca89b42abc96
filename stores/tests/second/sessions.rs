//! Sessions and their refresh tokens in the secrets store.

use roomlog_schemas::SessionId;

use crate::secrets::Secrets;
use crate::{RACERS, Stored, account, count, race};
use roomlog_stores::SecretsStore;
use roomlog_stores::secrets::{Rotation, Session};

const NOW: i64 = 1_000_000;
const LIFE: i64 = 1_000;

/// The nth session's token after so many exchanges.
fn hash(n: u8, exchanges: u8) -> [u8; 32] {
    let mut hash = [n; 32];
    hash[31] = exchanges;
    hash
}

fn session(n: u8) -> Session {
    Session {
        session_id: SessionId::from_u128(n.into()),
        account_id: account(100 + u128::from(n)),
        refresh_hash: hash(n, 0),
        created_at_ms: NOW,
        expires_at_ms: NOW + LIFE,
    }
}

/// At `NOW`, from the token after so many exchanges to the next.
async fn exchange(store: &dyn SecretsStore, n: u8, exchanges: u8) -> Rotation {
    let (old, new) = (hash(n, exchanges), hash(n, exchanges + 1));
    store.rotate_session(&old, &new, NOW, NOW + LIFE).await.stored()
}

fn rotated(n: u8, exchanges: u8) -> Rotation {
    Rotation::Rotated(Session { refresh_hash: hash(n, exchanges), ..session(n) })
}

async fn is_live(store: &dyn SecretsStore, n: u8, now_ms: i64) -> bool {
    store.session_is_live(session(n).session_id, now_ms).await.stored()
}

pub async fn a_token_is_exchanged_once(backend: Secrets<'_>) {
    let store = backend.open().await;
    store.create_session(&session(1)).await.stored();
    for exchanges in 0..5 {
        assert_eq!(exchange(&*store, 1, exchanges).await, rotated(1, exchanges + 1));
        assert!(is_live(&*store, 1, NOW).await);
    }
}

pub async fn of_many_that_exchange_one_token_one_succeeds(backend: Secrets<'_>) {
    let store = backend.open().await;
    store.create_session(&session(1)).await.stored();
    let racers = (1..=RACERS as u8).map(|n| {
        let store = store.clone();
        async move { store.rotate_session(&hash(1, 0), &hash(1, n), NOW, NOW + LIFE).await.stored() }
    });
    let answers = race(racers).await;
    let is_rotated = |answer: &&Rotation| matches!(answer, Rotation::Rotated(_));
    assert_eq!(answers.iter().filter(is_rotated).count(), 1, "{answers:?}");
    // The second one ended the session, so that there was nothing left for those after it.
    assert_eq!(count(&answers, &Rotation::Reused), 1, "{answers:?}");
    assert_eq!(count(&answers, &Rotation::Unknown), RACERS - 2, "{answers:?}");
    for n in 0..=RACERS as u8 {
        let again = store.rotate_session(&hash(1, n), &hash(2, n), NOW, NOW + LIFE).await.stored();
        assert_eq!(again, Rotation::Unknown, "token {n}");
    }
    assert!(!is_live(&*store, 1, NOW).await);
}

pub async fn a_token_that_comes_again_ends_the_session(backend: Secrets<'_>) {
    let store = backend.open().await;
    // The one just exchanged, and one from long ago.
    for (n, reused) in [(1, 2), (2, 0)] {
        store.create_session(&session(n)).await.stored();
        for exchanges in 0..3 {
            exchange(&*store, n, exchanges).await;
        }
        let again = store.rotate_session(&hash(n, reused), &hash(n, 9), NOW, NOW + LIFE).await.stored();
        assert_eq!(again, Rotation::Reused);
        assert!(!is_live(&*store, n, NOW).await);
        assert_eq!(exchange(&*store, n, 3).await, Rotation::Unknown, "the newest token");
        assert_eq!(exchange(&*store, n, 9).await, Rotation::Unknown, "what the reuse asked for");
    }
}

pub async fn reuse_ends_only_its_own_session(backend: Secrets<'_>) {
    let store = backend.open().await;
    let same_account = Session { account_id: session(1).account_id, ..session(2) };
    store.create_session(&session(1)).await.stored();
    store.create_session(&same_account).await.stored();
    exchange(&*store, 1, 0).await;
    assert_eq!(exchange(&*store, 1, 0).await, Rotation::Reused);
    assert!(is_live(&*store, 2, NOW).await);
    let next = Session { refresh_hash: hash(2, 1), ..same_account };
    assert_eq!(exchange(&*store, 2, 0).await, Rotation::Rotated(next));
}

pub async fn an_unknown_token(backend: Secrets<'_>) {
    let store = backend.open().await;
    assert_eq!(exchange(&*store, 1, 0).await, Rotation::Unknown);
    store.create_session(&session(1)).await.stored();
    assert_eq!(exchange(&*store, 1, 1).await, Rotation::Unknown, "a token that is not yet");
    assert_eq!(exchange(&*store, 2, 0).await, Rotation::Unknown);
    assert!(!is_live(&*store, 2, NOW).await);
    assert_eq!(exchange(&*store, 1, 0).await, rotated(1, 1), "none of it did any harm");
}

pub async fn a_session_expires(backend: Secrets<'_>) {
    let store = backend.open().await;
    let end = NOW + LIFE;
    store.create_session(&session(1)).await.stored();
    assert!(is_live(&*store, 1, end - 1).await);
    assert!(!is_live(&*store, 1, end).await);
    let late = store.rotate_session(&hash(1, 0), &hash(1, 1), end, end + LIFE).await.stored();
    assert_eq!(late, Rotation::Unknown);
    let in_time = store.rotate_session(&hash(1, 0), &hash(1, 1), end - 1, end + LIFE).await.stored();
    assert!(matches!(in_time, Rotation::Rotated(_)), "{in_time:?}");
}

pub async fn an_exchange_prolongs_the_session(backend: Secrets<'_>) {
    let store = backend.open().await;
    store.create_session(&session(1)).await.stored();
    let (now, end) = (NOW + LIFE / 2, NOW + LIFE / 2 + LIFE);
    let answer = store.rotate_session(&hash(1, 0), &hash(1, 1), now, end).await.stored();
    let prolonged = Session { refresh_hash: hash(1, 1), expires_at_ms: end, ..session(1) };
    assert_eq!(answer, Rotation::Rotated(prolonged));
    assert!(is_live(&*store, 1, end - 1).await);
    assert!(!is_live(&*store, 1, end).await);
    let next = store.rotate_session(&hash(1, 1), &hash(1, 2), end - 1, end + LIFE).await.stored();
    assert!(matches!(next, Rotation::Rotated(_)), "{next:?}");
}

pub async fn a_revoked_session_is_over(backend: Secrets<'_>) {
    let store = backend.open().await;
    store.create_session(&session(1)).await.stored();
    store.create_session(&session(2)).await.stored();
    exchange(&*store, 1, 0).await;
    store.revoke_session(session(1).session_id).await.stored();
    store.revoke_session(session(1).session_id).await.stored();
    store.revoke_session(session(9).session_id).await.stored();
    assert!(!is_live(&*store, 1, NOW).await);
    assert_eq!(exchange(&*store, 1, 0).await, Rotation::Unknown);
    assert_eq!(exchange(&*store, 1, 1).await, Rotation::Unknown);
    assert!(is_live(&*store, 2, NOW).await);
}

/// A store may remove them at any time.
pub async fn expired_sessions_make_room_without_harm(backend: Secrets<'_>) {
    let store = backend.open().await;
    for n in 1..=50 {
        store.create_session(&session(n)).await.stored();
    }
    let later = NOW + LIFE;
    store.rotate_session(&hash(1, 0), &hash(1, 1), NOW, later + LIFE).await.stored();
    for n in 51..=60 {
        let fresh = Session { created_at_ms: later, expires_at_ms: later + LIFE, ..session(n) };
        store.create_session(&fresh).await.stored();
    }
    for n in 1..=60 {
        assert_eq!(is_live(&*store, n, later).await, n == 1 || n > 50, "session {n}");
    }
    let next = store.rotate_session(&hash(1, 1), &hash(1, 2), later, later + LIFE).await.stored();
    assert!(matches!(next, Rotation::Rotated(_)), "{next:?}");
}

pub async fn sessions_are_there_after_a_restart(backend: Secrets<'_>) {
    let store = backend.open().await;
    for n in 1..=3 {
        store.create_session(&session(n)).await.stored();
        exchange(&*store, n, 0).await;
    }
    store.revoke_session(session(2).session_id).await.stored();
    drop(store);
    let store = backend.open().await;
    assert!(is_live(&*store, 1, NOW).await);
    assert!(!is_live(&*store, 2, NOW).await);
    assert_eq!(exchange(&*store, 1, 1).await, rotated(1, 2));
    assert_eq!(exchange(&*store, 3, 0).await, Rotation::Reused);
}
