//! What a start comes to whose certificate or password is wrong. Skipped without
//! `ROOMLOG_TEST_KAFKA_TLS` and `ROOMLOG_TEST_KAFKA_SASL`.

// Clippy knows the tests themselves, not what they share.
#![allow(clippy::unwrap_used)]

mod backends;

use std::time::{Duration, Instant};

use backends::kafka::{Kafka, certificate};
use bytes::Bytes;
use roomlog_eventlog::conformance::{Backend, COUNTS};
use roomlog_eventlog::kafka::security::{Mechanism, Password, Protocol};
use roomlog_eventlog::{
    BroadcastTopic, EventLog, KafkaBroadcast, KafkaConfig, KafkaLog, KafkaSecurity, LogError, NewRecord,
    Topic, TopicPartition,
};

/// The log waits 3 s for such a thing to pass; the rest is for a busy machine.
const SOON: Duration = Duration::from_secs(9);

/// The reason why nothing opens.
async fn refused(kafka: &Kafka) -> String {
    let begun = Instant::now();
    let reason = match kafka.try_open().await {
        Err(LogError::Fatal(reason)) => reason,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the log opened"),
    };
    assert!(begun.elapsed() < SOON, "{:?}: {reason}", begun.elapsed());
    let config = kafka.config.clone();
    let broadcast =
        tokio::task::spawn_blocking(move || KafkaBroadcast::open(&config, BroadcastTopic::Members));
    assert!(matches!(broadcast.await.unwrap(), Err(LogError::Fatal(_))));
    reason
}

async fn opens_and_appends(kafka: Kafka) {
    let log = kafka.try_open().await.unwrap();
    assert_eq!(log.partitions(), COUNTS);
    let partition = TopicPartition::new(Topic::Rooms, 0);
    let record = NewRecord { value: Bytes::from_static(b"v"), ..NewRecord::default() };
    log.append(partition, record).await.unwrap();
    kafka.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_of_another_ca_is_not_believed() {
    let Some(mut kafka) = Kafka::over_tls() else { return };
    kafka.config.security.ca_file = Some(certificate("foreign-ca.pem").into());
    let reason = refused(&kafka).await;
    assert!(reason.contains("certificate verify failed"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_refuses_a_client_without_its_cas_certificate() {
    let Some(mut kafka) = Kafka::over_tls() else { return };
    kafka.config.security.cert_file = Some(certificate("foreign.pem").into());
    kafka.config.security.key_file = Some(certificate("foreign.key").into());
    let reason = refused(&kafka).await;
    assert!(reason.contains("SSL"), "{reason}");
    kafka.config.security.cert_file = None;
    kafka.config.security.key_file = None;
    let reason = refused(&kafka).await;
    assert!(reason.contains("SSL"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_said_to_be_one() {
    let Some(mut kafka) = Kafka::over_sasl(Mechanism::ScramSha256) else { return };
    kafka.config.security.password = Some(Password("wrong".into()));
    let reason = refused(&kafka).await;
    assert!(reason.contains("Authentication failed"), "{reason}");
    assert!(!format!("{:?}", kafka.config).contains("wrong"), "a password is not for the eyes");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mechanism_works() {
    for mechanism in [Mechanism::ScramSha256, Mechanism::ScramSha512] {
        let Some(kafka) = Kafka::over_sasl(mechanism) else { return };
        opens_and_appends(kafka).await;
    }
}

#[test]
fn what_cannot_work_is_refused_before_anything_is_tried() {
    let reason = |change: fn(&mut KafkaSecurity)| {
        let mut config = KafkaConfig { allow_weak: true, ..KafkaConfig::new("127.0.0.1:9", COUNTS) };
        change(&mut config.security);
        match KafkaLog::open(config) {
            Err(LogError::Fatal(reason)) => reason,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("opened"),
        }
    };
    let no_effect = reason(|security| security.ca_file = Some("ca.pem".into()));
    assert_eq!(no_effect, "certificates for Kafka have no effect with the protocol plaintext");
    let no_effect = reason(|security| security.user = Some("roomlog".into()));
    assert_eq!(no_effect, "a user for Kafka has no effect with the protocol plaintext");
    let half = reason(|security| {
        security.protocol = Protocol::Ssl;
        security.cert_file = Some("cert.pem".into());
    });
    assert_eq!(half, "a certificate for Kafka and its key go together");
    let missing = reason(|security| {
        security.protocol = Protocol::Ssl;
        security.ca_file = Some("no/such/ca.pem".into());
    });
    assert!(missing.starts_with("cannot read no/such/ca.pem: "), "{missing}");
    let no_password = reason(|security| {
        security.protocol = Protocol::SaslSsl;
        security.mechanism = Some(Mechanism::Plain);
        security.user = Some("roomlog".into());
    });
    assert_eq!(no_password, "the protocol sasl_ssl needs a mechanism, a user and a password");
}

#[test]
fn settings_are_spelled_as_kafka_spells_them() {
    let text = r#"{"protocol":"sasl_ssl","mechanism":"SCRAM-SHA-512","user":"u","password":"p"}"#;
    let security: KafkaSecurity = serde_json::from_str(text).unwrap();
    assert_eq!((security.protocol, security.mechanism), (Protocol::SaslSsl, Some(Mechanism::ScramSha512)));
}
