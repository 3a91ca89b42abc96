//! What the stores are opened with.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::error;
use crate::StoreError;

pub const DIRECTORY_SCHEMA: &str = "directory";
pub const SECRETS_SCHEMA: &str = "secrets";
pub const QUARANTINE_SCHEMA: &str = "quarantine";

/// Of one store in one process. A statement of these stores takes about a millisecond of the server's
/// time, so a few connections carry thousands a second; more only queue inside the server.
///
/// To size it: processes × stores each of them opens (two) × this must stay below the server's
/// `max_connections` (100 where nobody changed it) less about ten for people and back-ups, so 8 fits
/// five processes. A rebuild of the directory opens one more pool in its process. With many processes
/// lower this before raising the server's limit: beyond some four connections busy at once for each of
/// its cores a server only gets slower.
pub const MAX_CONNECTIONS: u32 = 8;

/// How long a call waits for a free or a new connection before it is `Unavailable`: half of a
/// request's usual deadline.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the server works on one statement, and waits for the next one in a transaction, before it
/// gives up. A process that hangs with a partition's cursor locked is in the way of the next for no
/// longer.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(15);

/// What is appended to a schema's name (`_v<version>_next`) has to fit in PostgreSQL's 63 bytes too.
const MAX_SCHEMA_LEN: usize = 40;

/// How the connection to the server is protected; names and meaning are those of libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    Disable,
    /// TLS if the server offers it: safe from nobody.
    Prefer,
    /// Encrypted, but to whoever answers.
    Require,
    /// The server's certificate comes from a trusted authority.
    VerifyCa,
    /// And is for the name that was connected to. The one to use outside of development.
    VerifyFull,
}

/// Two databases, one for the directory and one for the secrets, are two of these.
#[derive(Clone)]
pub struct PostgresConfig {
    /// `postgres://user@host:port/database`. Parameters as libpq knows them may follow, for example
    /// `?sslmode=verify-full&sslrootcert=/etc/roomlog/ca.pem`.
    pub url: String,
    /// From a file with secrets; goes before one in the URL.
    pub password: Option<String>,
    /// Followed by `_v<version>`, the projection's version: other versions have other tables.
    /// Lower-case letters, digits and `_`; made if it is not there.
    pub directory_schema: String,
    /// The same, without a version behind it.
    pub secrets_schema: String,
    /// The same; beside the directory's.
    pub quarantine_schema: String,
    /// See [`MAX_CONNECTIONS`].
    pub max_connections: u32,
    /// See [`ACQUIRE_TIMEOUT`].
    pub acquire_timeout: Duration,
    /// See [`STATEMENT_TIMEOUT`]. Migrations and rebuilds are not bound by it.
    pub statement_timeout: Duration,
    /// `None`: what the URL says; if it says nothing `VerifyFull` with a `ca_file`, `Prefer` without.
    pub tls: Option<TlsMode>,
    /// PEM file with the authorities to trust, instead of the well-known ones.
    pub ca_file: Option<PathBuf>,
}

impl PostgresConfig {
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            password: None,
            directory_schema: DIRECTORY_SCHEMA.into(),
            secrets_schema: SECRETS_SCHEMA.into(),
            quarantine_schema: QUARANTINE_SCHEMA.into(),
            max_connections: MAX_CONNECTIONS,
            acquire_timeout: ACQUIRE_TIMEOUT,
            statement_timeout: STATEMENT_TIMEOUT,
            tls: None,
            ca_file: None,
        }
    }

    pub(super) fn connect_options(&self, store: &'static str) -> Result<PgConnectOptions, StoreError> {
        let options = PgConnectOptions::from_str(&self.url).map_err(|error| error::failed(store, error))?;
        let mut options = match options.get_application_name() {
            Some(_) => options,
            None => options.application_name("roomlog"),
        };
        if let Some(password) = &self.password {
            options = options.password(password);
        }
        // `Prefer` would not look at the authorities that somebody took care to name.
        let unsaid = matches!(options.get_ssl_mode(), PgSslMode::Allow | PgSslMode::Prefer);
        let implied = (unsaid && self.ca_file.is_some()).then_some(TlsMode::VerifyFull);
        if let Some(mode) = self.tls.or(implied) {
            options = options.ssl_mode(mode.into());
        }
        if let Some(file) = &self.ca_file {
            let pem = std::fs::read(file).map_err(|error| {
                let source = format!("{} cannot be read: {error}", file.display());
                StoreError::Refused { store, source: source.into() }
            })?;
            options = options.ssl_root_cert_from_pem(pem);
        }
        Ok(options
            .options([("synchronous_commit", "on"), ("default_transaction_isolation", "read committed")]))
    }
}

/// Without the password, wherever it stands.
impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, password, directory_schema, secrets_schema, quarantine_schema, .. } = self;
        f.debug_struct("PostgresConfig")
            .field("url", &without_password(url))
            .field("password", &password.as_ref().map(|_| "…"))
            .field("directory_schema", directory_schema)
            .field("secrets_schema", secrets_schema)
            .field("quarantine_schema", quarantine_schema)
            .field("max_connections", &self.max_connections)
            .field("acquire_timeout", &self.acquire_timeout)
            .field("statement_timeout", &self.statement_timeout)
            .field("tls", &self.tls)
            .field("ca_file", &self.ca_file)
            .finish()
    }
}

/// Neither what stands before the host nor the parameters.
fn without_password(url: &str) -> &str {
    let url = url.split_once('?').map_or(url, |(before, _)| before);
    url.rsplit_once('@').map_or(url, |(_, host)| host)
}

impl From<TlsMode> for PgSslMode {
    fn from(mode: TlsMode) -> Self {
        match mode {
            TlsMode::Disable => PgSslMode::Disable,
            TlsMode::Prefer => PgSslMode::Prefer,
            TlsMode::Require => PgSslMode::Require,
            TlsMode::VerifyCa => PgSslMode::VerifyCa,
            TlsMode::VerifyFull => PgSslMode::VerifyFull,
        }
    }
}

/// Fails unless the name can stand in a statement as it is.
pub(super) fn check_schema(store: &'static str, name: &str) -> Result<(), StoreError> {
    let fits = (1..=MAX_SCHEMA_LEN).contains(&name.len())
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.starts_with("pg_");
    if fits {
        return Ok(());
    }
    let source = format!(
        "{name:?} is no name for a schema: up to {MAX_SCHEMA_LEN} lower-case letters, digits and `_`, not \
         beginning with a digit or `pg_`"
    );
    Err(StoreError::Refused { store, source: source.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_printed() {
        let config = PostgresConfig {
            password: Some("hidden".into()),
            ..PostgresConfig::new("postgres://me:hidden@db:5432/chat?password=hidden")
        };
        let text = format!("{config:?}");
        assert!(text.contains("db:5432/chat") && !text.contains("hidden"), "{text}");
    }

    #[test]
    fn names_of_schemas_need_no_quotes() {
        for name in ["directory", "a", "_x9"] {
            assert!(check_schema("test", name).is_ok(), "{name}");
        }
        let long = "a".repeat(MAX_SCHEMA_LEN + 1);
        for name in ["", "Directory", "a-b", "a\"b", "9a", "pg_a", "ä", &long] {
            assert!(matches!(check_schema("test", name), Err(StoreError::Refused { .. })), "{name}");
        }
    }
}
