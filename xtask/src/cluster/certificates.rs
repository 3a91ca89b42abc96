//! An authority of one instance's own and the certificates that it has signed: made once, and kept as long as the
//! instance's data. The authority's key is thrown away: nobody can add to what is there.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

use super::instance::Instance;
use super::runtime::remove_folder;
use crate::secret;

/// An instance that is kept longer has to be wiped.
const LIFETIME: Duration = Duration::days(3650);
/// Clocks of virtual machines jump.
const BEFORE_NOW: Duration = Duration::days(1);

/// What the servers and the platform's processes are reached as.
const HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// PEM files in a folder; keys are PKCS #8.
pub struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    pub fn of(instance: &Instance) -> Self {
        Self { folder: instance.dir().join("tls") }
    }

    /// Makes them unless they are there. To be called under the cluster lock.
    pub fn ensure(&self) -> Result<()> {
        if self.folder.exists() {
            return Ok(());
        }
        let unfinished = self.folder.with_extension("partial");
        remove_folder(&unfinished)?;
        std::fs::create_dir_all(&unfinished)?;
        make(&unfinished).context("cannot make certificates")?;
        std::fs::rename(&unfinished, &self.folder)?;
        Ok(())
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whom everybody here believes.
    pub fn ca(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// What the platform's processes say who they are with, to the servers and to each other.
    pub fn process_certificate(&self) -> PathBuf {
        self.folder.join("process.pem")
    }

    pub fn process_key(&self) -> PathBuf {
        self.folder.join("process.key")
    }

    pub fn server_certificate(&self) -> PathBuf {
        self.folder.join("server.pem")
    }

    pub fn server_key(&self) -> PathBuf {
        self.folder.join("server.key")
    }
}

fn make(folder: &Path) -> Result<()> {
    let ours = Authority::new("Roomlog development CA")?;
    secret::write(&folder.join("ca.pem"), &ours.certificate)?;
    ours.sign(folder, "process")?;
    ours.sign(folder, "server")?;
    // Java wants both in one file.
    let (key, certificate) = (folder.join("server.key"), folder.join("server.pem"));
    let both = format!("{}\n{}\n", secret::read(&key)?, secret::read(&certificate)?);
    secret::write(&folder.join("server-keystore.pem"), &both)?;

    // For tests: whom nobody here believes.
    let other = Authority::new("Another CA")?;
    secret::write(&folder.join("foreign-ca.pem"), &other.certificate)?;
    other.sign(folder, "foreign")
}

struct Authority {
    /// As PEM.
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Result<Self> {
        let mut parameters = parameters(name, &[])?;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let certificate = parameters.self_signed(&key)?.pem();
        Ok(Self { certificate, issuer: Issuer::new(parameters, key) })
    }

    /// Writes a certificate for servers and clients on this machine, and its key.
    fn sign(&self, folder: &Path, who: &str) -> Result<()> {
        let mut parameters = parameters(&format!("roomlog-{who}"), &HOSTS)?;
        parameters.use_authority_key_identifier_extension = true;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        secret::write(&folder.join(format!("{who}.pem")), &certificate.pem())?;
        secret::write(&folder.join(format!("{who}.key")), &key.serialize_pem())
    }
}

fn parameters(name: &str, hosts: &[&str]) -> Result<CertificateParams> {
    let mut parameters =
        CertificateParams::new(hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>())?;
    parameters.distinguished_name.push(DnType::CommonName, name);
    let now = OffsetDateTime::now_utc();
    (parameters.not_before, parameters.not_after) = (now - BEFORE_NOW, now + LIFETIME);
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn certificates_are_made_once_and_keys_are_for_their_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let certificates = Certificates { folder: folder.path().join("tls") };
        certificates.ensure().unwrap();
        let ca = std::fs::read_to_string(certificates.ca()).unwrap();
        for key in [certificates.process_key(), certificates.server_key()] {
            assert!(std::fs::read_to_string(&key).unwrap().starts_with("-----BEGIN PRIVATE KEY-----"));
            assert_eq!(std::fs::metadata(&key).unwrap().mode() & 0o077, 0);
        }
        certificates.ensure().unwrap();
        assert_eq!(std::fs::read_to_string(certificates.ca()).unwrap(), ca);
    }

    #[test]
    fn the_key_store_has_key_and_certificate_of_the_server() {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path()).unwrap();
        let read = |file: &str| std::fs::read_to_string(folder.path().join(file)).unwrap();
        let both = read("server-keystore.pem");
        assert!(
            both.contains(read("server.key").trim()) && both.contains(read("server.pem").trim()),
            "{both}"
        );
        assert_ne!(read("ca.pem"), read("foreign-ca.pem"));
    }
}
