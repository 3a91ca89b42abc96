//! What an operator says about the cluster, and the session that follows from it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::errors::TranslationError;
use scylla::policies::address_translator::{AddressTranslator, UntranslatedPeer};
use scylla::policies::load_balancing::DefaultPolicy;
use scylla::policies::retry::DefaultRetryPolicy;
use scylla::statement::{Consistency, SerialConsistency};

use super::error::{refused, session_failed};
use crate::StoreError;

const REPLICATION: &str = "3";
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_IN_FLIGHT: usize = 128;
/// Some 300 KiB of usual events: far below the 100 MB at which partitions get heavy, also where each
/// event is as large as it may be.
const BUCKET: u32 = 1_024;
/// Far longer than other processes take to notice, or one request takes.
const RETIRE_AFTER: Duration = Duration::from_secs(120);
/// Between looks at whether all nodes have the same schema.
const AGREEMENT_INTERVAL: Duration = Duration::from_millis(50);
/// The longest name of a keyspace that every server takes.
const MAX_KEYSPACE: usize = 48;

#[derive(Clone)]
pub struct CqlConfig {
    /// Nodes to ask first, each `host:port`; the others are found through them.
    pub nodes: Vec<String>,
    /// Lower-case letters, digits and `_`.
    pub keyspace: String,
    /// For a keyspace that is created; one that exists keeps its own. A number of copies in each
    /// datacenter, or a whole map such as `{'class':'NetworkTopologyStrategy','dc1':3}`.
    pub replication: String,
    pub user: Option<String>,
    pub password: Option<String>,
    /// PEM file of the authorities that nodes' certificates are checked against. Connections are
    /// encrypted if and only if it is given. Certificates have to name the nodes' IP addresses.
    pub tls_ca: Option<PathBuf>,
    /// PEM files of this client's own certificate and its key, where nodes ask for one.
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    /// Nodes of this datacenter are asked first. QUORUM is of all datacenters whatever it is.
    pub local_datacenter: Option<String>,
    /// Of one statement with its retries.
    pub request_timeout: Duration,
    /// Statements of one process at work at once, for reading and again for writing.
    pub max_in_flight: usize,
    /// Seqs of a room in one CQL partition. Takes effect at the next rebuild.
    pub bucket: u32,
    /// How long the tables of a replaced generation stay, for processes that have not noticed yet.
    pub retire_after: Duration,
    /// Where to reach a node that says of itself that it is at this address: behind NAT, or through a
    /// proxy. Nodes that are not named here are reached where they say, at the port of [`nodes`](Self::nodes).
    pub address_translation: BTreeMap<IpAddr, SocketAddr>,
}

impl CqlConfig {
    pub fn new(nodes: Vec<String>, keyspace: impl Into<String>) -> Self {
        Self {
            nodes,
            keyspace: keyspace.into(),
            replication: REPLICATION.into(),
            user: None,
            password: None,
            tls_ca: None,
            tls_cert: None,
            tls_key: None,
            local_datacenter: None,
            request_timeout: REQUEST_TIMEOUT,
            max_in_flight: MAX_IN_FLIGHT,
            bucket: BUCKET,
            retire_after: RETIRE_AFTER,
            address_translation: BTreeMap::new(),
        }
    }

