//! Which stores, and how to reach them.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
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
    /// `IP=IP:port`, separated by commas: where to reach the node that says it is at the first.
    pub cql_address_translation: String,
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
            cql_address_translation: String::new(),
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
        self.cql_address_translation().map(drop)
    }

    fn cql_address_translation(&self) -> anyhow::Result<BTreeMap<IpAddr, SocketAddr>> {
        let mut translation = BTreeMap::new();
        let pairs = self.cql_address_translation.split(',').map(str::trim);
        for pair in pairs.filter(|pair| !pair.is_empty()) {
            let (said, reached) = pair
                .split_once('=')
                .and_then(|(said, reached)| Some((said.trim().parse().ok()?, reached.trim().parse().ok()?)))
                .with_context(|| {
                    format!("ROOMLOG_CQL_ADDRESS_TRANSLATION: `{pair}` is not a node's IP address, `=` and `IP:port`")
                })?;
            ensure!(
                translation.insert(said, reached).is_none(),
                "ROOMLOG_CQL_ADDRESS_TRANSLATION: {said} is there twice"
            );
        }
        Ok(translation)
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
            address_translation: self.cql_address_translation()?,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn cql(translation: &str) -> StoreSettings {
        StoreSettings {
            room_store: "cql".into(),
            cql_address_translation: translation.into(),
            ..StoreSettings::default()
        }
    }

    #[test]
    fn where_nodes_are_reached_is_said_one_by_one() {
        let translation = |text: &str| cql(text).cql().unwrap().unwrap().address_translation;
        assert!(translation("").is_empty());
        let two = translation("10.0.0.5=203.0.113.7:19042, fd00::1 = [2001:db8::1]:9042");
        let (first, second) = ("203.0.113.7:19042".parse().unwrap(), "[2001:db8::1]:9042".parse().unwrap());
        let expected = [("10.0.0.5".parse().unwrap(), first), ("fd00::1".parse().unwrap(), second)];
        assert_eq!(two, BTreeMap::from(expected));
    }

    #[test]
    fn a_translation_that_is_none_is_refused() {
        for wrong in ["10.0.0.5", "10.0.0.5=203.0.113.7", "10.0.0.5:9042=203.0.113.7:9042", "db=1.2.3.4:9042"]
        {
            let error = cql(wrong).check().unwrap_err().to_string();
            assert!(error.contains(wrong), "{error}");
        }
        assert!(cql("10.0.0.5=203.0.113.7:1,10.0.0.5=203.0.113.7:2").check().is_err());
        assert!(cql("10.0.0.5=203.0.113.7:1").check().is_ok());
    }
}
