//! One limit: a bucket for each key, in bounded memory.

use std::hash::{BuildHasher, Hash, RandomState};
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use super::rate_limited;
use crate::Problem;

/// Keys with a bucket of their own, about 32 bytes each. With more at the same time, all share
/// [`SHARED`] buckets until others are empty again.
const MAX_KEYS: usize = 100_000;
const SHARED: u64 = 4_096;
/// How often buckets that are full again are removed.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// What a bucket holds and how fast it fills; `None` is no limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate(Option<Quota>);

impl Rate {
    pub fn per_second(count: u32) -> Self {
        let quota = |count| Quota::per_second(count).allow_burst(count.saturating_mul(TWICE));
        Self(NonZeroU32::new(count).map(quota))
    }

    pub fn per_minute(count: u32) -> Self {
        Self(NonZeroU32::new(count).map(Quota::per_minute))
    }
}

const TWICE: NonZeroU32 = NonZeroU32::new(2).expect("not zero");

/// Buckets by key. A key is kept as a hash under a random key of the process: of two keys that share
/// one by chance, each gets a little less.
pub(super) struct Buckets<K: ?Sized, C: Clock = DefaultClock> {
    /// In the metric.
    name: &'static str,
    limiter: Option<Limiter<C>>,
    hasher: RandomState,
    max_keys: usize,
    key: PhantomData<fn(&K)>,
}

struct Limiter<C: Clock> {
    clock: C,
    buckets: RateLimiter<u64, HashMapStateStore<u64>, C, NoOpMiddleware<C::Instant>>,
    swept: Mutex<C::Instant>,
}

impl<K: Hash + ?Sized> Buckets<K> {
    pub fn new(name: &'static str, rate: Rate) -> Self {
        Self::with(name, rate, DefaultClock::default(), MAX_KEYS)
    }
}

impl<K: Hash + ?Sized, C: Clock + Clone> Buckets<K, C> {
    pub(super) fn with(name: &'static str, Rate(quota): Rate, clock: C, max_keys: usize) -> Self {
        let limiter = quota.map(|quota| Limiter {
            buckets: RateLimiter::new(quota, HashMapStateStore::default(), clock.clone()),
            swept: Mutex::new(clock.now()),
            clock,
        });
        Self { name, limiter, hasher: RandomState::new(), max_keys, key: PhantomData }
    }

    /// Takes one out of the key's bucket; the problem says when there will be another.
    pub fn take(&self, key: &K) -> Result<(), Problem> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        limiter.sweep();
        let hash = self.hasher.hash_one(key);
        let hash = if limiter.buckets.len() < self.max_keys { hash } else { hash % SHARED };
        limiter.buckets.check_key(&hash).map_err(|until| {
            metrics::counter!("roomlog_rate_limited_total", "limit" => self.name).increment(1);
            rate_limited(whole_seconds(until.wait_time_from(limiter.clock.now())))
        })
    }

    #[cfg(test)]
    pub(super) fn keys(&self) -> usize {
        self.limiter.as_ref().map_or(0, |limiter| limiter.buckets.len())
    }
}

impl<C: Clock> Limiter<C> {
    /// Removes what is full again, if that was not done a moment ago; one of those who come does it.
    fn sweep(&self) {
        let now = self.clock.now();
        let Ok(mut swept) = self.swept.try_lock() else { return };
        if Duration::from(governor::clock::Reference::duration_since(&now, *swept)) >= SWEEP_EVERY {
            *swept = now;
            drop(swept);
            self.buckets.retain_recent();
            self.buckets.shrink_to_fit();
        }
    }
}

/// Rounded up: whoever waits as long as it is told succeeds.
fn whole_seconds(wait: Duration) -> u32 {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    u32::try_from(seconds.max(1)).unwrap_or(u32::MAX)
}
