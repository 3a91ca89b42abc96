//! The key window: which idempotency keys were used, and with what answer. Replayed state.
//!
//! Entries leave by *key time* alone: before record time − 24 h, or, past a count per account,
//! oldest key first, which raises that account's horizon. What may have left is refused, never run
//! again.
//!
//! Persistent collections, as in the state: a snapshot takes the window without holding up the writer,
//! however many keys there are.

use bytes::Bytes;
use imbl::{HashMap, OrdSet};
use roomlog_domain::Answer;
use roomlog_eventlog::chaos_mutation;
use roomlog_schemas::{AccountId, IdempotencyKey};
use serde::{Deserialize, Serialize};

#[cfg(test)]
use super::mutation::{Mutation, mutated};

/// How long a key is remembered.
pub const WINDOW_MS: i64 = 24 * 60 * 60 * 1000;
/// How far a client's clock may be ahead.
pub const MAX_AHEAD_MS: i64 = 60 * 1000;
/// Most keys remembered of one account in one partition: bounds what one account can make every
/// reader of the partition hold.
pub const MAX_KEYS_PER_ACCOUNT: usize = 4096;

/// A key is scoped to the account that used it.
pub type ScopedKey = (AccountId, IdempotencyKey);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub fingerprint: Bytes,
    pub answer: Answer,
    /// Of the command's record.
    pub offset: u64,
    record_time_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Kept", from = "Kept")]
pub struct Window {
    max_keys: usize,
    entries: HashMap<ScopedKey, Entry>,
    by_time: OrdSet<(i64, ScopedKey)>,
    accounts: HashMap<AccountId, Keys>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Keys {
    /// Rises with the time in the key.
    keys: OrdSet<IdempotencyKey>,
    /// Keys up to this time may have been forgotten.
    horizon_ms: Option<i64>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Lookup<'a> {
    Used(&'a Entry),
    /// Too old to know, or from too far ahead.
    Refused,
    Unused,
}

impl Window {
    pub fn new(max_keys: usize) -> Self {
        Self { max_keys, entries: HashMap::new(), by_time: OrdSet::new(), accounts: HashMap::new() }
    }

    /// What is known of a key at a record time.
    pub fn look_up(&self, (account, key): ScopedKey, record_time_ms: i64) -> Lookup<'_> {
        if chaos_mutation::is_on(chaos_mutation::Mutation::KeyWindow) {
            return Lookup::Unused;
        }
        if let Some(entry) = self.entries.get(&(account, key)) {
            return Lookup::Used(entry);
        }
        let time = key.time_ms();
        let forgotten =
            self.accounts.get(&account).and_then(|keys| keys.horizon_ms).is_some_and(|h| time <= h);
        if time < record_time_ms - WINDOW_MS || forgotten || time > record_time_ms + MAX_AHEAD_MS {
            return Lookup::Refused;
        }
        Lookup::Unused
    }

    /// Takes in an accepted command, then drops what leaves the window at its record time.
    pub fn accept(
        &mut self,
        scoped: ScopedKey,
        fingerprint: Bytes,
        answer: Answer,
        offset: u64,
        record_time_ms: i64,
    ) {
        let (account, key) = scoped;
        self.entries.insert(scoped, Entry { fingerprint, answer, offset, record_time_ms });
        self.by_time.insert((key.time_ms(), scoped));
        let keys = self.accounts.entry(account).or_default();
        keys.keys.insert(key);
        while keys.keys.len() > self.max_keys
            && let Some(oldest) = keys.keys.remove_min()
        {
            keys.horizon_ms = keys.horizon_ms.max(Some(oldest.time_ms()));
            self.by_time.remove(&(oldest.time_ms(), (account, oldest)));
            self.entries.remove(&(account, oldest));
        }
        self.expire(record_time_ms);
    }

    fn expire(&mut self, record_time_ms: i64) {
        #[cfg(test)]
        if mutated(Mutation::EvictByRecordTime) {
            self.expire_by_record_time(record_time_ms);
            return;
        }
        let cutoff = record_time_ms - WINDOW_MS;
        while let Some(&(time, scoped)) = self.by_time.get_min()
            && time < cutoff
        {
            self.forget(time, scoped, cutoff);
        }
    }

    fn forget(&mut self, time: i64, scoped: ScopedKey, cutoff: i64) {
        self.by_time.remove(&(time, scoped));
        self.entries.remove(&scoped);
        if let Some(keys) = self.accounts.get_mut(&scoped.0) {
            keys.keys.remove(&scoped.1);
            // Whatever the horizon refuses is refused by its age as well.
            if keys.keys.is_empty() && keys.horizon_ms.is_none_or(|horizon| horizon < cutoff) {
                self.accounts.remove(&scoped.0);
            }
        }
    }

    #[cfg(test)]
    fn expire_by_record_time(&mut self, record_time_ms: i64) {
        let cutoff = record_time_ms - WINDOW_MS;
        let old: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.record_time_ms < cutoff)
            .map(|(scoped, _)| *scoped)
            .collect();
        for scoped in old {
            self.forget(scoped.1.time_ms(), scoped, cutoff);
        }
    }
}

