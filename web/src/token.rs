//! Access tokens: JWTs signed with Ed25519 (EdDSA, RFC 8037), valid for 15 minutes.

pub mod keys;
mod verified;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, encode};
use roomlog_schemas::{AccountId, SessionId};
use roomlog_stores::SealError;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::Instant;

use self::keys::{KeySet, KeyStore};
use self::verified::Verified;

pub const LIFETIME: Duration = Duration::from_secs(15 * 60);
const ISSUER: &str = "roomlog";
/// How often a process reads the keys anew. A key is announced for longer before it signs.
pub const REFRESH_EVERY: Duration = Duration::from_secs(60);
/// Tokens with unknown keys make a process read the keys at most this often.
const REFRESH_PAUSE: Duration = Duration::from_secs(10);

/// What a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The account.
    pub sub: AccountId,
    /// The session that it was issued for.
    pub sid: SessionId,
    /// Seconds since 1970.
    pub iat: u64,
    /// Seconds since 1970.
    pub exp: u64,
}

/// As it is signed.
#[derive(Serialize)]
struct Signed {
    iss: &'static str,
    #[serde(flatten)]
    claims: Claims,
}

#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("the access token has expired")]
    Expired,
    /// Garbage, an old token, or one of a key that this process has not read yet.
    #[error("the access token is signed with a key that is not known")]
    UnknownKey,
    #[error("the access token is not valid")]
    Invalid(#[source] jsonwebtoken::errors::Error),
}

/// Signs and verifies; cheap to clone, and all clones have the same keys.
#[derive(Clone)]
pub struct Tokens(Arc<Inner>);

struct Inner {
    keys: RwLock<KeySet>,
    verified: Verified,
    store: Option<Store>,
    validation: Validation,
}

struct Store {
    keys: Arc<dyn KeyStore>,
    /// When the keys were last read again, successfully or not.
    asked: Mutex<Option<Instant>>,
    /// See [`REFRESH_PAUSE`].
    pause: Duration,
}

impl Tokens {
    /// With one key that stays: an Ed25519 seed.
    pub fn new(seed: &[u8; 32]) -> Self {
        Self::with(KeySet::of(seed), None)
    }

    /// With the keys of a store, read again every minute as long as a clone of the result exists.
    pub async fn load(store: Arc<dyn KeyStore>) -> Result<Self, SealError> {
        Self::load_with(store, REFRESH_EVERY, REFRESH_PAUSE).await
    }

    async fn load_with(
        store: Arc<dyn KeyStore>,
        every: Duration,
        pause: Duration,
    ) -> Result<Self, SealError> {
        let keys = KeySet::load(&*store).await?;
        let this = Self::with(keys, Some(Store { keys: store, asked: Mutex::default(), pause }));
        let inner = Arc::downgrade(&this.0);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                let Some(inner) = inner.upgrade() else { break };
                Self(inner).refresh().await;
            }
        });
        Ok(this)
    }

    fn with(keys: KeySet, store: Option<Store>) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        validation.leeway = 0;
        // `exp` is the first second in which the token is no longer valid.
        validation.reject_tokens_expiring_in_less_than = 1;
        Self(Arc::new(Inner { keys: RwLock::new(keys), verified: Verified::default(), store, validation }))
    }

    pub fn issue(&self, account: AccountId, session: SessionId, lifetime: Duration) -> String {
        let iat = unix_seconds();
        let claims = Claims { sub: account, sid: session, iat, exp: iat + lifetime.as_secs() };
        let keys = self.keys();
        let key = keys.signing(iat);
        let header = Header { kid: Some(key.id.clone()), ..Header::new(Algorithm::EdDSA) };
        encode(&header, &Signed { iss: ISSUER, claims }, &key.encoding)
            .expect("an Ed25519 key signs anything")
    }

    /// With the keys that are in memory. A token that was verified with them is only looked up.
    pub fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        if let Some(claims) = self.0.verified.find(token) {
            return if claims.exp > unix_seconds() { Ok(claims) } else { Err(TokenError::Expired) };
        }
        let keys_read = self.0.verified.keys_read();
        let claims = self.verify_signature(token)?;
        self.0.verified.add(token, claims, keys_read);
        Ok(claims)
    }

    fn verify_signature(&self, token: &str) -> Result<Claims, TokenError> {
        let id = decode_header(token).map_err(TokenError::Invalid)?.kid;
        let keys = self.keys();
        let key = keys.find(id.as_deref(), unix_seconds()).ok_or(TokenError::UnknownKey)?;
        decode::<Claims>(token, &key.decoding, &self.0.validation).map(|data| data.claims).map_err(|error| {
            match error.kind() {
                ErrorKind::ExpiredSignature => TokenError::Expired,
                _ => TokenError::Invalid(error),
            }
        })
    }

    /// As [`verify`](Self::verify); at an unknown key reads the keys anew, if that was not done a moment
    /// ago.
    pub async fn verify_anew(&self, token: &str) -> Result<Claims, TokenError> {
        match self.verify(token) {
            Err(TokenError::UnknownKey) if self.refresh_for_unknown().await => self.verify(token),
            verified => verified,
        }
    }

    /// The public halves of the keys.
    pub fn published(&self) -> JwkSet {
        self.keys().published(unix_seconds())
    }

    /// Reads the keys anew; keeps those in memory where that fails.
    pub async fn refresh(&self) {
        let Some(store) = &self.0.store else { return };
        let mut asked = store.asked.lock().await;
        self.read(store).await;
        *asked = Some(Instant::now());
    }

    /// Whether the keys in memory may be others than before the call. All who ask at the same time wait
    /// for one read.
    async fn refresh_for_unknown(&self) -> bool {
        let Some(store) = &self.0.store else { return false };
        let arrived = Instant::now();
        let mut asked = store.asked.lock().await;
        match *asked {
            Some(at) if at >= arrived => return true,
            Some(at) if at.elapsed() < store.pause => return false,
            _ => {}
        }
        self.read(store).await;
        *asked = Some(Instant::now());
        true
    }

    async fn read(&self, store: &Store) {
        match KeySet::load(&*store.keys).await {
            Ok(keys) => {
                *self.0.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
                // One of a key that has been destroyed must not outlive it.
                self.0.verified.clear();
            }
            Err(error) => {
                metrics::counter!("roomlog_token_key_refresh_failures_total").increment(1);
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the keys of access tokens could not be read"
                );
            }
        }
    }

    fn keys(&self) -> KeySet {
        self.0.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// As tokens count time.
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