    /// The replication map of CQL; `Refused` if there is something in the settings that no store can
    /// be opened with.
    pub(super) fn check(&self) -> Result<String, StoreError> {
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if self.nodes.is_empty() {
            return refused("no CQL nodes are named");
        }
        if !self.keyspace.starts_with(|c: char| c.is_ascii_lowercase())
            || !self.keyspace.chars().all(is_name)
            || self.keyspace.len() > MAX_KEYSPACE
        {
            return refused(format!("{:?} cannot be the name of a keyspace", self.keyspace));
        }
        if self.bucket == 0 || self.max_in_flight == 0 {
            return refused("bucket and max_in_flight are at least 1");
        }
        if self.user.is_some() != self.password.is_some() {
            return refused("user and password are given together, or neither");
        }
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return refused("a certificate is given with its key, or neither");
        }
        if self.tls_ca.is_none() && self.tls_cert.is_some() {
            return refused("a certificate is of no use without tls_ca");
        }
        let replication = self.replication.trim();
        match replication.parse::<u16>() {
            Ok(copies) if copies > 0 => {
                Ok(format!("{{'class':'NetworkTopologyStrategy','replication_factor':{copies}}}"))
            }
            Err(_) if replication.starts_with('{') && replication.ends_with('}') => Ok(replication.into()),
            _ => refused(format!("{replication:?} is neither a number of copies nor a map in braces")),
        }
    }

    pub(super) async fn connect(&self) -> Result<Session, StoreError> {
        let mut routing = DefaultPolicy::builder().token_aware(true);
        if let Some(datacenter) = &self.local_datacenter {
            // Those of another one rather than none.
            routing = routing.prefer_datacenter(datacenter.clone()).permit_dc_failover(true);
        }
        let profile = ExecutionProfile::builder()
            .consistency(Consistency::Quorum)
            .serial_consistency(Some(SerialConsistency::Serial))
            .request_timeout(Some(self.request_timeout))
            .load_balancing_policy(routing.build())
            .retry_policy(Arc::new(DefaultRetryPolicy::new()))
            // The second attempt would come when nodes are slow: the worst time for more work.
            .speculative_execution_policy(None)
            .build();
        let mut builder = SessionBuilder::new()
            .known_nodes(&self.nodes)
            .default_execution_profile_handle(profile.into_handle())
            .connection_timeout(CONNECT_TIMEOUT)
            .schema_agreement_interval(AGREEMENT_INTERVAL)
            .refresh_metadata_on_auto_schema_agreement(false)
            .fetch_full_schema_metadata(false)
            .tls_context(self.tls()?);
        if let (Some(user), Some(password)) = (&self.user, &self.password) {
            builder = builder.user(user, password);
        }
        if !self.address_translation.is_empty() {
            builder = builder.address_translator(Arc::new(Translation(self.address_translation.clone())));
        }
        builder.build().await.map_err(session_failed)
    }

    fn tls(&self) -> Result<Option<Arc<ClientConfig>>, StoreError> {
        let Some(ca) = &self.tls_ca else { return Ok(None) };
        let unreadable = |path: &PathBuf, error: &dyn std::fmt::Display| StoreError::Refused {
            store: super::STORE,
            source: format!("{} cannot be used for TLS: {error}", path.display()).into(),
        };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca).map_err(|error| unreadable(ca, &error))? {
            let certificate = certificate.map_err(|error| unreadable(ca, &error))?;
            roots.add(certificate).map_err(|error| unreadable(ca, &error))?;
        }
        if roots.is_empty() {
            return Err(unreadable(ca, &"it holds no certificate"));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unreadable(ca, &error))?
            .with_root_certificates(roots);
        let tls = match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => {
                let chain = CertificateDer::pem_file_iter(cert)
                    .and_then(Iterator::collect)
                    .map_err(|error| unreadable(cert, &error))?;
                let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, &error))?;
                tls.with_client_auth_cert(chain, secret).map_err(|error| unreadable(cert, &error))?
            }
            _ => tls.with_no_client_auth(),
        };
        Ok(Some(Arc::new(tls)))
    }
}

/// By the IP address alone: what nodes say of themselves has no port.
struct Translation(BTreeMap<IpAddr, SocketAddr>);

// With the lifetime written out it would not be the trait's method, in which it is not.
#[allow(elided_lifetimes_in_paths)]
#[async_trait]
impl AddressTranslator for Translation {
    async fn translate_address(&self, node: &UntranslatedPeer) -> Result<SocketAddr, TranslationError> {
        let said = node.untranslated_address();
        Ok(self.0.get(&said.ip()).copied().unwrap_or(said))
    }
}
