//! Configuration: built-in values, then a TOML file, then the environment (`ROOMLOG_LISTEN=…`).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use roomlog_eventlog::PartitionCounts;
use roomlog_eventlog::kafka::KafkaConfig;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where HTTP and WebSocket are served.
    pub listen: SocketAddr,
    /// Folder of everything that is stored on this machine.
    pub data: PathBuf,
    /// `sqlite`, `kafka` (with `kafka_brokers`) or `kafka://host:port,host:port`.
    pub log: String,
    pub kafka_brokers: String,
    /// Put before the topics' names.
    pub kafka_topic_prefix: String,
    pub kafka_replication: i16,
    pub kafka_min_isr: i16,
    /// For development: allows fewer replicas than the platform's promises need.
    pub kafka_allow_weak: bool,
    /// Partitions of a new log. A log that exists keeps its own.
    pub partitions_accounts: Option<u32>,
    pub partitions_rooms: Option<u32>,
    /// Origins that browsers may connect from, separated by commas; the own host is always allowed.
    pub origins: String,
    /// `text` or `json`.
    pub log_format: String,
    /// As in `RUST_LOG`.
    pub log_level: String,
    /// Files of secrets; by default in the data folder.
    pub master_key_file: Option<PathBuf>,
    pub administrator_token_file: Option<PathBuf>,
    /// Megabytes of keys kept in memory.
    pub key_cache_mb: usize,
    pub max_connections: usize,
    /// Where spans are sent by OTLP/gRPC, for example `http://127.0.0.1:4317`; empty: nowhere.
    pub otlp_endpoint: String,
    /// Of the traces that begin here, the part that is sampled, from 0 to 1.
    pub otlp_sample_ratio: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            data: "data".into(),
            log: "sqlite".into(),
            kafka_brokers: "127.0.0.1:9092".into(),
            kafka_topic_prefix: String::new(),
            kafka_replication: 3,
            kafka_min_isr: 2,
            kafka_allow_weak: false,
            partitions_accounts: None,
            partitions_rooms: None,
            origins: String::new(),
            log_format: "text".into(),
            log_level: "info".into(),
            master_key_file: None,
            administrator_token_file: None,
            key_cache_mb: 32,
            max_connections: 20_000,
            otlp_endpoint: String::new(),
            otlp_sample_ratio: 0.01,
        }
    }
}

/// Which log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogKind {
    Sqlite,
    Kafka { brokers: String },
}

impl Config {
    pub fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        let mut figment = Figment::from(Serialized::defaults(Config::default()));
        match file {
            Some(file) if !file.exists() => bail!("there is no configuration file {}", file.display()),
            Some(file) => figment = figment.merge(Toml::file(file)),
            None => figment = figment.merge(Toml::file("roomlog.toml")),
        }
        let keys = Self::keys();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let config: Config = figment
            .merge(Env::prefixed("ROOMLOG_").only(&keys))
            .extract()
            .context("the configuration is not valid")?;
        config.log_kind()?;
        Ok(config)
    }

    /// The names of all settings.
    fn keys() -> Vec<String> {
        let defaults = serde_json::to_value(Config::default()).unwrap_or_default();
        defaults.as_object().map(|fields| fields.keys().cloned().collect()).unwrap_or_default()
    }

    pub fn log_kind(&self) -> anyhow::Result<LogKind> {
        match self.log.as_str() {
            "sqlite" => Ok(LogKind::Sqlite),
            "kafka" => Ok(LogKind::Kafka { brokers: self.kafka_brokers.clone() }),
            other => match other.strip_prefix("kafka://") {
                Some(brokers) if !brokers.is_empty() => Ok(LogKind::Kafka { brokers: brokers.to_owned() }),
                _ => bail!("ROOMLOG_LOG is `sqlite`, `kafka` or `kafka://host:port`, not `{other}`"),
            },
        }
    }

    /// For a log that does not exist yet.
    pub fn partitions(&self, kind: &LogKind) -> PartitionCounts {
        let (accounts, rooms) = match kind {
            LogKind::Sqlite => (1, 4),
            LogKind::Kafka { .. } => (4, 16),
        };
        PartitionCounts {
            accounts: self.partitions_accounts.unwrap_or(accounts),
            rooms: self.partitions_rooms.unwrap_or(rooms),
        }
    }

    pub fn kafka(&self, brokers: String, counts: PartitionCounts) -> KafkaConfig {
        KafkaConfig {
            topic_prefix: self.kafka_topic_prefix.clone(),
            replication: self.kafka_replication,
            min_isr: self.kafka_min_isr,
            allow_weak: self.kafka_allow_weak,
            ..KafkaConfig::new(brokers, counts)
        }
    }

    pub fn telemetry(&self) -> roomlog_telemetry::Options {
        roomlog_telemetry::Options {
            otlp_endpoint: self.otlp_endpoint.clone(),
            otlp_sample_ratio: self.otlp_sample_ratio,
        }
    }

    pub fn origins(&self) -> Vec<String> {
        self.origins
            .split(',')
            .map(str::trim)
            .filter(|origin| !origin.is_empty())
            .map(str::to_owned)
            .collect()
    }

    pub fn master_key_file(&self) -> PathBuf {
        self.master_key_file.clone().unwrap_or_else(|| self.data.join("master.key"))
    }

    pub fn administrator_token_file(&self) -> PathBuf {
        self.administrator_token_file.clone().unwrap_or_else(|| self.data.join("administrator.token"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_named_by_a_word_or_an_address() {
        let config = |log: &str| Config { log: log.into(), ..Config::default() }.log_kind();
        assert_eq!(config("sqlite").unwrap(), LogKind::Sqlite);
        assert_eq!(config("kafka").unwrap(), LogKind::Kafka { brokers: "127.0.0.1:9092".into() });
        assert_eq!(config("kafka://a:1,b:2").unwrap(), LogKind::Kafka { brokers: "a:1,b:2".into() });
        assert!(config("kafka://").is_err());
        assert!(config("postgres").is_err());
    }

    #[test]
    fn unknown_settings_in_a_file_are_refused() {
        let folder = std::env::temp_dir().join(format!("roomlog-config-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("roomlog.toml");
        std::fs::write(&file, "listen = \"127.0.0.1:9000\"\nlissten = 1\n").unwrap();
        assert!(Config::load(Some(&file)).is_err());
        std::fs::write(&file, "listen = \"127.0.0.1:9000\"\n").unwrap();
        assert_eq!(Config::load(Some(&file)).unwrap().listen.port(), 9000);
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(Config::load(Some(&file)).is_err(), "a file that was named has to be there");
    }
}
