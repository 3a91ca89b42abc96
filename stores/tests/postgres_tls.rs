//! TLS to PostgreSQL: through a front that speaks nothing else and passes on what it decrypts, and with the server's own.
//! Needs a server, see `backends/postgres.rs`.

// Clippy knows the tests themselves, not what they share.
#![allow(clippy::unwrap_used)]

mod backends;

use std::path::PathBuf;
use std::sync::Arc;

use backends::certificate;
use backends::postgres::Postgres;
use roomlog_stores::postgres::{PostgresConfig, PostgresSecretsStore, TlsMode};
use roomlog_stores::{SecretsStore, StoreError};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What a client sends first if it wants TLS: the length of this, and a number that is no version.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls")).join(name)
}

fn acceptor() -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_file(file("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(file("server-key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// The front's port.
async fn front_of(server: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = acceptor();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let (acceptor, server) = (acceptor.clone(), server.clone());
            tokio::spawn(async move {
                let mut first = [0; 8];
                // Whoever does not ask for TLS, or ends the handshake, is left.
                if client.read_exact(&mut first).await.is_err() || first != SSL_REQUEST {
                    return;
                }
                client.write_all(b"S").await.unwrap();
                let Ok(mut client) = acceptor.accept(client).await else { return };
                let mut server = TcpStream::connect(server).await.unwrap();
                // Ends with either of them, in whatever way.
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_trusted_by_its_authority_and_its_name() {
    let Some(backend) = Postgres::new() else { return };
    let (login, rest) = backend.config.url.rsplit_once('@').unwrap();
    let (address, database) = rest.split_once('/').unwrap();
    let server = if address.contains(':') { address.into() } else { format!("{address}:5432") };
    let port = front_of(server).await;
    let database = database.split('?').next().unwrap();
    let config = |host: &str, mode, ca: &str| PostgresConfig {
        url: format!("{login}@{host}:{port}/{database}"),
        tls: Some(mode),
        ca_file: Some(file(ca)),
        ..backend.config.clone()
    };

    for (host, mode) in [("localhost", TlsMode::VerifyFull), ("127.0.0.1", TlsMode::VerifyCa)] {
        let store = PostgresSecretsStore::open(&config(host, mode, "ca.pem")).await.unwrap();
        assert_eq!(store.platform_key("ids", b"x").await.unwrap(), b"x", "{host}");
    }
    // The same in the URL alone.
    let parameters = format!("sslmode=verify-full&sslrootcert={}", file("ca.pem").display());
    let url = format!("{login}@localhost:{port}/{database}?{parameters}");
    let in_url = PostgresConfig { url, ..backend.config.clone() };
    PostgresSecretsStore::open(&in_url).await.unwrap();

    // Nothing but an authority: then it counts.
    let implied = |host, ca| PostgresConfig { tls: None, ..config(host, TlsMode::Disable, ca) };
    PostgresSecretsStore::open(&implied("localhost", "ca.pem")).await.unwrap();

    let not_trusted = [
        implied("localhost", "other-ca.pem"),
        implied("127.0.0.1", "ca.pem"),
        config("localhost", TlsMode::VerifyFull, "other-ca.pem"),
        config("localhost", TlsMode::VerifyCa, "other-ca.pem"),
        config("127.0.0.1", TlsMode::VerifyFull, "ca.pem"),
        config("localhost", TlsMode::VerifyFull, "no-such-file.pem"),
    ];
    for config in not_trusted {
        let error = PostgresSecretsStore::open(&config).await.err().unwrap();
        assert!(matches!(error, StoreError::Refused { .. }), "{config:?}: {error:?}");
    }
    // The front has no other way in.
    let error = PostgresSecretsStore::open(&config("localhost", TlsMode::Disable, "ca.pem")).await.err();
    assert!(matches!(error, Some(StoreError::Unavailable { .. })), "{error:?}");
}

/// The server itself, without a front.
#[tokio::test]
async fn a_server_that_offers_both_is_spoken_to_over_tls() {
    let Some(backend) = Postgres::over_tls() else { return };
    let store = backend.secrets().await;
    assert_eq!(store.platform_key("ids", b"x").await.unwrap(), b"x");
    let connected = |ca: &str| PostgresConfig {
        url: format!("{}?application_name={}", backend.config.url, backend.config.secrets_schema),
        ca_file: Some(certificate(ca)),
        ..backend.config.clone()
    };
    // Every connection of this name has TLS.
    let watched = PostgresSecretsStore::open(&connected("ca.pem")).await.unwrap();
    assert_eq!(watched.platform_key("ids", b"y").await.unwrap(), b"x");
    let mut other = backend.connect().await;
    let over_tls: Vec<bool> = sqlx::query_scalar(
        "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = $1",
    )
    .bind(&backend.config.secrets_schema)
    .fetch_all(&mut other)
    .await
    .unwrap();
    assert!(!over_tls.is_empty() && over_tls.iter().all(|tls| *tls), "{over_tls:?}");

    let error = PostgresSecretsStore::open(&connected("foreign-ca.pem")).await.err();
    assert!(matches!(error, Some(StoreError::Refused { .. })), "{error:?}");
}
