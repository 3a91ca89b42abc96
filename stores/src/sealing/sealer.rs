//! Loads, makes and caches keys, and derives from them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use roomlog_schemas::{AccountId, RoomId};
use zeroize::Zeroizing;

use super::cache::KeyCache;
use super::content::{ContentKey, Secret, derive};
use super::{MasterKey, SealError, aad, random};
use crate::StoreError;
use crate::secrets::{KeyOwner, SecretsStore};

const MESSAGE: &str = "roomlog 2026 content";
const ACCOUNT: &str = "roomlog 2026 account content";
const ROOM: &str = "roomlog 2026 room content";
const FINGERPRINT: &str = "roomlog 2026 command fingerprint";

const FINGERPRINT_LEN: usize = 16;

/// A handle, cheap to clone; all clones share one cache.
///
/// A key that is in the cache is there at once; for others the secrets store is asked, once for all
/// the keys that a call needs.
#[derive(Clone)]
pub struct Sealer(Arc<Inner>);

struct Inner {
    secrets: Arc<dyn SecretsStore>,
    wrap_key: ContentKey,
    cache: KeyCache,
}

impl Sealer {
    /// Keeps at most `cache_bytes` of keys in memory.
    pub fn new(secrets: Arc<dyn SecretsStore>, master: MasterKey, cache_bytes: usize) -> Self {
        Self(Arc::new(Inner { secrets, wrap_key: master.wrap_key(), cache: KeyCache::new(cache_bytes) }))
    }

    /// Makes a key for each account that has none.
    pub async fn create_account_keys(&self, accounts: &[AccountId]) -> Result<(), SealError> {
        self.create(accounts.iter().copied().map(KeyOwner::Account)).await
    }

    /// Makes a key for each room that has none.
    pub async fn create_room_keys(&self, rooms: &[RoomId]) -> Result<(), SealError> {
        self.create(rooms.iter().copied().map(KeyOwner::Room)).await
    }

    /// For the text of a message by this account in this room.
    pub async fn message_key(&self, account: AccountId, room: RoomId) -> Result<ContentKey, SealError> {
        if let Some(key) = self.cached_message_key(account, room) {
            return Ok(key);
        }
        let (account, room) = (KeyOwner::Account(account), KeyOwner::Room(room));
        let keys = self.load([account, room]).await?;
        let key = |owner| keys.get(&owner).ok_or(SealError::Destroyed(owner));
        Ok(message_key(key(account)?, key(room)?))
    }

    /// The same for many, in the order asked; `None` where either key was destroyed.
    pub async fn message_keys(
        &self,
        pairs: &[(AccountId, RoomId)],
    ) -> Result<Vec<Option<ContentKey>>, SealError> {
        let owners =
            pairs.iter().flat_map(|&(account, room)| [KeyOwner::Account(account), KeyOwner::Room(room)]);
        let keys = self.load(owners).await?;
        Ok(pairs
            .iter()
            .map(|&(account, room)| {
                let account = keys.get(&KeyOwner::Account(account))?;
                let room = keys.get(&KeyOwner::Room(room))?;
                Some(message_key(account, room))
            })
            .collect())
    }

    /// As [`message_key`](Self::message_key), if both keys are in memory.
    pub fn cached_message_key(&self, account: AccountId, room: RoomId) -> Option<ContentKey> {
        let account = self.0.cache.get(KeyOwner::Account(account))?;
        let room = self.0.cache.get(KeyOwner::Room(room))?;
        Some(message_key(&account, &room))
    }

    /// For an account's names and e-mail.
    pub async fn account_key(&self, account: AccountId) -> Result<ContentKey, SealError> {
        let key = self.key(KeyOwner::Account(account)).await?;
        Ok(ContentKey::new(&derive(ACCOUNT, &[&key])))
    }

    /// As [`account_key`](Self::account_key), if the key is in memory.
    pub fn cached_account_key(&self, account: AccountId) -> Option<ContentKey> {
        let key = self.0.cache.get(KeyOwner::Account(account))?;
        Some(ContentKey::new(&derive(ACCOUNT, &[&key])))
    }

    /// For a room's name.
    pub async fn room_key(&self, room: RoomId) -> Result<ContentKey, SealError> {
        let key = self.key(KeyOwner::Room(room)).await?;
        Ok(ContentKey::new(&derive(ROOM, &[&key])))
    }

    /// As [`room_key`](Self::room_key), if the key is in memory.
    pub fn cached_room_key(&self, room: RoomId) -> Option<ContentKey> {
        let key = self.0.cache.get(KeyOwner::Room(room))?;
        Some(ContentKey::new(&derive(ROOM, &[&key])))
    }

    /// 16 bytes that tell one command body of this account from another, and that nobody can
    /// compute or guess the body from once the account's key is destroyed.
    pub async fn fingerprint(&self, account: AccountId, body: &[u8]) -> Result<Bytes, SealError> {
        Ok(fingerprint(&self.key(KeyOwner::Account(account)).await?, body))
    }

