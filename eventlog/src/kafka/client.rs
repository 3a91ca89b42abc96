//! What all clients of librdkafka have in common.

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::port::LogError;

/// Passes what librdkafka says on to `tracing`.
pub(super) struct Context;

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        report(&error, reason);
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
