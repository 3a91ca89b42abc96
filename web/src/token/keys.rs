//! The Ed25519 keys of access tokens, and which of them signs when.
//!
//! ```text
//!   announced ──────► signs ──────────────────► accepted ─────────────► gone
//!             its time       the next one's time         LIFETIME + GRACE
//! ```
//!
//! A key is published (and known to every process) before it signs, so that whoever verifies with a
//! copy of the published keys never meets an unknown one; and it is accepted until every token that
//! it signed has expired. The time from which a key signs is in its name, under which it is wrapped.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use roomlog_stores::{SealError, Sealer};

use super::LIFETIME;

/// Name of a platform's first key. The others have it too, then [`SEPARATOR`] and their time.
const FIRST: &str = "access_tokens";
const SEPARATOR: char = '/';
/// A process whose clock or whose copy of the keys is behind by less may still have signed with the
/// key before.
const GRACE: Duration = Duration::from_secs(10 * 60);

/// Where the seeds of the keys are, by name.
#[async_trait]
pub trait KeyStore: Send + Sync + 'static {
    /// In the order of the names' bytes.
    async fn list(&self, prefix: &str) -> Result<Vec<(String, [u8; 32])>, SealError>;

    /// Makes a key unless there is one of this name; answers the one that is there.
    async fn add(&self, name: &str) -> Result<[u8; 32], SealError>;

    /// Answers whether there was one.
    async fn remove(&self, name: &str) -> Result<bool, SealError>;
}

#[async_trait]
impl KeyStore for Sealer {
    async fn list(&self, prefix: &str) -> Result<Vec<(String, [u8; 32])>, SealError> {
        self.platform_keys(prefix).await
    }

    async fn add(&self, name: &str) -> Result<[u8; 32], SealError> {
        self.platform_key(name).await
    }

    async fn remove(&self, name: &str) -> Result<bool, SealError> {
        self.remove_platform_key(name).await
    }
}

/// One key pair. All times are seconds since 1970.
pub struct TokenKey {
    name: String,
    /// The thumbprint of its public half (RFC 7638), by which tokens name it.
    pub id: String,
    /// Until the next key's time; 0 for the first key.
    pub signs_from: u64,
    /// What tokens called the first key before there were others.
    former_id: Option<String>,
    jwk: Jwk,
    pub(super) encoding: EncodingKey,
    pub(super) decoding: DecodingKey,
}

impl TokenKey {
    fn new(name: String, signs_from: u64, seed: &[u8; 32]) -> Self {
        let signing = SigningKey::from_bytes(seed);
        let der = signing.to_pkcs8_der().expect("an Ed25519 key always encodes");
        let public = signing.verifying_key();
        let decoding = DecodingKey::from_ed_der(public.as_bytes());
        let mut jwk = Jwk::from_decoding_key(&decoding, Some(Algorithm::EdDSA))
            .expect("a public key of 32 bytes is an Ed25519 key");
        let id = jwk.thumbprint(ThumbprintHash::SHA256).expect("an Ed25519 key has a thumbprint");
        jwk.common.key_id = Some(id.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        let former_id = (signs_from == 0)
            .then(|| public.as_bytes()[..8].iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        Self {
            name,
            id,
            signs_from,
            former_id,
            jwk,
            encoding: EncodingKey::from_ed_der(der.as_bytes()),
            decoding,
        }
    }
}

/// What a key is for, at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Published; will sign.
    Announced,
    Signing,
    /// Another has replaced it; tokens of it are good until this second.
    Accepted {
        until: u64,
    },
    /// No token of it can be valid.
    Gone,
}

/// The keys at a moment, at least one, in the order in which they sign; cheap to clone.
#[derive(Clone)]
pub struct KeySet(Arc<[TokenKey]>);

impl KeySet {
    /// Of one key that always signs.
    pub(super) fn of(seed: &[u8; 32]) -> Self {
        Self(Arc::new([TokenKey::new(FIRST.to_owned(), 0, seed)]))
    }

    /// Reads the keys; makes the first one if there is none yet.
    pub async fn load(store: &dyn KeyStore) -> Result<Self, SealError> {
        let mut keys = read(store).await?;
        if keys.is_empty() {
            keys.push(TokenKey::new(FIRST.to_owned(), 0, &store.add(FIRST).await?));
        }
        Ok(Self(keys.into()))
    }

    /// Adds a key that signs from this second on and destroys those that are gone at `now`. If there is
    /// one of that second already, that one stays.
    pub async fn rotate(store: &dyn KeyStore, signs_from: u64, now: u64) -> Result<Self, SealError> {
        // The first key would otherwise be made later, beside the one added here.
        Self::load(store).await?;
        store.add(&format!("{FIRST}{SEPARATOR}{signs_from:012}")).await?;
        let keys = Self::load(store).await?;
        for (key, standing) in keys.standings(now) {
            if standing == Standing::Gone {
                store.remove(&key.name).await?;
            }
        }
        Self::load(store).await
    }

    /// Destroys the key of this id, if it does not sign at `now`; answers whether there was one.
    pub async fn revoke(store: &dyn KeyStore, id: &str, now: u64) -> Result<bool, RevokeError> {
        let keys = Self::load(store).await?;
        match keys.standings(now).find(|(key, _)| key.id == id) {
            None => Ok(false),
            Some((_, Standing::Signing)) => Err(RevokeError::Signing),
            Some((key, _)) => Ok(store.remove(&key.name).await?),
        }
    }

