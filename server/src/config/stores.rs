//! Which stores, and how to reach them.

use std::path::PathBuf;

use anyhow::{Context, bail};
use roomlog_stores::cql::CqlConfig;
use roomlog_stores::postgres::PostgresConfig;
use serde::{Deserialize, Serialize};

use super::secret;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoreSettings {
    /// `sqlite` or `cql`.
    pub room_store: String,
    /// Nodes to ask first, `host:port`, separated by commas.
    pub cql_nodes: String,
    pub cql_keyspace: String,
    /// Of a keyspace that does not exist yet: a number of copies, or a whole map as CQL writes it.
    pub cql_replication: String,
    pub cql_user: Option<String>,
    pub cql_password_file: Option<PathBuf>,
    pub cql_ca_file: Option<PathBuf>,
    pub cql_cert_file: Option<PathBuf>,
    pub cql_key_file: Option<PathBuf>,
    pub cql_datacenter: Option<String>,
    pub cql_max_in_flight: Option<usize>,
    /// `sqlite` or `postgres`: the directory and the secrets.
    pub sql_store: String,
    pub postgres_url: String,
    pub postgres_password_file: Option<PathBuf>,
    /// Another database for the secrets, so that they are backed up apart. By default the same.
    pub postgres_secrets_url: Option<String>,
    pub postgres_secrets_password_file: Option<PathBuf>,
    pub postgres_directory_schema: String,
    pub postgres_secrets_schema: String,
    /// Beside the directory's.
    pub postgres_quarantine_schema: String,
    pub postgres_ca_file: Option<PathBuf>,
    /// Connections of one process to each of both.
    pub postgres_max_connections: Option<u32>,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            room_store: "sqlite".into(),
            cql_nodes: "127.0.0.1:9042".into(),
            cql_keyspace: "roomlog".into(),
            cql_replication: "3".into(),
            cql_user: None,
            cql_password_file: None,
            cql_ca_file: None,
            cql_cert_file: None,
            cql_key_file: None,
            cql_datacenter: None,
            cql_max_in_flight: None,
            sql_store: "sqlite".into(),
            postgres_url: "postgres://roomlog@127.0.0.1:5432/roomlog".into(),
            postgres_password_file: None,
            postgres_secrets_url: None,
            postgres_secrets_password_file: None,
            postgres_directory_schema: "directory".into(),
            postgres_secrets_schema: "secrets".into(),
            postgres_quarantine_schema: "quarantine".into(),
            postgres_ca_file: None,
            postgres_max_connections: None,
        }
    }
}

impl StoreSettings {
    pub fn check(&self) -> anyhow::Result<()> {
        if !matches!(self.room_store.as_str(), "sqlite" | "cql") {
            bail!("ROOMLOG_ROOM_STORE is `sqlite` or `cql`, not `{}`", self.room_store);
        }
        if !matches!(self.sql_store.as_str(), "sqlite" | "postgres") {
            bail!("ROOMLOG_SQL_STORE is `sqlite` or `postgres`, not `{}`", self.sql_store);
        }
        Ok(())
    }

    /// Whether several processes can use them.
    pub fn are_shared(&self) -> bool {
        self.room_store == "cql" && self.sql_store == "postgres"
    }

    /// `None` for SQLite.
    pub fn cql(&self) -> anyhow::Result<Option<CqlConfig>> {
        if self.room_store != "cql" {
            return Ok(None);
        }
        let nodes = self.cql_nodes.split(',').map(str::trim).filter(|node| !node.is_empty());
        let password = self.cql_password_file.as_deref().map(secret).transpose();
        let mut config = CqlConfig {
            replication: self.cql_replication.clone(),
            user: self.cql_user.clone(),
            password: password.context("ROOMLOG_CQL_PASSWORD_FILE")?,
            tls_ca: self.cql_ca_file.clone(),
            tls_cert: self.cql_cert_file.clone(),
            tls_key: self.cql_key_file.clone(),
            local_datacenter: self.cql_datacenter.clone(),
            ..CqlConfig::new(nodes.map(str::to_owned).collect(), &self.cql_keyspace)
        };
        config.max_in_flight = self.cql_max_in_flight.unwrap_or(config.max_in_flight);
        Ok(Some(config))
    }

    /// Of the directory and of the secrets; `None` for SQLite.
    pub fn postgres(&self) -> anyhow::Result<Option<(PostgresConfig, PostgresConfig)>> {
        if self.sql_store != "postgres" {
            return Ok(None);
        }
        let config = |url: &str, password: Option<&PathBuf>, setting: &'static str| {
            let password = password.map(|file| secret(file)).transpose().context(setting)?;
            let mut config = PostgresConfig::new(url);
            config.password = password;
            config.directory_schema.clone_from(&self.postgres_directory_schema);
            config.secrets_schema.clone_from(&self.postgres_secrets_schema);
            config.quarantine_schema.clone_from(&self.postgres_quarantine_schema);
            config.ca_file.clone_from(&self.postgres_ca_file);
            config.max_connections = self.postgres_max_connections.unwrap_or(config.max_connections);
            anyhow::Ok(config)
        };
        let password = self.postgres_password_file.as_ref();
        let directory = config(&self.postgres_url, password, "ROOMLOG_POSTGRES_PASSWORD_FILE")?;
        let secrets = match &self.postgres_secrets_url {
            None => directory.clone(),
            Some(url) => config(
                url,
                self.postgres_secrets_password_file.as_ref().or(password),
                "ROOMLOG_POSTGRES_SECRETS_PASSWORD_FILE",
            )?,
        };
        Ok(Some((directory, secrets)))
    }
}
