//! The driver's errors as the store's: what may pass by waiting, and what does not.

use scylla::errors::{
    ConnectionError, ConnectionPoolError, ConnectionSetupRequestErrorKind, DbError, ExecutionError,
    MetadataError, NewSessionError, PrepareError, RequestAttemptError,
};

use super::STORE;
use crate::StoreError;

pub(super) fn refused<T>(what: impl Into<String>) -> Result<T, StoreError> {
    Err(StoreError::Refused { store: STORE, source: what.into().into() })
}

pub(super) fn damaged(what: impl Into<String>) -> StoreError {
    StoreError::Damaged { store: STORE, what: what.into() }
}

pub(super) fn bad_row(what: impl Into<String>) -> StoreError {
    StoreError::BadRow { store: STORE, what: what.into() }
}

pub(super) fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Unavailable { store: STORE, source: source.into() }
}

pub(super) fn session_failed(error: NewSessionError) -> StoreError {
    match &error {
        NewSessionError::MetadataError(MetadataError::ConnectionPoolError(pool)) if is_refusal(pool) => {
            StoreError::Refused { store: STORE, source: error.to_string().into() }
        }
        NewSessionError::EmptyKnownNodesList | NewSessionError::IllegalConfig(_) => {
            StoreError::Refused { store: STORE, source: error.to_string().into() }
        }
        // A name that cannot be resolved now, too: name servers come and go.
        _ => unavailable(error),
    }
}

pub(super) fn failed(error: ExecutionError) -> StoreError {
    let lasting = match &error {
        ExecutionError::LastAttemptError(attempt) => will_not_pass(attempt),
        ExecutionError::PrepareError(PrepareError::AllAttemptsFailed { first_attempt }) => {
            will_not_pass(first_attempt)
        }
        ExecutionError::ConnectionPoolError(pool)
        | ExecutionError::PrepareError(PrepareError::ConnectionPoolError(pool)) => is_refusal(pool),
        ExecutionError::BadQuery(_) => true,
        _ => false,
    };
    if lasting {
        StoreError::Refused { store: STORE, source: error.to_string().into() }
    } else {
        unavailable(error)
    }
}

pub(super) fn prepare_failed(error: PrepareError) -> StoreError {
    failed(error.into())
}

fn will_not_pass(attempt: &RequestAttemptError) -> bool {
    match attempt {
        RequestAttemptError::DbError(error, _) => matches!(
            error,
            DbError::SyntaxError
                | DbError::Invalid
                | DbError::AuthenticationError
                | DbError::Unauthorized
                | DbError::ConfigError
                | DbError::ProtocolError
        ),
        RequestAttemptError::SerializationError(_) => true,
        _ => false,
    }
}

/// Whether nodes can be reached and don't let this client in.
fn is_refusal(pool: &ConnectionPoolError) -> bool {
    let ConnectionPoolError::Broken {
        last_connection_error: ConnectionError::ConnectionSetupRequestError(setup),
    } = pool
    else {
        return false;
    };
    matches!(
        setup.get_error(),
        ConnectionSetupRequestErrorKind::DbError(
            DbError::AuthenticationError | DbError::Unauthorized | DbError::ProtocolError,
            _
        ) | ConnectionSetupRequestErrorKind::MissingAuthentication
            | ConnectionSetupRequestErrorKind::StartAuthSessionError(_)
            | ConnectionSetupRequestErrorKind::AuthChallengeEvaluationError(_)
            | ConnectionSetupRequestErrorKind::AuthFinishError(_)
    )
}
