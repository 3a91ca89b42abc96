//! How the platform's processes reach each other.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::bail;
use roomlog_rpc::{TlsConfig, TransportOptions};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InternalSettings {
    /// Where other processes are served.
    pub internal_listen: SocketAddr,
    /// How they reach this one, as `host:port`; by default what is listened on.
    pub internal_address: Option<String>,
    /// This process's certificate, its key and the authority of all processes' certificates.
    pub internal_cert_file: Option<PathBuf>,
    pub internal_key_file: Option<PathBuf>,
    pub internal_ca_file: Option<PathBuf>,
    /// The name that other processes' certificates must bear, where it is not the host in their address.
    pub internal_server_name: Option<String>,
    /// For development: no TLS between processes.
    pub internal_allow_plain: bool,
    /// Keep the state of every partition in memory, not only of those that this process is first or
    /// second for.
    pub warm_all: bool,
    /// Milliseconds that a partition stays with its owner before it may move for balance.
    pub balance_after_ms: u32,
}

impl Default for InternalSettings {
    fn default() -> Self {
        Self {
            internal_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            internal_address: None,
            internal_cert_file: None,
            internal_key_file: None,
            internal_ca_file: None,
            internal_server_name: None,
            internal_allow_plain: false,
            warm_all: false,
            balance_after_ms: 60_000,
        }
    }
}

impl InternalSettings {
    pub fn transport(&self) -> anyhow::Result<TransportOptions> {
        let tls = match (&self.internal_cert_file, &self.internal_key_file, &self.internal_ca_file) {
            (Some(cert), Some(key), Some(ca)) => Some(TlsConfig {
                cert_file: cert.clone(),
                key_file: key.clone(),
                ca_file: ca.clone(),
                server_name: self.internal_server_name.clone(),
            }),
            (None, None, None) => None,
            _ => bail!("ROOMLOG_INTERNAL_CERT_FILE, _KEY_FILE and _CA_FILE are given together or not at all"),
        };
        Ok(TransportOptions { tls, allow_plain: self.internal_allow_plain })
    }
}
