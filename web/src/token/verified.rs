//! The tokens that were verified lately: a client sends the same one with each request, and a signature
//! costs some 60 times as much as looking one up.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::Claims;

/// Most that one generation keeps: 2 MB or so. There are two.
const GENERATION: usize = 16_384;

/// By BLAKE3 of the token, so that memory holds none that could be used.
type Tokens = HashMap<[u8; 32], Claims>;

/// Bounded: a full generation takes the place of the one before, which is forgotten.
#[derive(Default)]
pub struct Verified(RwLock<Generations>);

#[derive(Default)]
struct Generations {
    young: Tokens,
    old: Tokens,
    /// How often the keys have been read.
    keys_read: u64,
}

impl Verified {
    /// What a token says whose signature was good under the present keys. It may have expired since.
    pub fn find(&self, token: &str) -> Option<Claims> {
        let hash = hash(token);
        let generations = self.read();
        generations.young.get(&hash).or_else(|| generations.old.get(&hash)).copied()
    }

    /// Names the keys that a signature is about to be verified with.
    pub fn keys_read(&self) -> u64 {
        self.read().keys_read
    }

    /// Keeps a token, unless the keys have been read anew since the answer of `keys_read`.
    pub fn add(&self, token: &str, claims: Claims, keys_read: u64) {
        let mut generations = self.write();
        if generations.keys_read != keys_read {
            return;
        }
        if generations.young.len() >= GENERATION {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(hash(token), claims);
    }

    /// The keys have been read anew: each token has to be verified again.
    pub fn clear(&self) {
        let mut generations = self.write();
        let keys_read = generations.keys_read + 1;
        *generations = Generations { keys_read, ..Generations::default() };
    }

    fn read(&self) -> RwLockReadGuard<'_, Generations> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Generations> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hash(token: &str) -> [u8; 32] {
    *blake3::hash(token.as_bytes()).as_bytes()
}

#[cfg(test)]
mod tests {
    use roomlog_schemas::{AccountId, SessionId};

    use super::*;

    fn claims(account: u128) -> Claims {
        Claims { sub: AccountId::from_u128(account), sid: SessionId::from_u128(1), iat: 1, exp: 2 }
    }

    #[test]
    fn a_token_is_found_until_the_keys_are_read_anew() {
        let verified = Verified::default();
        assert_eq!(verified.find("a"), None);
        verified.add("a", claims(1), verified.keys_read());
        assert_eq!((verified.find("a"), verified.find("b")), (Some(claims(1)), None));
        verified.clear();
        assert_eq!(verified.find("a"), None);
    }

    #[test]
    fn a_token_that_was_verified_with_former_keys_is_not_kept() {
        let verified = Verified::default();
        let keys_read = verified.keys_read();
        verified.clear();
        verified.add("a", claims(1), keys_read);
        assert_eq!(verified.find("a"), None);
    }

    #[test]
    fn memory_is_bounded_and_what_came_last_stays() {
        let verified = Verified::default();
        for n in 0..3 * GENERATION {
            verified.add(&n.to_string(), claims(n as u128), 0);
        }
        let generations = verified.read();
        assert!(generations.young.len() + generations.old.len() <= 2 * GENERATION);
        drop(generations);
        assert!(verified.find(&(3 * GENERATION - 1).to_string()).is_some());
        assert!(verified.find("0").is_none());
    }
}
