//! Where the secret audit key is: in the secrets store, or in a file of the operator's.
//!
//! Only the newest key's secret half is kept. Whoever gets hold of it cannot sign for the time before it was
//! made: [`KeyChain::judge`](crate::KeyChain::judge) sees to that.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use roomlog_stores::{SealError, Sealer, SecretsStore, StoreError};
use serde::{Deserialize, Serialize};

use crate::form::{Hex, PublicKey, Time};
use crate::keys::{AuditKey, KeyChain, KeyChainError};

/// Names in the secrets store. A statement there is public, and the first one stored wins, as with every
/// platform key: so the chain only ever grows, whoever adds to it at the same time.
const STATEMENTS: &str = "audit/statements/";
const SEEDS: &str = "audit/seeds/";
/// Others than the file's owner may use it.
const TOO_OPEN: u32 = 0o077;

/// The chain of keys, and the secret half of the last one.
pub struct Keys {
    pub chain: KeyChain,
    pub signing: SigningKey,
}

/// A handle, cheap to clone.
#[derive(Clone)]
pub enum Keeper {
    Store { sealer: Sealer, secrets: Arc<dyn SecretsStore> },
    File(PathBuf),
}

#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the audit keys are damaged")]
    Chain(#[from] KeyChainError),
    #[error("an audit key is damaged")]
    Json(#[from] serde_json::Error),
    #[error("the secret half of audit key {0} is not there")]
    NoSecret(u32),
    #[error("another rotation was under way: try again")]
    Raced,
    #[error("no random numbers: {0}")]
    Random(getrandom::Error),
    #[error("there is no audit key in {}: make one with `roomlog keys audit rotate`", .0.display())]
    NoFile(PathBuf),
    #[error("the file of the audit key {} has permissions {mode:03o}: others than its owner may use it", path.display())]
    TooOpen { path: PathBuf, mode: u32 },
    #[error("the file of the audit key {} cannot be used", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// What the operator's file holds.
#[derive(Serialize, Deserialize)]
struct KeyFile {
    keys: Vec<AuditKey>,
    /// Of the last one.
    seed: Hex<32>,
}

impl Keeper {
    /// The keys. Where they are in the store, the first one is made at `now` if there is none; a file is made
    /// by [`rotate`](Self::rotate) alone, for several processes would each make their own.
    pub async fn load(&self, now: Time) -> Result<Keys, KeeperError> {
        match self {
            Self::File(path) => match read_file(path)? {
                Some(keys) => Ok(keys),
                None => Err(KeeperError::NoFile(path.clone())),
            },
            Self::Store { sealer, secrets } => match stored(sealer, secrets).await? {
                Some(keys) => Ok(keys),
                None => add(sealer, secrets, None, now).await,
            },
        }
    }

    /// Adds a key, signed by the one before, and destroys the secret half of that one.
    pub async fn rotate(&self, now: Time) -> Result<Keys, KeeperError> {
        match self {
            Self::File(path) => {
                let before = read_file(path)?;
                let keys = next(before, fresh()?, now)?;
                write_file(path, &keys).map_err(|source| KeeperError::File { path: path.clone(), source })?;
                Ok(keys)
            }
            Self::Store { sealer, secrets } => {
                let before = self.load(now).await?;
                let retired = before.chain.last().number;
                let keys = add(sealer, secrets, Some(before), now).await?;
                sealer.remove_platform_key(&name(SEEDS, retired)).await?;
                Ok(keys)
            }
        }
    }
}

fn fresh() -> Result<SigningKey, KeeperError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(KeeperError::Random)?;
    Ok(SigningKey::from_bytes(&seed))
}

fn name(prefix: &str, number: u32) -> String {
    format!("{prefix}{number:06}")
}

/// The chain with one more key.
fn next(before: Option<Keys>, signing: SigningKey, now: Time) -> Result<Keys, KeeperError> {
    let mut keys = before.as_ref().map(|before| before.chain.keys().to_vec()).unwrap_or_default();
    keys.push(match &before {
        None => AuditKey::first(&signing, now),
        Some(before) => before.chain.last().successor(&signing, &before.signing, now),
    });
    Ok(Keys { chain: KeyChain::verified(keys, None)?, signing })
}

/// `None` if there are none yet.
async fn stored(sealer: &Sealer, secrets: &Arc<dyn SecretsStore>) -> Result<Option<Keys>, KeeperError> {
    // A rotation between the two questions takes the seed of the chain that was read: look once more.
    for _ in 0..3 {
        let statements = secrets.platform_keys(STATEMENTS).await?;
        if statements.is_empty() {
            return Ok(None);
        }
        let keys: Result<Vec<AuditKey>, _> =
            statements.iter().map(|(_, statement)| serde_json::from_slice(statement)).collect();
        let chain = KeyChain::verified(keys?, None)?;
        let wanted = name(SEEDS, chain.last().number);
        let seeds = sealer.platform_keys(SEEDS).await?;
        if let Some((_, seed)) = seeds.iter().find(|(name, _)| *name == wanted) {
            let signing = SigningKey::from_bytes(seed);
            if PublicKey::of(&signing) == chain.last().key {
                return Ok(Some(Keys { chain, signing }));
            }
        }
    }
    let statements = secrets.platform_keys(STATEMENTS).await?;
    Err(KeeperError::NoSecret(u32::try_from(statements.len()).unwrap_or(u32::MAX)))
}

/// Of several that add the same key at the same time all get the one that was stored first.
async fn add(
    sealer: &Sealer,
    secrets: &Arc<dyn SecretsStore>,
    before: Option<Keys>,
    now: Time,
) -> Result<Keys, KeeperError> {
    let number = before.as_ref().map_or(1, |before| before.chain.last().number + 1);
    let seed_name = name(SEEDS, number);
    let signing = SigningKey::from_bytes(&sealer.platform_key(&seed_name).await?);
    let mut keys = next(before, signing, now)?;
    let candidate = serde_json::to_vec(keys.chain.last())?;
    let stored = secrets.platform_key(&name(STATEMENTS, number), &candidate).await?;
    let mut chain = keys.chain.keys().to_vec();
    chain.pop();
    chain.push(serde_json::from_slice(&stored)?);
    keys.chain = KeyChain::verified(chain, None)?;
    if keys.chain.last().key != PublicKey::of(&keys.signing) {
        // The key of this number has been replaced in the meantime, and what was made here is nobody's.
        sealer.remove_platform_key(&seed_name).await?;
        return Err(KeeperError::Raced);
    }
    Ok(keys)
}

/// `None` if there is no file.
fn read_file(path: &Path) -> Result<Option<Keys>, KeeperError> {
    let failed = |source| KeeperError::File { path: path.to_owned(), source };
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(failed)?,
    };
    let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
    if mode & TOO_OPEN != 0 {
        return Err(KeeperError::TooOpen { path: path.to_owned(), mode });
    }
    let KeyFile { keys, seed } = serde_json::from_slice(&bytes)?;
    let chain = KeyChain::verified(keys, None)?;
    let signing = SigningKey::from_bytes(&seed.0);
    if PublicKey::of(&signing) != chain.last().key {
        return Err(KeeperError::NoSecret(chain.last().number));
    }
    Ok(Some(Keys { chain, signing }))
}

