//! Which log, and how to reach it.

use std::path::PathBuf;

use anyhow::{Context, bail};
use roomlog_eventlog::PartitionCounts;
use roomlog_eventlog::kafka::security::{Mechanism, Password, Protocol};
use roomlog_eventlog::kafka::{KafkaConfig, KafkaSecurity};
use serde::{Deserialize, Serialize};

use super::secret;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogSettings {
    /// `sqlite`, `kafka` (with `kafka_brokers`) or `kafka://host:port,host:port`.
    pub log: String,
    pub kafka_brokers: String,
    /// Put before the topics' names.
    pub kafka_topic_prefix: String,
    pub kafka_replication: i16,
    pub kafka_min_isr: i16,
    /// For development: allows fewer replicas than the platform's promises need.
    pub kafka_allow_weak: bool,
    pub kafka_protocol: Protocol,
    pub kafka_ca_file: Option<PathBuf>,
    pub kafka_cert_file: Option<PathBuf>,
    pub kafka_key_file: Option<PathBuf>,
    pub kafka_sasl_mechanism: Option<Mechanism>,
    pub kafka_sasl_user: Option<String>,
    pub kafka_sasl_password_file: Option<PathBuf>,
    /// Partitions of a new log. A log that exists keeps its own.
    pub partitions_accounts: Option<u32>,
    pub partitions_rooms: Option<u32>,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            log: "sqlite".into(),
            kafka_brokers: "127.0.0.1:9092".into(),
            kafka_topic_prefix: String::new(),
            kafka_replication: 3,
            kafka_min_isr: 2,
            kafka_allow_weak: false,
            kafka_protocol: Protocol::default(),
            kafka_ca_file: None,
            kafka_cert_file: None,
            kafka_key_file: None,
            kafka_sasl_mechanism: None,
            kafka_sasl_user: None,
            kafka_sasl_password_file: None,
            partitions_accounts: None,
            partitions_rooms: None,
        }
    }
}

/// Which log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogKind {
    Sqlite,
    Kafka { brokers: String },
}

impl LogSettings {
    pub fn kind(&self) -> anyhow::Result<LogKind> {
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

    pub fn kafka(&self, brokers: String, counts: PartitionCounts) -> anyhow::Result<KafkaConfig> {
        let password = self.kafka_sasl_password_file.as_deref().map(secret).transpose();
        let security = KafkaSecurity {
            protocol: self.kafka_protocol,
            ca_file: self.kafka_ca_file.clone(),
            cert_file: self.kafka_cert_file.clone(),
            key_file: self.kafka_key_file.clone(),
            mechanism: self.kafka_sasl_mechanism,
            user: self.kafka_sasl_user.clone(),
            password: password.context("ROOMLOG_KAFKA_SASL_PASSWORD_FILE")?.map(Password),
        };
        Ok(KafkaConfig {
            topic_prefix: self.kafka_topic_prefix.clone(),
            replication: self.kafka_replication,
            min_isr: self.kafka_min_isr,
            allow_weak: self.kafka_allow_weak,
            security,
            ..KafkaConfig::new(brokers, counts)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_named_by_a_word_or_an_address() {
        let kind = |log: &str| LogSettings { log: log.into(), ..LogSettings::default() }.kind();
        assert_eq!(kind("sqlite").unwrap(), LogKind::Sqlite);
        assert_eq!(kind("kafka").unwrap(), LogKind::Kafka { brokers: "127.0.0.1:9092".into() });
        assert_eq!(kind("kafka://a:1,b:2").unwrap(), LogKind::Kafka { brokers: "a:1,b:2".into() });
        assert!(kind("kafka://").is_err());
        assert!(kind("postgres").is_err());
    }
}
