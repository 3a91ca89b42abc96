//! Configuration: built-in values, then a TOML file, then the environment (`ROOMLOG_LISTEN=…`).
//! Passwords and keys are read from files of their own, which the settings name.

mod internal;
mod log;
mod stores;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use figment::value::{Dict, Value};
use roomlog_members::Role;
use roomlog_stores::objects::Objects;
use roomlog_web::limits::Limits;
use serde::{Deserialize, Serialize};

use self::internal::InternalSettings;
pub use self::log::LogKind;
use self::log::LogSettings;
use self::stores::StoreSettings;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Config {
    /// What this process does: `command-api`, `projectors`, `query-api`, `ws-fanout`, separated by commas,
    /// or `all`.
    pub roles: String,
    /// Where HTTP and WebSocket are served.
    pub listen: SocketAddr,
    /// Folder of everything that is stored on this machine.
    pub data: PathBuf,
    /// Where snapshots and checkpoints are kept: a folder, or `s3://bucket/prefix`. Empty: `objects` in the data
    /// folder.
    pub objects: String,
    /// The owner of a partition makes a snapshot after each so many records; 0: never.
    pub snapshot_records: u64,
    /// Seconds after which the owner of a partition signs where it stands, if something was appended; 0: never.
    pub checkpoint_interval: u64,
    /// The audit key, where it is not in the secrets store.
    pub audit_key_file: Option<PathBuf>,
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
    /// Events of so many bytes and more go out compressed to sockets that take `permessage-deflate`; 0: none does.
    pub compress_from: usize,
    /// Where spans are sent by OTLP/gRPC, for example `http://127.0.0.1:4317`; empty: nowhere.
    pub otlp_endpoint: String,
    /// Of the traces that begin here, the part that is sampled, from 0 to 1.
    pub otlp_sample_ratio: f64,
    /// How often clients may ask.
    #[serde(flatten)]
    pub limits: Limits,
    #[serde(flatten)]
    pub log: LogSettings,
    #[serde(flatten)]
    pub stores: StoreSettings,
    #[serde(flatten)]
    pub internal: InternalSettings,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            roles: "all".into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            data: "data".into(),
            objects: String::new(),
            snapshot_records: 100_000,
            checkpoint_interval: 600,
            audit_key_file: None,
            origins: String::new(),
            log_format: "text".into(),
            log_level: "info".into(),
            master_key_file: None,
            administrator_token_file: None,
            key_cache_mb: 32,
            max_connections: 20_000,
            compress_from: 256,
            otlp_endpoint: String::new(),
            otlp_sample_ratio: 0.01,
            limits: Limits::default(),
            log: LogSettings::default(),
            stores: StoreSettings::default(),
            internal: InternalSettings::default(),
        }
    }
}

impl Config {
    pub fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        let mut figment = Figment::from(Serialized::defaults(Config::default()));
        match file {
            Some(file) if !file.exists() => bail!("there is no configuration file {}", file.display()),
            Some(file) => figment = figment.merge(Toml::file(file)),
            None => figment = figment.merge(Toml::file("roomlog.toml")),
        }
        let defaults = Self::defaults();
        let keys: Vec<&str> = defaults.keys().map(String::as_str).collect();
        for (key, default) in &defaults {
            let Ok(text) = std::env::var(format!("ROOMLOG_{}", key.to_uppercase())) else { continue };
            figment = match default {
                // Texts are taken as they are, also where they look like a number.
                serde_json::Value::String(_) => figment.merge((key.as_str(), text)),
                _ => {
                    let value: Value = text.parse().expect("every text is a value");
                    figment.merge((key.as_str(), value))
                }
            };
        }
        let given: Dict = figment.extract().context("the configuration is not valid")?;
        if let Some(unknown) = given.keys().find(|key| !keys.contains(&key.as_str())) {
            bail!("there is no setting `{unknown}`");
        }
        let config: Config = figment.extract().context("the configuration is not valid")?;
        config.check()?;
        Ok(config)
    }

    /// All settings by name.
    fn defaults() -> serde_json::Map<String, serde_json::Value> {
        match serde_json::to_value(Config::default()) {
            Ok(serde_json::Value::Object(fields)) => fields,
            _ => unreachable!("the settings are a struct with plain fields"),
        }
    }

    fn check(&self) -> anyhow::Result<()> {
        let roles = self.roles()?;
        self.stores.check()?;
        let has_kafka = self.log.kind()? != LogKind::Sqlite;
        if roles.len() < Role::ALL.len() && !(has_kafka && self.stores.are_shared()) {
            bail!(
                "a process with some of the roles shares log and stores with others: set ROOMLOG_LOG to Kafka, \
                 ROOMLOG_ROOM_STORE to `cql` and ROOMLOG_SQL_STORE to `postgres`"
            );
        }
        if self.stores.are_shared() && !has_kafka {
            bail!("ROOMLOG_ROOM_STORE `cql` and ROOMLOG_SQL_STORE `postgres` go with a log on Kafka");
        }
        Ok(())
    }

    pub fn roles(&self) -> anyhow::Result<Vec<Role>> {
        if self.roles == "all" {
            return Ok(Role::ALL.to_vec());
        }
        let names: Vec<&str> = self.roles.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        let known = |name: &&str| Role::ALL.iter().any(|role| role.name() == *name);
        if let Some(unknown) = names.iter().find(|name| !known(name)) {
            bail!("there is no role `{unknown}`: command-api, projectors, query-api, ws-fanout or all");
        }
        let roles: Vec<Role> = Role::ALL.into_iter().filter(|role| names.contains(&role.name())).collect();
        if roles.is_empty() {
            bail!("ROOMLOG_ROLES names no role");
        }
        Ok(roles)
    }

    /// Whether other processes may be at work on the same log.
    pub fn is_shared(&self) -> bool {
        self.stores.are_shared()
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

    /// Where objects are kept.
    pub fn objects(&self) -> anyhow::Result<Objects> {
        let objects = match self.objects.as_str() {
            "" => Objects::folder(&self.data.join("objects")),
            place => Objects::open(place),
        };
        objects.context("ROOMLOG_OBJECTS")
    }

    pub fn master_key_file(&self) -> PathBuf {
        self.master_key_file.clone().unwrap_or_else(|| self.data.join("master.key"))
    }

    pub fn administrator_token_file(&self) -> PathBuf {
        self.administrator_token_file.clone().unwrap_or_else(|| self.data.join("administrator.token"))
    }
}

/// What a file of a secret holds, without the line's end.
fn secret(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_named_one_by_one_or_all() {
        let roles = |roles: &str| Config { roles: roles.into(), ..Config::default() }.roles();
        assert_eq!(roles("all").unwrap(), Role::ALL);
        assert_eq!(roles("query-api, projectors").unwrap(), [Role::Projectors, Role::QueryApi]);
        assert!(roles("query").is_err());
        assert!(roles("").is_err());
    }

    #[test]
    fn a_process_with_some_of_the_roles_needs_stores_that_others_reach() {
        let mut config = Config { roles: "query-api".into(), ..Config::default() };
        assert!(config.check().is_err());
        config.log.log = "kafka".into();
        (config.stores.room_store, config.stores.sql_store) = ("cql".into(), "postgres".into());
        assert!(config.check().is_ok());
        config.log.log = "sqlite".into();
        assert!(config.check().is_err());
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
