//! Who a client is to the brokers, and how it knows them.

use std::fmt;
use std::path::{Path, PathBuf};

use rdkafka::ClientConfig;
use serde::{Deserialize, Serialize};

use crate::port::LogError;

/// How clients speak to the brokers. Files are in PEM; librdkafka reads them when a client starts, so
/// new ones take a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaSecurity {
    pub protocol: Protocol,
    /// Whose certificates the brokers must have; without it, the system's.
    pub ca_file: Option<PathBuf>,
    /// For mutual TLS: the client's certificate and what leads from it to the CA.
    pub cert_file: Option<PathBuf>,
    /// Its private key.
    pub key_file: Option<PathBuf>,
    pub mechanism: Option<Mechanism>,
    pub user: Option<String>,
    pub password: Option<Password>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// For a network that nobody else is on.
    #[default]
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

impl Protocol {
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::Plaintext => "plaintext",
            Protocol::Ssl => "ssl",
            Protocol::SaslPlaintext => "sasl_plaintext",
            Protocol::SaslSsl => "sasl_ssl",
        }
    }

    const fn has_tls(self) -> bool {
        matches!(self, Protocol::Ssl | Protocol::SaslSsl)
    }

    const fn has_sasl(self) -> bool {
        matches!(self, Protocol::SaslPlaintext | Protocol::SaslSsl)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mechanism {
    #[serde(rename = "PLAIN")]
    Plain,
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

impl Mechanism {
    pub const fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// Not shown by `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(not shown)")
    }
}

impl KafkaSecurity {
    /// `Fatal` with the reason if no client can start with this, or if some of it would have no effect.
    pub(super) fn check(&self) -> Result<(), LogError> {
        let refuse = |reason: String| Err(LogError::Fatal(reason));
        let protocol = self.protocol.name();
        let files = [&self.ca_file, &self.cert_file, &self.key_file];
        if !self.protocol.has_tls() && files.iter().any(|file| file.is_some()) {
            return refuse(format!("certificates for Kafka have no effect with the protocol {protocol}"));
        }
        if self.cert_file.is_some() != self.key_file.is_some() {
            return refuse("a certificate for Kafka and its key go together".into());
        }
        for file in files.into_iter().flatten() {
            if file.to_str().is_none() {
                return refuse(format!("{} is not a name in UTF-8", file.display()));
            }
            if let Err(error) = std::fs::File::open(file) {
                return refuse(format!("cannot read {}: {error}", file.display()));
            }
        }
        let sasl = [self.mechanism.is_some(), self.user.is_some(), self.password.is_some()];
        match self.protocol.has_sasl() {
            true if sasl.contains(&false) => {
                refuse(format!("the protocol {protocol} needs a mechanism, a user and a password"))
            }
            false if sasl.contains(&true) => {
                refuse(format!("a user for Kafka has no effect with the protocol {protocol}"))
            }
            _ => {
                if self.protocol == Protocol::SaslPlaintext && self.mechanism == Some(Mechanism::Plain) {
                    tracing::warn!("the password for Kafka goes over the network as it is");
                }
                Ok(())
            }
        }
    }

    /// Properties that were set before stay where nothing is set here.
    pub(super) fn apply(&self, client: &mut ClientConfig) {
        let mut set = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                client.set(name, value);
            }
        };
        if self.protocol != Protocol::default() {
            set("security.protocol", Some(self.protocol.name()));
        }
        set("ssl.ca.location", path(&self.ca_file));
        set("ssl.certificate.location", path(&self.cert_file));
        set("ssl.key.location", path(&self.key_file));
        set("sasl.mechanism", self.mechanism.map(Mechanism::name));
        set("sasl.username", self.user.as_deref());
        set("sasl.password", self.password.as_ref().map(|Password(password)| &**password));
    }
}

/// `check` has refused what is not UTF-8.
fn path(file: &Option<PathBuf>) -> Option<&str> {
    file.as_deref().and_then(Path::to_str)
}
