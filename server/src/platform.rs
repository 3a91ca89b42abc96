//! What every role needs, opened from the configuration: the log, the stores, the keys.

use std::sync::Arc;

use anyhow::Context;
use roomlog_eventlog::kafka::KafkaLog;
use roomlog_eventlog::sqlite::SqliteLog;
use roomlog_eventlog::{EventLog, LogIdentity, ensure_identity};
use roomlog_schemas::IdKey;
use roomlog_stores::progress::Progress;
use roomlog_stores::sqlite::{SqliteDirectoryStore, SqliteRoomStore, SqliteSecretsStore};
use roomlog_stores::{DirectoryStore, MasterKey, RoomStore, Sealer, SecretsStore};
use roomlog_web::Auth;
use roomlog_web::token::Tokens;
use uuid::Uuid;

use crate::config::{Config, LogKind};
use crate::files;

pub struct Platform {
    pub log: Arc<dyn EventLog>,
    pub identity: LogIdentity,
    pub rooms: Arc<dyn RoomStore>,
    pub directory: Arc<dyn DirectoryStore>,
    pub secrets: Arc<dyn SecretsStore>,
    pub sealer: Sealer,
    pub progress: Arc<Progress>,
    pub id_key: IdKey,
    pub auth: Auth,
    /// Where everything is, for people.
    pub places: Vec<(&'static str, String)>,
}

impl Platform {
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let data = &config.data;
        std::fs::create_dir_all(data)
            .with_context(|| format!("cannot make the data folder {}", data.display()))?;
        let kind = config.log_kind()?;
        let counts = config.partitions(&kind);
        let (log, place): (Arc<dyn EventLog>, String) = match kind {
            LogKind::Sqlite => {
                let path = data.join("log.db");
                let place = path.display().to_string();
                let log = tokio::task::spawn_blocking(move || SqliteLog::open(&path, counts)).await??;
                (Arc::new(log), place)
            }
            LogKind::Kafka { brokers } => {
                let place = format!("Kafka at {brokers}");
                let kafka = config.kafka(brokers, counts);
                let log = tokio::task::spawn_blocking(|| KafkaLog::open(kafka)).await??;
                (Arc::new(log), place)
            }
        };
        let identity = ensure_identity(&log, Uuid::new_v4()).await?;
        files::bind_to_log(data, identity.log_id)?;
        anyhow::ensure!(
            identity.partitions == log.partitions(),
            "the log says it has {:?}, its backend has {:?}",
            identity.partitions,
            log.partitions()
        );

        let projections = data.join("projections");
        std::fs::create_dir_all(&projections)?;
        let rooms: Arc<dyn RoomStore> = Arc::new(SqliteRoomStore::open(&projections).await?);
        let directory: Arc<dyn DirectoryStore> = Arc::new(SqliteDirectoryStore::open(&projections).await?);
        let secrets_path = data.join("secrets.db");
        let secrets: Arc<dyn SecretsStore> = Arc::new(SqliteSecretsStore::open(data).await?);
        let master = MasterKey::load_or_create(&config.master_key_file())?;
        let sealer = Sealer::new(secrets.clone(), master, config.key_cache_mb * 1024 * 1024);
        let id_key = IdKey::new(sealer.platform_key("id").await?);
        let tokens = Tokens::new(&sealer.platform_key("access_tokens").await?);
        let administrator = files::administrator_token(&config.administrator_token_file())?;
        let places = vec![
            ("event log", place),
            ("history and directory", format!("{} (can be rebuilt from the log)", projections.display())),
            ("passwords and keys", format!("{} (back it up)", secrets_path.display())),
            ("master key", format!("{} (keep it safe and apart)", config.master_key_file().display())),
            ("administrator's token", config.administrator_token_file().display().to_string()),
        ];
        Ok(Self {
            log,
            identity,
            rooms,
            directory,
            secrets,
            sealer,
            progress: Arc::new(Progress::default()),
            id_key,
            auth: Auth::new(tokens, &administrator),
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
