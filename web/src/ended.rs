//! Sessions that ended while access tokens of theirs may still be valid.
//!
//! An access token says by itself that it is valid, so that no request needs the store. What it cannot
//! say is that its session has ended since. Each process therefore keeps the sessions that ended within
//! the life of a token, and asks the secrets store every second which have joined them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use roomlog_schemas::SessionId;
use roomlog_stores::secrets::EndedSession;
use roomlog_stores::{SecretsStore, StoreError};
use tokio::time::timeout;

use crate::token;

/// How often a process asks which sessions have ended.
pub const POLL_EVERY: Duration = Duration::from_secs(1);
/// Longest that it waits for an answer.
const POLL_TIMEOUT: Duration = Duration::from_secs(5);
/// An end is stamped by the clock of the process that brings it about, and may be committed a moment
/// later: so far back each poll looks again. Clocks that differ by more than this are found elsewhere.
const OVERLAP: Duration = Duration::from_secs(60);
/// Kept for the life of a token, and for the difference of clocks.
const KEEP: Duration = Duration::from_secs(token::LIFETIME.as_secs() + 5 * 60);

/// Where ends of sessions are found.
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// Those at this time or later; milliseconds since 1970.
    async fn ended_since(&self, since_ms: i64) -> Result<Vec<EndedSession>, StoreError>;
}

#[async_trait]
impl Source for Arc<dyn SecretsStore> {
    async fn ended_since(&self, since_ms: i64) -> Result<Vec<EndedSession>, StoreError> {
        self.ended_sessions(since_ms).await
    }
}

/// Cheap to clone, and all clones know the same. The default knows none and asks nobody.
#[derive(Clone, Default)]
pub struct EndedSessions(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// With the time of each end.
    ended: RwLock<HashMap<SessionId, i64>>,
}

impl EndedSessions {
    /// Knows what has ended until now when this returns; from then on learns of what ends elsewhere
    /// within [`POLL_EVERY`] and the time of a query, as long as a clone of the result exists.
    ///
    /// While the source is away nothing is forgotten and nothing is learned. No session can be ended
    /// meanwhile by a process that does not reach it either.
    pub async fn load(source: impl Source) -> Result<Self, StoreError> {
        Self::load_with(source, POLL_EVERY).await
    }

    async fn load_with(source: impl Source, every: Duration) -> Result<Self, StoreError> {
        let this = Self::default();
        let mut asked = unix_ms();
        this.learn(source.ended_since(asked - ms(KEEP)).await?, asked);
        let inner = Arc::downgrade(&this.0);
        tokio::spawn(async move {
            let mut is_away = false;
            loop {
                tokio::time::sleep(every).await;
                let Some(inner) = inner.upgrade() else { break };
                let now = unix_ms();
                match poll(&source, asked - ms(OVERLAP)).await {
                    Ok(ended) => {
                        Self(inner).learn(ended, now);
                        // A clock that goes back must not leave out what lies between.
                        asked = now;
                        if std::mem::take(&mut is_away) {
                            tracing::info!("it is known again which sessions have ended");
                        }
                    }
                    Err(error) => {
                        metrics::counter!("roomlog_ended_sessions_poll_failures_total").increment(1);
                        if !std::mem::replace(&mut is_away, true) {
                            tracing::warn!(
                                error = &error as &dyn std::error::Error,
                                "it cannot be asked which sessions have ended elsewhere"
                            );
                        }
                    }
                }
            }
        });
        Ok(this)
    }

    /// Whether the session ended of late. False says nothing about sessions that ended longer ago than
    /// any of their access tokens is valid.
    pub fn contains(&self, session: SessionId) -> bool {
        self.read().contains_key(&session)
    }

    /// A session that has just been ended by this process.
    pub fn insert(&self, session: SessionId) {
        self.write().entry(session).or_insert(unix_ms());
    }