    pub fn signing(&self, now: u64) -> &TokenKey {
        &self.0[self.signing_index(now)]
    }

    /// The key that a token names, if tokens of it may be valid. One without a name was signed by the
    /// first key.
    pub fn find(&self, id: Option<&str>, now: u64) -> Option<&TokenKey> {
        let is_named = |key: &TokenKey| match id {
            Some(id) => key.id == id || key.former_id.as_deref() == Some(id),
            None => key.signs_from == 0,
        };
        let (key, standing) = self.standings(now).find(|(key, _)| is_named(key))?;
        (standing != Standing::Gone).then_some(key)
    }

    /// Each key with what it is for, in the order in which they sign.
    pub fn standings(&self, now: u64) -> impl Iterator<Item = (&TokenKey, Standing)> {
        let signing = self.signing_index(now);
        self.0.iter().enumerate().map(move |(n, key)| {
            let standing = match self.0.get(n + 1) {
                _ if n > signing => Standing::Announced,
                Some(next) if n < signing => {
                    let until = next.signs_from.saturating_add((LIFETIME + GRACE).as_secs());
                    if until > now { Standing::Accepted { until } } else { Standing::Gone }
                }
                _ => Standing::Signing,
            };
            (key, standing)
        })
    }

    /// What is published (RFC 7517): the public halves of all keys but those that are gone.
    pub fn published(&self, now: u64) -> JwkSet {
        let keys = self.standings(now).filter(|(_, standing)| *standing != Standing::Gone);
        JwkSet { keys: keys.map(|(key, _)| key.jwk.clone()).collect() }
    }

    fn signing_index(&self, now: u64) -> usize {
        self.0.iter().rposition(|key| key.signs_from <= now).unwrap_or(0)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    #[error("this key signs now: add one that signs at once first")]
    Signing,
    #[error(transparent)]
    Store(#[from] SealError),
}

async fn read(store: &dyn KeyStore) -> Result<Vec<TokenKey>, SealError> {
    let mut keys: Vec<TokenKey> = store
        .list(FIRST)
        .await?
        .into_iter()
        .filter_map(|(name, seed)| {
            let signs_from = signs_from(&name)?;
            Some(TokenKey::new(name, signs_from, &seed))
        })
        .collect();
    keys.sort_by_key(|key| key.signs_from);
    Ok(keys)
}

/// `None` for a key that is none of tokens.
fn signs_from(name: &str) -> Option<u64> {
    match name.strip_prefix(FIRST)? {
        "" => Some(0),
        rest => rest.strip_prefix(SEPARATOR)?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn keys(times: &[u64]) -> KeySet {
        let key = |(n, &time): (usize, &u64)| TokenKey::new(format!("{n}"), time, &[n as u8 + 1; 32]);
        KeySet(times.iter().enumerate().map(key).collect())
    }

    fn standings(keys: &KeySet, now: u64) -> Vec<Standing> {
        keys.standings(now).map(|(_, standing)| standing).collect()
    }

    #[test]
    fn a_key_is_announced_then_signs_then_is_accepted_then_gone() {
        let keys = keys(&[0, NOW]);
        let until = NOW + 15 * 60 + 10 * 60;
        assert_eq!(standings(&keys, NOW - 1), [Standing::Signing, Standing::Announced]);
        assert_eq!(standings(&keys, NOW), [Standing::Accepted { until }, Standing::Signing]);
        assert_eq!(standings(&keys, until - 1), [Standing::Accepted { until }, Standing::Signing]);
        assert_eq!(standings(&keys, until), [Standing::Gone, Standing::Signing]);
        assert_eq!(keys.signing(NOW - 1).signs_from, 0);
        assert_eq!(keys.signing(NOW).signs_from, NOW);
    }

    #[test]
    fn what_is_published_is_what_may_be_used() {
        let keys = keys(&[0, NOW, NOW + 3_600]);
        let first = keys.signing(0);
        for (now, published) in [(NOW - 1, 3), (NOW, 3), (NOW + 1_500, 2), (NOW + 3_600, 2), (NOW + 9_999, 1)]
        {
            let set = keys.published(now);
            assert_eq!(set.keys.len(), published, "{now}");
            for key in keys.0.iter() {
                assert_eq!(set.find(&key.id).is_some(), keys.find(Some(&key.id), now).is_some());
            }
        }
        for id in [None, Some(first.id.as_str()), first.former_id.as_deref()] {
            assert_eq!(keys.find(id, NOW).map(|key| key.signs_from), Some(0));
            assert!(keys.find(id, NOW + 9_999).is_none());
        }
        assert!(keys.find(Some(""), NOW).is_none());
    }

    /// The example of RFC 8037, appendix A.
    #[test]
    fn the_public_key_is_published_as_the_rfc_says() {
        let seed = [
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
            0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
        ];
        let set = serde_json::to_value(KeySet::of(&seed).published(NOW)).unwrap();
        let expected = serde_json::json!({"keys": [{
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
        }]});
        assert_eq!(set, expected);
    }

    #[test]
    fn names_say_since_when() {
        assert_eq!(signs_from("access_tokens"), Some(0));
        assert_eq!(signs_from("access_tokens/001800000000"), Some(NOW));
        for other in ["id", "access_tokens_of_others", "access_tokens/", "access_tokens/soon"] {
            assert_eq!(signs_from(other), None, "{other}");
        }
    }
}