    /// As [`fingerprint`](Self::fingerprint), if the account's key is in memory.
    pub fn cached_fingerprint(&self, account: AccountId, body: &[u8]) -> Option<Bytes> {
        Some(fingerprint(&self.0.cache.get(KeyOwner::Account(account))?, body))
    }

    /// The platform's key of this name, made at random when first asked for. Not cached.
    pub async fn platform_key(&self, name: &str) -> Result<[u8; 32], SealError> {
        let aad = aad::platform_key(name);
        let candidate = self.0.wrap_key.seal(&aad, &*Zeroizing::new(random::<32>()));
        let stored = self.0.secrets.platform_key(name, &candidate).await?;
        Ok(**self.unwrap_key(&aad, &stored)?)
    }

    /// The platform's keys whose names begin so, with their names and in their order. Not cached.
    pub async fn platform_keys(&self, prefix: &str) -> Result<Vec<(String, [u8; 32])>, SealError> {
        let stored = self.0.secrets.platform_keys(prefix).await?;
        let open = |(name, wrapped): (String, Vec<u8>)| {
            let key = **self.unwrap_key(&aad::platform_key(&name), &wrapped)?;
            Ok((name, key))
        };
        stored.into_iter().map(open).collect()
    }

    /// Destroys the platform's key of this name; answers whether there was one.
    pub async fn remove_platform_key(&self, name: &str) -> Result<bool, SealError> {
        Ok(self.0.secrets.remove_platform_key(name).await?)
    }

    /// Drops the key from memory, at once: it was destroyed.
    pub fn forget(&self, owner: KeyOwner) {
        self.0.cache.forget(owner);
    }

    async fn create(&self, owners: impl Iterator<Item = KeyOwner>) -> Result<(), SealError> {
        let candidates: Vec<(KeyOwner, Vec<u8>)> = owners
            .filter(|&owner| self.0.cache.get(owner).is_none())
            .map(|owner| (owner, self.new_wrapped_key(owner)))
            .collect();
        if candidates.is_empty() {
            return Ok(());
        }
        let before = self.0.cache.before_load();
        let stored = self.0.secrets.create_keys(&candidates).await?;
        let mut keys = Vec::with_capacity(stored.len());
        for ((owner, _), wrapped) in candidates.into_iter().zip(stored) {
            keys.push((owner, self.unwrap_key(&aad::wrapped_key(owner), &wrapped)?));
        }
        self.0.cache.insert(before, keys);
        Ok(())
    }

    async fn key(&self, owner: KeyOwner) -> Result<Secret, SealError> {
        if let Some(key) = self.0.cache.get(owner) {
            return Ok(key);
        }
        self.load([owner]).await?.remove(&owner).ok_or(SealError::Destroyed(owner))
    }

    /// Keys from the cache, and in one query from the store those that it lacks. An owner without a
    /// key is not in the answer.
    async fn load(
        &self,
        owners: impl IntoIterator<Item = KeyOwner>,
    ) -> Result<HashMap<KeyOwner, Secret>, SealError> {
        let mut keys = HashMap::new();
        let mut missing = Vec::new();
        for owner in owners {
            if keys.contains_key(&owner) {
                continue;
            }
            match self.0.cache.get(owner) {
                Some(key) => drop(keys.insert(owner, key)),
                None => missing.push(owner),
            }
        }
        missing.sort_unstable();
        missing.dedup();
        if missing.is_empty() {
            return Ok(keys);
        }
        let before = self.0.cache.before_load();
        let stored = self.0.secrets.keys(&missing).await?;
        let mut loaded = Vec::with_capacity(missing.len());
        for (owner, wrapped) in missing.into_iter().zip(stored) {
            if let Some(wrapped) = wrapped {
                loaded.push((owner, self.unwrap_key(&aad::wrapped_key(owner), &wrapped)?));
            }
        }
        self.0.cache.insert(before, loaded.iter().cloned());
        keys.extend(loaded);
        Ok(keys)
    }

    fn new_wrapped_key(&self, owner: KeyOwner) -> Vec<u8> {
        let key = Zeroizing::new(random::<32>());
        self.0.wrap_key.seal(&aad::wrapped_key(owner), &*key).into()
    }

    fn unwrap_key(&self, aad: &[u8], wrapped: &[u8]) -> Result<Secret, SealError> {
        // Another master key, or bytes changed in the store.
        let damaged = || StoreError::Damaged {
            store: "secrets",
            what: "a wrapped key cannot be opened with this master key".into(),
        };
        let key = Zeroizing::new(self.0.wrap_key.open(aad, wrapped).map_err(|_| damaged())?);
        let key: [u8; 32] = key.as_slice().try_into().map_err(|_| damaged())?;
        Ok(Arc::new(Zeroizing::new(key)))
    }
}

fn message_key(account: &Secret, room: &Secret) -> ContentKey {
    ContentKey::new(&derive(MESSAGE, &[account, room]))
}

fn fingerprint(account: &Secret, body: &[u8]) -> Bytes {
    let hash = blake3::keyed_hash(&derive(FINGERPRINT, &[account]), body);
    Bytes::copy_from_slice(&hash.as_bytes()[..FINGERPRINT_LEN])
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}