    fn learn(&self, ended: Vec<EndedSession>, now_ms: i64) {
        let mut known = self.write();
        known.extend(ended.into_iter().map(|end| (end.session_id, end.ended_at_ms)));
        known.retain(|_, ended_at_ms| *ended_at_ms >= now_ms - ms(KEEP));
        metrics::gauge!("roomlog_ended_sessions").set(known.len() as f64);
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<SessionId, i64>> {
        self.0.ended.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<SessionId, i64>> {
        self.0.ended.write().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn poll(source: &impl Source, since_ms: i64) -> Result<Vec<EndedSession>, StoreError> {
    match timeout(POLL_TIMEOUT, source.ended_since(since_ms)).await {
        Ok(answer) => answer,
        Err(elapsed) => Err(StoreError::Unavailable { store: "secrets", source: elapsed.into() }),
    }
}

fn unix_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, ms)
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use tokio::time::Instant;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(30);

    /// What several processes share.
    #[derive(Clone, Default)]
    struct Shared(Arc<Store>);

    #[derive(Default)]
    struct Store {
        ended: Mutex<Vec<EndedSession>>,
        is_away: AtomicBool,
        /// How often it was asked.
        asked: AtomicUsize,
    }

    impl Shared {
        fn end(&self, n: u128, ended_at_ms: i64) -> SessionId {
            let session_id = SessionId::from_u128(n);
            self.0.ended.lock().unwrap().push(EndedSession { session_id, ended_at_ms });
            session_id
        }
    }

    #[async_trait]
    impl Source for Shared {
        async fn ended_since(&self, since_ms: i64) -> Result<Vec<EndedSession>, StoreError> {
            self.0.asked.fetch_add(1, Ordering::SeqCst);
            if self.0.is_away.load(Ordering::SeqCst) {
                return Err(StoreError::Unavailable { store: "secrets", source: "a test says so".into() });
            }
            let ended = self.0.ended.lock().unwrap();
            Ok(ended.iter().copied().filter(|end| end.ended_at_ms >= since_ms).collect())
        }
    }

    async fn process(store: &Shared) -> EndedSessions {
        EndedSessions::load_with(store.clone(), Duration::from_millis(2)).await.unwrap()
    }

    async fn until(what: &str, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !condition() {
            assert!(Instant::now() < deadline, "{what}");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn an_end_is_known_at_once_where_it_happened_and_soon_elsewhere() {
        let store = Shared::default();
        let before = store.end(1, unix_ms() - 10 * 60 * 1_000);
        let long_ago = store.end(2, unix_ms() - ms(KEEP) - 1_000);
        let process = process(&store).await;
        assert!(process.contains(before), "what ended before the start");
        assert!(!process.contains(long_ago), "its tokens have all expired");

        let here = SessionId::from_u128(3);
        process.insert(here);
        assert!(process.contains(here));
        let elsewhere = store.end(4, unix_ms());
        until("it is learned", || process.contains(elsewhere)).await;
        let clock_behind = store.end(5, unix_ms() - 30_000);
        until("it is learned", || process.contains(clock_behind)).await;
        assert!(process.contains(here) && process.contains(before));
        assert!(!process.contains(SessionId::from_u128(6)));
    }

    #[tokio::test]
    async fn what_is_known_stays_while_the_store_is_away_and_the_rest_is_learned_after() {
        let store = Shared::default();
        let before = store.end(1, unix_ms());
        let process = process(&store).await;
        store.0.is_away.store(true, Ordering::SeqCst);
        let asked = store.0.asked.load(Ordering::SeqCst);
        let meanwhile = store.end(2, unix_ms());
        until("it goes on asking", || store.0.asked.load(Ordering::SeqCst) > asked + 2).await;
        assert!(process.contains(before) && !process.contains(meanwhile));
        store.0.is_away.store(false, Ordering::SeqCst);
        until("it is learned", || process.contains(meanwhile)).await;
        assert!(process.contains(before));
    }

    #[test]
    fn an_end_is_forgotten_when_no_token_can_be_valid_any_more() {
        let ended = EndedSessions::default();
        let end = EndedSession { session_id: SessionId::from_u128(1), ended_at_ms: 1_000 };
        ended.learn(vec![end], 1_000);
        ended.learn(Vec::new(), 1_000 + ms(token::LIFETIME));
        assert!(ended.contains(end.session_id));
        ended.learn(Vec::new(), 1_001 + ms(KEEP));
        assert!(!ended.contains(end.session_id));
    }
}
