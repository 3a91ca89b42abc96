//! The migrations of each store, embedded in the program.
//!
//! `sqlx::migrate!` does the same; but to build that macro cargo compiles sqlx, both of its drivers, SQLite and a library
//! for TLS a second time, which takes longer than everything else in this crate.

use std::sync::LazyLock;

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// The files of a folder of `migrations`; a test looks whether all are named.
macro_rules! embedded {
    ($folder:literal: $($file:literal),+) => {
        Migrator::with_migrations(vec![$(migration(
            $file,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/", $folder, "/", $file)),
        )),+])
    };
}

pub static SQLITE_DIRECTORY: LazyLock<Migrator> =
    LazyLock::new(|| embedded!("sqlite/directory": "0001_directory.sql", "0002_roles.sql"));
pub static SQLITE_QUARANTINE: LazyLock<Migrator> =
    LazyLock::new(|| embedded!("sqlite/quarantine": "0001_quarantine.sql"));
pub static SQLITE_SECRETS: LazyLock<Migrator> = LazyLock::new(
    || embedded!("sqlite/secrets": "0001_secrets.sql", "0002_session_account.sql", "0003_session_end.sql"),
);

pub static POSTGRES_DIRECTORY: LazyLock<Migrator> = LazyLock::new(|| {
    of_many_processes(embedded!("postgres/directory": "0001_directory.sql", "0002_roles.sql"))
});
pub static POSTGRES_QUARANTINE: LazyLock<Migrator> =
    LazyLock::new(|| of_many_processes(embedded!("postgres/quarantine": "0001_quarantine.sql")));
pub static POSTGRES_SECRETS: LazyLock<Migrator> = LazyLock::new(|| {
    of_many_processes(
        embedded!("postgres/secrets": "0001_secrets.sql", "0002_session_account.sql", "0003_session_end.sql"),
    )
});

fn of_many_processes(mut migrations: Migrator) -> Migrator {
    // Those of a newer build: `compatibility` says whether this one may go on with them.
    migrations.set_ignore_missing(true);
    // Whoever runs them holds our own lock.
    migrations.set_locking(false);
    migrations
}

/// As sqlx understands a file of this name: its number, its description, and whether it runs outside a transaction.
fn migration(file: &str, sql: &'static str) -> Migration {
    let stem = file.strip_suffix(".sql").expect("named above, as a file of SQL");
    let (number, description) = stem.split_once('_').expect("named above, with a number and a description");
    Migration::new(
        number.parse().expect("named above, with a number"),
        description.replace('_', " ").into(),
        MigrationType::Simple,
        sql.into_sql_str(),
        sql.starts_with("-- no-transaction"),
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[tokio::test]
    async fn every_file_is_embedded_as_sqlx_reads_it() {
        for (folder, embedded) in [
            ("sqlite/directory", &SQLITE_DIRECTORY),
            ("sqlite/quarantine", &SQLITE_QUARANTINE),
            ("sqlite/secrets", &SQLITE_SECRETS),
            ("postgres/directory", &POSTGRES_DIRECTORY),
            ("postgres/quarantine", &POSTGRES_QUARANTINE),
            ("postgres/secrets", &POSTGRES_SECRETS),
        ] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(folder);
            let files = Migrator::new(folder.as_path()).await.unwrap();
            let facts = |migrator: &Migrator| -> Vec<_> {
                let facts = |it: &Migration| {
                    (it.version, it.description.clone(), it.migration_type, it.checksum.clone(), it.no_tx)
                };
                migrator.iter().map(facts).collect()
            };
            assert!(!facts(&files).is_empty());
            assert_eq!(facts(embedded), facts(&files), "{}", folder.display());
        }
    }
}
