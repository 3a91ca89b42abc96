//! What all clients of librdkafka have in common.

use std::sync::Mutex;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::port::LogError;

/// Passes what librdkafka says on to `tracing`.
#[derive(Default)]
pub(super) struct Context {
    trouble: Mutex<Trouble>,
}

/// What the library has said of its connections, last.
#[derive(Default, Clone)]
pub(super) struct Trouble {
    pub reason: Option<String>,
    /// Why a connection came to nothing because the two ends do not trust each other.
    pub distrust: Option<String>,
}

impl Context {
    pub fn trouble(&self) -> Trouble {
        self.trouble.lock().expect("no holder panics").clone()
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        use RDKafkaErrorCode as Code;
        report(&error, reason);
        let is_distrust = matches!(
            error.rdkafka_error_code(),
            Some(
                Code::SSL
                    | Code::Authentication
                    | Code::SaslAuthenticationFailed
                    | Code::UnsupportedSASLMechanism
            )
        );
        // With TLS 1.3 a broker refuses a certificate after the handshake: for the library the connection broke.
        let is_refusal = reason.contains(" alert ");
        let mut trouble = self.trouble.lock().expect("no holder panics");
        if is_distrust || is_refusal {
            trouble.distrust = Some(reason.to_owned());
        }
        trouble.reason = Some(reason.to_owned());
    }
}

impl ConsumerContext for Context {}

pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        // It tries again by itself; whoever waits for it reports what that led to.
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => {
            tracing::warn!(facility, "librdkafka: {message}");
        }
        RDKafkaLogLevel::Warning => tracing::info!(facility, "librdkafka: {message}"),
        _ => tracing::debug!(facility, "librdkafka: {message}"),
    }
}

pub(super) fn report(error: &KafkaError, reason: &str) {
    tracing::info!(%error, "librdkafka: {reason}");
}

/// For everything but an append that may have been sent.
pub(super) fn log_error(what: &str, error: &KafkaError) -> LogError {
    use RDKafkaErrorCode as Code;
    let fatal = match error {
        KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) => true,
        _ => matches!(
            error.rdkafka_error_code(),
            Some(
                Code::TopicAuthorizationFailed
                    | Code::GroupAuthorizationFailed
                    | Code::ClusterAuthorizationFailed
                    | Code::SaslAuthenticationFailed
                    | Code::UnsupportedSASLMechanism
                    | Code::MessageSizeTooLarge
                    | Code::PolicyViolation
                    | Code::SSL
            )
        ),
    };
    let reason = format!("{what}: {error}");
    if fatal { LogError::Fatal(reason) } else { LogError::Unavailable(reason) }
}
