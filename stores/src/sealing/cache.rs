//! Keys in memory, within a limit.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::content::Secret;
use crate::secrets::KeyOwner;

/// What one key costs at most: 25 bytes of owner and pointer in a table that is at least 7/16 full,
/// and 64 bytes of allocation.
const ENTRY_BYTES: usize = 128;

/// Least-recently-used, roughly: two generations. What is used moves to the young one; when that
/// is full, it becomes the old one and what was in the old one is let go.
pub(super) struct KeyCache {
    generation_len: usize,
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<KeyOwner, Secret>,
    old: HashMap<KeyOwner, Secret>,
    /// How often anything was forgotten.
    forgotten: u64,
}

/// The moment before keys were loaded, so that one forgotten meanwhile is not cached after all.
#[derive(Clone, Copy)]
pub(super) struct BeforeLoad(u64);

impl KeyCache {
    pub fn new(limit_bytes: usize) -> Self {
        Self {
            generation_len: (limit_bytes / ENTRY_BYTES / 2).max(1),
            generations: Mutex::new(Generations::default()),
        }
    }

    pub fn get(&self, owner: KeyOwner) -> Option<Secret> {
        let mut generations = self.lock();
        if let Some(key) = generations.young.get(&owner) {
            return Some(key.clone());
        }
        let key = generations.old.remove(&owner)?;
        self.put(&mut generations, owner, key.clone());
        Some(key)
    }

    pub fn before_load(&self) -> BeforeLoad {
        BeforeLoad(self.lock().forgotten)
    }

    /// Keeps loaded keys, unless anything was forgotten since `before`.
    pub fn insert(&self, before: BeforeLoad, keys: impl IntoIterator<Item = (KeyOwner, Secret)>) {
        let mut generations = self.lock();
        if generations.forgotten != before.0 {
            return;
        }
        for (owner, key) in keys {
            self.put(&mut generations, owner, key);
        }
    }

    pub fn forget(&self, owner: KeyOwner) {
        let mut generations = self.lock();
        generations.forgotten += 1;
        generations.young.remove(&owner);
        generations.old.remove(&owner);
    }

    fn put(&self, generations: &mut Generations, owner: KeyOwner, key: Secret) {
        if generations.young.len() >= self.generation_len {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(owner, key);
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        // Whoever panicked left no half-made entry behind.
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use roomlog_schemas::AccountId;
    use zeroize::Zeroizing;

    use super::*;

    fn owner(n: u128) -> KeyOwner {
        KeyOwner::Account(AccountId::from_u128(n))
    }

    fn insert(cache: &KeyCache, n: u128) {
        let key = Arc::new(Zeroizing::new([n as u8; 32]));
        cache.insert(cache.before_load(), [(owner(n), key)]);
    }

    #[test]
    fn the_limit_holds_and_what_is_used_stays() {
        let cache = KeyCache::new(20 * ENTRY_BYTES);
        for n in 1..1_000 {
            insert(&cache, n);
            assert!(cache.get(owner(1)).is_some(), "after {n}");
            let generations = cache.lock();
            assert!(generations.young.len() + generations.old.len() <= 20);
        }
        assert!(cache.get(owner(500)).is_none());
        assert!(cache.get(owner(999)).is_some());
    }

    #[test]
    fn what_is_forgotten_while_it_loads_is_not_kept() {
        let cache = KeyCache::new(1 << 20);
        insert(&cache, 1);
        let before = cache.before_load();
        cache.forget(owner(1));
        cache.insert(before, [(owner(1), Arc::new(Zeroizing::new([1; 32])))]);
        assert!(cache.get(owner(1)).is_none());
        insert(&cache, 2);
        assert!(cache.get(owner(2)).is_some());
    }
}