/// What a snapshot keeps of a window; the rest follows from it.
#[derive(Serialize, Deserialize)]
struct Kept {
    max_keys: usize,
    entries: Vec<(ScopedKey, Entry)>,
    horizons: Vec<(AccountId, i64)>,
}

impl From<Window> for Kept {
    fn from(window: Window) -> Self {
        let horizons =
            window.accounts.iter().filter_map(|(account, keys)| Some((*account, keys.horizon_ms?))).collect();
        Self { max_keys: window.max_keys, entries: window.entries.into_iter().collect(), horizons }
    }
}

impl From<Kept> for Window {
    fn from(kept: Kept) -> Self {
        let mut window = Window::new(kept.max_keys);
        for (account, horizon_ms) in kept.horizons {
            window.accounts.entry(account).or_default().horizon_ms = Some(horizon_ms);
        }
        for (scoped, _) in &kept.entries {
            window.accounts.entry(scoped.0).or_default().keys.insert(scoped.1);
        }
        window.by_time = kept.entries.iter().map(|(scoped, _)| (scoped.1.time_ms(), *scoped)).collect();
        window.entries = kept.entries.into_iter().collect();
        window
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn key(time_ms: i64, n: u64) -> IdempotencyKey {
        let bits = ((time_ms as u128) << 80) | (0x7 << 76) | (0b10 << 62) | u128::from(n);
        IdempotencyKey::new(Uuid::from_u128(bits)).unwrap()
    }

    fn account(n: u128) -> AccountId {
        AccountId::from_u128(n)
    }

    fn accept(window: &mut Window, scoped: ScopedKey, offset: u64, record_time_ms: i64) {
        window.accept(scoped, Bytes::new(), Answer::default(), offset, record_time_ms);
    }

    const T: i64 = 100 * WINDOW_MS;

    #[test]
    fn a_used_key_is_found_until_its_own_time_leaves_the_window() {
        let mut window = Window::new(10);
        let used = (account(1), key(T, 1));
        accept(&mut window, used, 5, T);
        assert!(matches!(window.look_up(used, T + WINDOW_MS), Lookup::Used(entry) if entry.offset == 5));
        accept(&mut window, (account(2), key(T + WINDOW_MS + 1, 1)), 6, T + WINDOW_MS + 1);
        assert_eq!(window.look_up(used, T + WINDOW_MS + 1), Lookup::Refused);
    }

    #[test]
    fn keys_from_too_far_ahead_are_refused() {
        let window = Window::new(10);
        assert_eq!(window.look_up((account(1), key(T + MAX_AHEAD_MS, 1)), T), Lookup::Unused);
        assert_eq!(window.look_up((account(1), key(T + MAX_AHEAD_MS + 1, 1)), T), Lookup::Refused);
    }

    #[test]
    fn past_the_count_the_oldest_key_leaves_and_raises_the_horizon_of_its_account() {
        let mut window = Window::new(2);
        for n in 0..3 {
            accept(&mut window, (account(1), key(T + n, 1)), n as u64, T);
        }
        assert_eq!(window.look_up((account(1), key(T, 1)), T), Lookup::Refused);
        assert_eq!(window.look_up((account(1), key(T, 9)), T), Lookup::Refused, "never used, but who knows");
        assert!(matches!(window.look_up((account(1), key(T + 1, 1)), T), Lookup::Used(_)));
        assert_eq!(window.look_up((account(2), key(T, 1)), T), Lookup::Unused);
    }

    proptest! {
        /// The window's promise: a key that was accepted is never `Unused` again.
        #[test]
        fn an_accepted_key_is_never_unused_again(
            steps in prop::collection::vec((0..3u128, -90_000_000..90_000_000i64, 0..4u64, 0..30_000_000i64), 1..80)
        ) {
            let mut window = Window::new(4);
            let mut now = T;
            let mut used = std::collections::HashSet::new();
            for (offset, (a, shift, n, passed)) in steps.into_iter().enumerate() {
                now += passed;
                let scoped = (account(a), key(now + shift, n));
                match window.look_up(scoped, now) {
                    Lookup::Unused => {
                        prop_assert!(used.insert(scoped), "executed twice");
                        accept(&mut window, scoped, offset as u64, now);
                    }
                    Lookup::Used(_) => prop_assert!(used.contains(&scoped)),
                    Lookup::Refused => {}
                }
                for scoped in &used {
                    prop_assert!(window.look_up(*scoped, now) != Lookup::Unused);
                }
                prop_assert_eq!(&Window::from(Kept::from(window.clone())), &window, "as a snapshot keeps it");
            }
        }
    }
}