/// Whole or not at all, even if the machine stops here.
fn write_file(path: &Path, keys: &Keys) -> std::io::Result<()> {
    let file = KeyFile { keys: keys.chain.keys().to_vec(), seed: Hex(keys.signing.to_bytes()) };
    let new = path.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    let mut written = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    written.write_all(&serde_json::to_vec_pretty(&file)?)?;
    written.write_all(b"\n")?;
    written.sync_all()?;
    std::fs::rename(&new, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use roomlog_stores::MasterKey;
    use roomlog_stores::sqlite::SqliteSecretsStore;

    use super::*;

    const NOW: i64 = 1_796_083_200_000;

    async fn store(folder: &Path) -> Keeper {
        let secrets: Arc<dyn SecretsStore> = Arc::new(SqliteSecretsStore::open(folder).await.unwrap());
        let master = MasterKey::load_or_create(&folder.join("master.key")).unwrap();
        Keeper::Store { sealer: Sealer::new(secrets.clone(), master, 0), secrets }
    }

    async fn rotates(keeper: &Keeper) {
        let first = keeper.load(Time::from_ms(NOW)).await.unwrap();
        assert_eq!(keeper.load(Time::from_ms(NOW + 1)).await.unwrap().chain, first.chain, "made once");
        let second = keeper.rotate(Time::from_ms(NOW + 2)).await.unwrap();
        assert_eq!(second.chain.keys()[..1], first.chain.keys()[..]);
        assert_eq!(second.chain.last().number, 2);
        assert_ne!(second.signing.to_bytes(), first.signing.to_bytes());
        let loaded = keeper.load(Time::from_ms(NOW + 3)).await.unwrap();
        assert_eq!((loaded.chain, loaded.signing), (second.chain, second.signing));
    }

    #[tokio::test]
    async fn keys_in_the_store_are_a_chain_and_only_the_last_secret_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let keeper = store(folder.path()).await;
        rotates(&keeper).await;
        let Keeper::Store { sealer, .. } = &keeper else { unreachable!("made so") };
        let seeds = sealer.platform_keys(SEEDS).await.unwrap();
        assert_eq!(seeds.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["audit/seeds/000002"]);
    }

    #[tokio::test]
    async fn keys_in_a_file_are_a_chain_and_the_file_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.json");
        let keeper = Keeper::File(path.clone());
        assert!(matches!(keeper.load(Time::from_ms(NOW)).await, Err(KeeperError::NoFile(_))));
        keeper.rotate(Time::from_ms(NOW)).await.unwrap();
        rotates(&keeper).await;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        assert!(matches!(keeper.load(Time::from_ms(NOW)).await, Err(KeeperError::TooOpen { .. })));
    }

    #[tokio::test]
    async fn processes_that_start_or_rotate_at_the_same_time_agree() {
        let folder = tempfile::tempdir().unwrap();
        let keeper = store(folder.path()).await;
        let all =
            |call: fn(Keeper, i64) -> futures::future::BoxFuture<'static, Result<Keys, KeeperError>>| {
                let keeper = &keeper;
                futures::future::join_all((0..8).map(move |n| call(keeper.clone(), n)))
            };
        let made = all(|keeper, n| Box::pin(async move { keeper.load(Time::from_ms(NOW + n)).await })).await;
        let first = keeper.load(Time::from_ms(NOW)).await.unwrap();
        for keys in made {
            let keys = keys.unwrap();
            assert_eq!((keys.chain, keys.signing), (first.chain.clone(), first.signing.clone()));
        }
        let rotated =
            all(|keeper, n| Box::pin(async move { keeper.rotate(Time::from_ms(NOW + n)).await })).await;
        let last = keeper.load(Time::from_ms(NOW)).await.unwrap().chain;
        assert_eq!(last.first(), first.chain.first());
        for keys in rotated {
            match keys {
                Ok(keys) => assert!(last.keys().starts_with(keys.chain.keys())),
                Err(error) => {
                    assert!(matches!(error, KeeperError::Raced | KeeperError::NoSecret(_)), "{error}")
                }
            }
        }
    }
}
