//! What every role needs, opened from the configuration: the log, the stores, the keys.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use roomlog_eventlog::broadcast::BroadcastTopic;
use roomlog_eventlog::kafka::{KafkaBroadcast, KafkaConfig, KafkaLog};
use roomlog_eventlog::sqlite::SqliteLog;
use roomlog_eventlog::{Broadcast, EventLog, LogError, LogIdentity, ensure_identity};
use roomlog_members::Role;
use roomlog_schemas::IdKey;
use roomlog_stores::cql::CqlRoomStore;
use roomlog_stores::postgres::{PostgresDirectoryStore, PostgresQuarantineStore, PostgresSecretsStore};
use roomlog_stores::progress::Progress;
use roomlog_stores::quarantine::Quarantine;
use roomlog_stores::sqlite::{
    SqliteDirectoryStore, SqliteQuarantineStore, SqliteRoomStore, SqliteSecretsStore,
};
use roomlog_stores::{DirectoryStore, MasterKey, QuarantineStore, RoomStore, Sealer, SecretsStore};
use roomlog_web::limits::Limiter;
use roomlog_web::token::Tokens;
use roomlog_web::{Auth, EndedSessions};
use uuid::Uuid;

use crate::config::{Config, LogKind};
use crate::files;
use crate::patience::Patience;

/// A process that only projects writes in batches anyway: fetches of this length save the brokers most of
/// what they do for it, and bound what they add to the delay of queries.
const PROJECTORS_GATHER: Duration = Duration::from_millis(25);

/// The short-lived topics.
pub struct Broadcasts {
    pub members: Arc<dyn Broadcast>,
    pub signals: Arc<dyn Broadcast>,
}

pub struct Platform {
    pub log: Arc<dyn EventLog>,
    pub identity: LogIdentity,
    pub rooms: Arc<dyn RoomStore>,
    pub directory: Arc<dyn DirectoryStore>,
    pub secrets: Arc<dyn SecretsStore>,
    pub quarantine: Quarantine,
    pub sealer: Sealer,
    pub progress: Arc<Progress>,
    pub id_key: IdKey,
    pub auth: Auth,
    /// Between the processes of the platform; absent where there is only this one.
    pub broadcasts: Option<Broadcasts>,
    /// Where everything is, for people.
    pub places: Vec<(&'static str, String)>,
}

impl Platform {
    /// `patience` with log and stores that do not answer.
    pub async fn open(config: &Config, patience: Patience) -> anyhow::Result<Self> {
        let data = &config.data;
        std::fs::create_dir_all(data)
            .with_context(|| format!("cannot make the data folder {}", data.display()))?;
        let (log, broadcasts, log_place) = open_log(config, patience).await?;
        let identity = patience.open("the log", async || ensure_identity(&log, Uuid::new_v4()).await).await?;
        files::bind_to_log(data, identity.log_id)?;
        anyhow::ensure!(
            identity.partitions == log.partitions(),
            "the log says it has {:?}, its backend has {:?}",
            identity.partitions,
            log.partitions()
        );

        let mut places = vec![("event log", log_place)];
        let projections = data.join("projections");
        let sqlite_place = format!("{} (can be rebuilt from the log)", projections.display());
        let rooms: Arc<dyn RoomStore> = match config.stores.cql()? {
            Some(cql) => {
                places
                    .push(("history", format!("CQL, keyspace {} at {}", cql.keyspace, cql.nodes.join(", "))));
                let open = async || CqlRoomStore::open(cql.clone()).await;
                Arc::new(patience.open("the room store", open).await?)
            }
            None => {
                std::fs::create_dir_all(&projections)?;
                places.push(("history", sqlite_place.clone()));
                Arc::new(SqliteRoomStore::open(&projections).await?)
            }
        };
        type Sql = (Arc<dyn DirectoryStore>, Arc<dyn SecretsStore>, Arc<dyn QuarantineStore>);
        let (directory, secrets, quarantine): Sql = match config.stores.postgres()? {
            Some((directory, secrets)) => {
                places.push(("directory", format!("{directory:?}")));
                places.push(("passwords and keys", format!("{secrets:?} (back it up)")));
                let (of_directory, of_secrets, of_quarantine) = (
                    async || PostgresDirectoryStore::open(&directory).await,
                    async || PostgresSecretsStore::open(&secrets).await,
                    async || PostgresQuarantineStore::open(&directory).await,
                );
                (
                    Arc::new(patience.open("the directory", of_directory).await?),
                    Arc::new(patience.open("the secrets store", of_secrets).await?),
                    Arc::new(patience.open("the quarantine", of_quarantine).await?),
                )
            }
            None => {
                std::fs::create_dir_all(&projections)?;
                places.push(("directory", sqlite_place));
                let secrets = data.join("secrets.db");
                places.push(("passwords and keys", format!("{} (back it up)", secrets.display())));
                (
                    Arc::new(SqliteDirectoryStore::open(&projections).await?),
                    Arc::new(SqliteSecretsStore::open(data).await?),
                    Arc::new(SqliteQuarantineStore::open(&projections).await?),
                )
            }
        };
        let master_key_file = config.master_key_file();
        anyhow::ensure!(
            master_key_file.exists() || secrets.platform_keys("").await?.is_empty(),
            "there is no master key at {}, but the secrets store holds keys that one wraps: bring it back",
            master_key_file.display()
        );
        let master = MasterKey::load_or_create(&master_key_file)?;
        let sealer = Sealer::new(secrets.clone(), master, config.key_cache_mb * 1024 * 1024);
        let id_key = IdKey::new(sealer.platform_key("id").await?);
        let tokens = Tokens::load(Arc::new(sealer.clone())).await?;
        let ended = EndedSessions::load(secrets.clone()).await?;
        let limiter = Limiter::new(&config.limits).context("ROOMLOG_TRUSTED_PROXIES")?;
        let administrator = files::administrator_token(&config.administrator_token_file())?;
        places
            .push(("master key", format!("{} (keep it safe and apart)", config.master_key_file().display())));
        places.push(("administrator's token", config.administrator_token_file().display().to_string()));
        Ok(Self {
            log,
            identity,
            rooms,
            directory,
            secrets,
            quarantine: Quarantine::open(quarantine).await?,
            sealer,
            progress: Arc::new(Progress::default()),
            id_key,
            auth: Auth::new(tokens, &administrator).limited(limiter).refusing(ended),
            broadcasts,
            places,
        })
    }

