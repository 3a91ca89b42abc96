//! Signs where partitions stand and keeps it outside the log.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Mutex;

use crate::archive::{Archive, ArchiveError, Kept};
use crate::checkpoint::{Checkpoint, Stand};
use crate::form::Time;
use crate::keeper::{Keeper, KeeperError, Keys};

/// Another process may have added a key: they are read anew after so long. Well within the grace that an
/// old key has.
const KEYS_AGE: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    #[error("the audit keys cannot be read")]
    Keys(#[from] KeeperError),
    #[error("the archive of checkpoints cannot be used")]
    Archive(#[from] ArchiveError),
}

/// A handle, cheap to clone.
#[derive(Clone)]
pub struct Signer(Arc<Inner>);

struct Inner {
    keeper: Keeper,
    archive: Archive,
    keys: Mutex<Option<Known>>,
}

struct Known {
    keys: Arc<Keys>,
    read_at: Instant,
}

impl Signer {
    pub fn new(keeper: Keeper, archive: Archive) -> Self {
        Self(Arc::new(Inner { keeper, archive, keys: Mutex::new(None) }))
    }

    /// Reads the keys, makes the first one where they are in the store and there is none, and publishes them.
    pub async fn prepare(&self) -> Result<(), SignerError> {
        self.keys().await.map(drop)
    }

    /// Signs it now and keeps it. What is said has to be true for ever: of records read back as accepted.
    pub async fn keep(&self, stand: Stand) -> Result<Kept, SignerError> {
        let keys = self.keys().await?;
        // A clock that went back must not date it before its key was made.
        let time = now().max(keys.chain.last().time);
        let checkpoint = Checkpoint::sign(stand, time, &keys.signing);
        Ok(self.0.archive.keep(&checkpoint).await?)
    }

    async fn keys(&self) -> Result<Arc<Keys>, SignerError> {
        let mut known = self.0.keys.lock().await;
        if let Some(known) = known.as_ref().filter(|known| known.read_at.elapsed() < KEYS_AGE) {
            return Ok(known.keys.clone());
        }
        let keys = match (self.0.keeper.load(now()).await, known.as_ref()) {
            (Ok(keys), _) => Arc::new(keys),
            (Err(error), Some(known)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the audit keys could not be read anew: those in memory stay in use"
                );
                known.keys.clone()
            }
            (Err(error), None) => return Err(error.into()),
        };
        // First the key, then what it signs.
        if known.as_ref().is_none_or(|known| known.keys.chain != keys.chain) {
            self.0.archive.publish(&keys.chain).await?;
        }
        *known = Some(Known { keys: keys.clone(), read_at: Instant::now() });
        Ok(keys)
    }
}

pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
