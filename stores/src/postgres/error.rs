//! Which of the server's errors are worth another attempt.

use sqlx::Error;
use sqlx::migrate::{MigrateError, Migrator};

use crate::StoreError;

#[derive(Debug, PartialEq, Eq)]
enum Class {
    Unavailable,
    Refused,
    RowsRefused,
    BadRow,
    Damaged,
}

pub(super) fn failed(store: &'static str, error: Error) -> StoreError {
    match class(&error) {
        Class::Unavailable => StoreError::Unavailable { store, source: error.into() },
        Class::Refused => StoreError::Refused { store, source: error.into() },
        Class::RowsRefused => StoreError::RowsRefused { store, source: error.into() },
        Class::BadRow => StoreError::BadRow { store, what: error.to_string() },
        Class::Damaged => StoreError::Damaged { store, what: error.to_string() },
    }
}

pub(super) fn migration_failed(
    store: &'static str,
    migrations: &Migrator,
    error: MigrateError,
) -> StoreError {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => failed(store, error),
        MigrateError::VersionMissing(found) | MigrateError::VersionTooNew(found, _) => {
            StoreError::NewerVersion { store, found, known: newest(migrations) }
        }
        other => StoreError::Damaged { store, what: other.to_string() },
    }
}

/// The number of the newest migration that this build knows.
pub(super) fn newest(migrations: &Migrator) -> i64 {
    migrations.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Whether the connection can't be used any more.
pub(super) fn is_connection_lost(error: &Error) -> bool {
    match error {
        Error::Io(_) | Error::Tls(_) | Error::Protocol(_) => true,
        Error::Database(error) => {
            error.code().is_some_and(|code| code.starts_with("08") || code.starts_with("57P"))
        }
        _ => false,
    }
}

/// Whether somebody else held a lock for too long.
pub(super) fn is_lock_contention(error: &Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| matches!(&*code, "55P03" | "40P01"))
}

fn class(error: &Error) -> Class {
    match error {
        Error::Database(error) => error.code().map_or(Class::Unavailable, |code| class_of_code(&code)),
        Error::Configuration(_) | Error::Tls(_) => Class::Refused,
        Error::Io(error) if is_tls(error) => Class::Refused,
        Error::ColumnDecode { .. } | Error::Decode(_) => Class::BadRow,
        Error::TypeNotFound { .. }
        | Error::ColumnIndexOutOfBounds { .. }
        | Error::ColumnNotFound(_)
        | Error::Encode(_)
        | Error::InvalidArgument(_) => Class::Damaged,
        _ => Class::Unavailable,
    }
}

/// A handshake that failed on a certificate comes as an error of the connection.
fn is_tls(error: &std::io::Error) -> bool {
    let mut source = error.get_ref().map(|error| error as &(dyn std::error::Error + 'static));
    while let Some(error) = source {
        if matches!(error.downcast_ref(), Some(rustls::Error::InvalidCertificate(_))) {
            return true;
        }
        source = error.source();
    }
    false
}

/// By SQLSTATE. What is not named here may pass: connections (08), conflicts (25, 40, 55), resources
/// (53, 54), shut-down, fail-over and timeouts (57), the system (58).
fn class_of_code(code: &str) -> Class {
    match code {
        // No such user, wrong password, no such database, no right to do this.
        "28000" | "28P01" | "3D000" | "42501" => Class::Refused,
        // Corrupted data, a corrupted index.
        "XX001" | "XX002" => Class::Damaged,
        // Values, such as a zero in a text, and constraints.
        _ if ["22", "23"].iter().any(|class| code.starts_with(class)) => Class::RowsRefused,
        // Features, cardinality, schemas, statements: tables or columns that are not there are among
        // the last.
        _ if ["0A", "21", "3F", "42"].iter().any(|class| code.starts_with(class)) => Class::Damaged,
        _ => Class::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_tried_again() {
        let transient = [
            "08006", "25006", "25P03", "40001", "40P01", "53300", "55P03", "57014", "57P01", "57P03", "58030",
        ];
        for code in transient {
            assert_eq!(class_of_code(code), Class::Unavailable, "{code}");
        }
        for code in ["28000", "28P01", "3D000", "42501"] {
            assert_eq!(class_of_code(code), Class::Refused, "{code}");
        }
        for code in ["22021", "23502"] {
            assert_eq!(class_of_code(code), Class::RowsRefused, "{code}");
        }
        for code in ["42P01", "42703", "42601", "0A000", "XX001"] {
            assert_eq!(class_of_code(code), Class::Damaged, "{code}");
        }
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        assert_eq!(class(&Error::Io(refused)), Class::Unavailable);
        assert_eq!(class(&Error::PoolTimedOut), Class::Unavailable);
        assert_eq!(class(&Error::ColumnNotFound("x".into())), Class::Damaged);
    }
}