    pub fn projection_stores(&self) -> roomlog_projectors::Stores {
        roomlog_projectors::Stores {
            rooms: self.rooms.clone(),
            directory: self.directory.clone(),
            sealer: self.sealer.clone(),
        }
    }
}

/// The log, the short-lived topics where processes share it, and its place for people.
async fn open_log(
    config: &Config,
    patience: Patience,
) -> anyhow::Result<(Arc<dyn EventLog>, Option<Broadcasts>, String)> {
    let kind = config.log.kind()?;
    let counts = config.log.partitions(&kind);
    match kind {
        LogKind::Sqlite => {
            let path = config.data.join("log.db");
            let place = path.display().to_string();
            let log = tokio::task::spawn_blocking(move || SqliteLog::open(&path, counts)).await??;
            Ok((Arc::new(log), None, place))
        }
        LogKind::Kafka { brokers } => {
            let place = format!("Kafka at {brokers}");
            let mut kafka = config.log.kafka(brokers, counts)?;
            if config.roles()? == [Role::Projectors] {
                kafka.gather = PROJECTORS_GATHER;
            }
            let is_shared = config.is_shared();
            let open = async || {
                let kafka = kafka.clone();
                let opened = tokio::task::spawn_blocking(move || open_kafka(kafka, is_shared));
                opened.await.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
            };
            let (log, broadcasts) = patience.open("the log", open).await?;
            Ok((Arc::new(log), broadcasts, place))
        }
    }
}

/// Blocks.
fn open_kafka(kafka: KafkaConfig, is_shared: bool) -> Result<(KafkaLog, Option<Broadcasts>), LogError> {
    let broadcast = |topic| KafkaBroadcast::open(&kafka, topic).map(Arc::new);
    let broadcasts = match is_shared {
        false => None,
        true => Some(Broadcasts {
            members: broadcast(BroadcastTopic::Members)?,
            signals: broadcast(BroadcastTopic::Signals)?,
        }),
    };
    Ok((KafkaLog::open(kafka)?, broadcasts))
}
