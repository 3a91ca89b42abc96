//! Who may talk to whom: mutual TLS, or nothing at all in development.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};

use crate::pool::CONNECT_TIMEOUT;

/// Files in PEM. They are read at the start: new ones take a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The process's certificate and what leads from it to the CA. For servers and clients: it names
    /// the hosts at which others reach this process.
    pub cert_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
    /// Whose certificates are believed, in both directions.
    pub ca_file: PathBuf,
    /// The name that other processes' certificates must bear, where it is not the host in their
    /// address.
    #[serde(default)]
    pub server_name: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TransportOptions {
    pub tls: Option<TlsConfig>,
    /// For development: without `tls`, whoever reaches the port may run any command as anybody.
    pub allow_plain: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    #[error(
        "processes speak to each other over TLS: name a certificate, its key and a CA, or allow plain connections"
    )]
    NoTls,
    #[error("cannot read {}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("the certificates of this process cannot be used")]
    Unusable(#[source] tonic::transport::Error),
}

/// How this process connects to others and they to it; cheap to clone.
#[derive(Clone)]
pub struct Transport {
    tls: Option<Tls>,
}

#[derive(Clone)]
struct Tls {
    identity: Identity,
    ca: Certificate,
    server_name: Option<String>,
}

impl Transport {
    /// Reads the files. Blocks.
    pub fn new(options: &TransportOptions) -> Result<Self, TransportError> {
        let Some(files) = &options.tls else {
            if !options.allow_plain {
                return Err(TransportError::NoTls);
            }
            tracing::warn!(
                "connections between processes are neither encrypted nor authenticated: whoever reaches the port may \
                 run any command as anybody"
            );
            return Ok(Self { tls: None });
        };
        let identity = Identity::from_pem(read(&files.cert_file)?, read(&files.key_file)?);
        let ca = Certificate::from_pem(read(&files.ca_file)?);
        let transport = Self { tls: Some(Tls { identity, ca, server_name: files.server_name.clone() }) };
        transport.check()?;
        Ok(transport)
    }

    /// What an address of a process that is reached this way begins with.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Contents that cannot be used are found out now rather than with the first connection.
    fn check(&self) -> Result<(), TransportError> {
        if let Some(tls) = self.client() {
            tonic::transport::Endpoint::from_static("https://localhost")
                .tls_config(tls)
                .map_err(TransportError::Unusable)?;
        }
        if let Some(tls) = self.server() {
            tonic::transport::Server::builder().tls_config(tls).map_err(TransportError::Unusable)?;
        }
        Ok(())
    }

    pub(crate) fn client(&self) -> Option<ClientTlsConfig> {
        let tls = self.tls.as_ref()?;
        let mut config = ClientTlsConfig::new()
            .identity(tls.identity.clone())
            .ca_certificate(tls.ca.clone())
            .timeout(CONNECT_TIMEOUT);
        if let Some(name) = &tls.server_name {
            config = config.domain_name(name);
        }
        Some(config)
    }

    /// A client without a certificate of the CA is refused.
    pub(crate) fn server(&self) -> Option<ServerTlsConfig> {
        let tls = self.tls.as_ref()?;
        let config = ServerTlsConfig::new()
            .identity(tls.identity.clone())
            .client_ca_root(tls.ca.clone())
            .timeout(CONNECT_TIMEOUT);
        Some(config)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TransportError> {
    std::fs::read(path).map_err(|source| TransportError::File { path: path.to_owned(), source })
}
