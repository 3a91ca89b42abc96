//! Sessions and the tokens that keep them alive.

use super::*;

pub async fn a_session_lives_until_it_expires_or_is_revoked(backend: &Secrets) {
    let store = backend.open().await;
    let (one, two) = (session(1), session(2));
    store.create_session(&one).await.unwrap();
    store.create_session(&two).await.unwrap();
    assert!(store.session_is_live(one.session_id, 999).await.unwrap());
    assert!(!store.session_is_live(one.session_id, 1_000).await.unwrap());
    assert!(!store.session_is_live(SessionId::from_u128(3), 999).await.unwrap());
    assert!(store.revoke_session(ANN, one.session_id, 500).await.unwrap());
    assert!(!store.revoke_session(ANN, SessionId::from_u128(3), 500).await.unwrap(), "no such session");
    assert!(!store.revoke_session(BOB, two.session_id, 500).await.unwrap(), "another account's");
    assert!(!store.session_is_live(one.session_id, 999).await.unwrap());
    assert!(store.session_is_live(two.session_id, 999).await.unwrap());
}

pub async fn a_token_is_exchanged_once_and_its_reuse_revokes(backend: &Secrets) {
    let store = backend.open().await;
    let first = session(1);
    store.create_session(&first).await.unwrap();
    store.create_session(&session(2)).await.unwrap();
    for n in 10..14 {
        let old = if n == 10 { hash(1) } else { hash(n - 1) };
        let expires_at_ms = 1_000 + i64::from(n);
        let rotation = store.rotate_session(&old, &hash(n), 500, expires_at_ms).await.unwrap();
        let expected = Session { refresh_hash: hash(n), expires_at_ms, ..first.clone() };
        assert_eq!(rotation, Rotation::Rotated(expected));
        assert!(store.session_is_live(first.session_id, 1_000 + i64::from(n) - 1).await.unwrap());
    }
    // The oldest of all, long replaced.
    let reused = Rotation::Reused { account_id: ANN, session_id: first.session_id };
    assert_eq!(store.rotate_session(&hash(1), &hash(20), 600, 2_000).await.unwrap(), reused);
    assert!(!store.session_is_live(first.session_id, 600).await.unwrap());
    for token in [13, 12, 20, 1] {
        let rotation = store.rotate_session(&hash(token), &hash(21), 600, 2_000).await.unwrap();
        assert_eq!(rotation, Rotation::Unknown, "token {token} of a revoked session");
    }
    assert!(store.session_is_live(SessionId::from_u128(2), 600).await.unwrap(), "the other session stays");
}

pub async fn of_many_that_exchange_one_token_one_succeeds(backend: &Secrets) {
    let store = backend.open().await;
    store.create_session(&session(1)).await.unwrap();
    let racers: Vec<_> = (0..RACERS)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(
                async move { store.rotate_session(&hash(1), &hash(100 + n), 500, 2_000).await.unwrap() },
            )
        })
        .collect();
    let mut rotated = 0;
    for racer in racers {
        match racer.await.unwrap() {
            Rotation::Rotated(_) => rotated += 1,
            Rotation::Reused { .. } | Rotation::Unknown => {}
        }
    }
    assert_eq!(rotated, 1);
    assert!(!store.session_is_live(SessionId::from_u128(1), 500).await.unwrap(), "the token came twice");
}

pub async fn an_expired_token_is_unknown(backend: &Secrets) {
    let store = backend.open().await;
    store.create_session(&session(1)).await.unwrap();
    let rotation = store.rotate_session(&hash(1), &hash(2), 1_000, 2_000).await.unwrap();
    assert_eq!(rotation, Rotation::Unknown);
    assert_eq!(store.rotate_session(&hash(9), &hash(2), 500, 2_000).await.unwrap(), Rotation::Unknown);

    // A replaced token is remembered until it would have expired itself: then it is harmless.
    let rotation = store.rotate_session(&hash(1), &hash(2), 999, 2_000).await.unwrap();
    assert!(matches!(rotation, Rotation::Rotated(_)));
    assert_eq!(store.rotate_session(&hash(1), &hash(3), 1_500, 2_500).await.unwrap(), Rotation::Unknown);
    assert!(store.session_is_live(SessionId::from_u128(1), 1_500).await.unwrap());

    // New sessions tidy up what has expired, and nothing else.
    for n in 3..30 {
        let late = Session { created_at_ms: 1_999, expires_at_ms: 3_000, ..session(n) };
        store.create_session(&late).await.unwrap();
    }
    assert!(store.session_is_live(SessionId::from_u128(1), 1_999).await.unwrap());
    assert!(store.session_is_live(SessionId::from_u128(3), 2_999).await.unwrap());
}

pub async fn a_revoked_session_stays_revoked(backend: &Secrets) {
    let store = backend.open().await;
    store.create_session(&session(1)).await.unwrap();
    for _ in 0..2 {
        assert!(store.revoke_session(ANN, SessionId::from_u128(1), 500).await.unwrap(), "again is the same");
    }
    assert_eq!(store.rotate_session(&hash(1), &hash(2), 500, 2_000).await.unwrap(), Rotation::Unknown);
    store.create_session(&Session { refresh_hash: hash(3), ..session(1) }).await.unwrap();
    assert!(!store.session_is_live(SessionId::from_u128(1), 500).await.unwrap());
    assert_eq!(store.rotate_session(&hash(3), &hash(4), 500, 2_000).await.unwrap(), Rotation::Unknown);
}

/// A log-in that is repeated because its answer was lost.
pub async fn a_session_made_again_has_the_new_token(backend: &Secrets) {
    let store = backend.open().await;
    store.create_session(&session(1)).await.unwrap();
    store
        .create_session(&Session { refresh_hash: hash(3), expires_at_ms: 1_100, ..session(1) })
        .await
        .unwrap();
    assert!(store.session_is_live(SessionId::from_u128(1), 1_099).await.unwrap());
    let rotation = store.rotate_session(&hash(3), &hash(4), 500, 2_000).await.unwrap();
    assert!(matches!(rotation, Rotation::Rotated(_)), "{rotation:?}");
}

pub async fn an_account_sees_its_live_sessions(backend: &Secrets) {
    let store = backend.open().await;
    let made = |n: u128, created_at_ms| Session { created_at_ms, ..session(n) };
    let expired = Session { expires_at_ms: 400, ..made(3, 120) };
    let foreign = Session { account_id: BOB, ..made(4, 130) };
    for session in [made(1, 100), made(2, 110), expired, foreign.clone(), made(5, 140)] {
        store.create_session(&session).await.unwrap();
    }
    assert!(store.revoke_session(ANN, SessionId::from_u128(5), 500).await.unwrap());
    assert_eq!(store.live_sessions(ANN, 500, 10).await.unwrap(), [made(2, 110), made(1, 100)]);
    assert_eq!(store.live_sessions(ANN, 500, 1).await.unwrap(), [made(2, 110)]);
    assert_eq!(store.live_sessions(BOB, 500, 10).await.unwrap(), [foreign]);
    // As of its latest token.
    assert!(matches!(
        store.rotate_session(&hash(1), &hash(30), 500, 2_000).await.unwrap(),
        Rotation::Rotated(_)
    ));
    let refreshed = Session { refresh_hash: hash(30), expires_at_ms: 2_000, ..made(1, 100) };
    assert_eq!(store.live_sessions(ANN, 1_500, 10).await.unwrap(), [refreshed]);
    assert_eq!(store.live_sessions(AccountId::from_u128(9), 500, 10).await.unwrap(), []);
}

pub async fn sessions_that_ended_are_listed_by_the_time_of_their_end(backend: &Secrets) {
    let store = backend.open().await;
    for n in 1..=5 {
        store.create_session(&session(n)).await.unwrap();
    }
    let ended = async |since_ms| {
        let mut ended = store.ended_sessions(since_ms).await.unwrap();
        ended.sort();
        ended
    };
    let at = |n: u128, ended_at_ms| EndedSession { session_id: SessionId::from_u128(n), ended_at_ms };
    assert_eq!(ended(0).await, []);
    assert!(store.revoke_session(ANN, SessionId::from_u128(1), 200).await.unwrap());
    assert!(store.revoke_session(ANN, SessionId::from_u128(3), 300).await.unwrap());
    assert!(!store.revoke_session(BOB, SessionId::from_u128(4), 300).await.unwrap());
    // A refresh token that comes again ends its session too.
    for new in [20, 21] {
        store.rotate_session(&hash(2), &hash(new), 250, 2_000).await.unwrap();
    }
    assert_eq!(ended(0).await, [at(1, 200), at(2, 250), at(3, 300)]);
    assert_eq!(ended(250).await, [at(2, 250), at(3, 300)], "from that time on");
    assert_eq!(ended(301).await, []);
    // It ends once.
    assert!(store.revoke_session(ANN, SessionId::from_u128(1), 400).await.unwrap());
    assert_eq!(ended(0).await, [at(1, 200), at(2, 250), at(3, 300)]);
}
