//! `roomlog keys list|rotate|revoke`: the keys that sign access tokens, and `roomlog keys audit list|rotate`: those
//! that sign checkpoints. Works on the secrets store, also while servers run on it: they read the keys every
//! minute.

mod audit;

use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Subcommand;
use roomlog_stores::postgres::PostgresSecretsStore;
use roomlog_stores::sqlite::SqliteSecretsStore;
use roomlog_stores::{MasterKey, Sealer, SecretsStore};
use roomlog_web::token::keys::{KeySet, Standing};
use roomlog_web::token::{LIFETIME, unix_seconds};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::config::Config;

/// Copies of the published keys may be five minutes old, those of the processes one.
const SHORTEST_ANNOUNCEMENT: u64 = 6;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// The keys and what they are for.
    List {
        /// As JSON, one line each.
        #[arg(long)]
        json: bool,
    },
    /// Add a key that signs after a while; the others stay good until their tokens have expired.
    Rotate {
        /// In how many minutes it signs. 0 is for a key that has become known, before `revoke`: then
        /// processes may refuse new tokens for up to a minute, and verifiers elsewhere for five.
        #[arg(long, value_name = "MINUTES", default_value_t = 10)]
        after: u64,
    },
    /// Destroy a key that does not sign; its tokens are refused within a minute.
    Revoke {
        /// Its id (`kid`).
        // One in 64 begins with a hyphen.
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
    /// The keys that sign checkpoints of the log.
    #[command(subcommand)]
    Audit(audit::Command),
}

pub async fn run(command: Command, config: &Config) -> anyhow::Result<()> {
    if let Command::Audit(command) = command {
        return audit::run(command, config).await;
    }
    let (keys, _) = open(config).await?;
    let now = unix_seconds();
    match command {
        Command::List { json } => list(&KeySet::load(&keys).await?, now, json),
        Command::Rotate { after } => {
            let signs_from = after.checked_mul(60).and_then(|seconds| now.checked_add(seconds));
            let signs_from = signs_from.context("that is too far ahead")?;
            // In tokens, and in the key's name.
            time_of(signs_from)?;
            let set = KeySet::rotate(&keys, signs_from, now).await?;
            if after < SHORTEST_ANNOUNCEMENT {
                eprintln!(
                    "Announced for less than {SHORTEST_ANNOUNCEMENT} minutes: some may refuse its tokens until they have read the keys anew."
                );
            }
            list(&set, now, false)
        }
        Command::Revoke { id } => {
            if !KeySet::revoke(&keys, &id, now).await? {
                bail!("there is no key {id}");
            }
            println!("{id} is destroyed; servers refuse its tokens within a minute.");
            Ok(())
        }
        Command::Audit(_) => unreachable!("done above"),
    }
}

async fn open(config: &Config) -> anyhow::Result<(Sealer, Arc<dyn SecretsStore>)> {
    // A mistyped name must not make a platform of its own.
    if !config.master_key_file().exists() {
        bail!("there is no master key {}", config.master_key_file().display());
    }
    let secrets: Arc<dyn SecretsStore> = match config.stores.postgres()? {
        Some((_, secrets)) => Arc::new(PostgresSecretsStore::open(&secrets).await?),
        None => Arc::new(SqliteSecretsStore::open(&config.data).await?),
    };
    let master = MasterKey::load_or_create(&config.master_key_file())?;
    Ok((Sealer::new(secrets.clone(), master, 0), secrets))
}

#[derive(Serialize)]
struct Listed<'a> {
    kid: &'a str,
    standing: &'static str,
    /// Null for the first key.
    signs_from: Option<String>,
    /// Of a key that another has replaced.
    accepted_until: Option<String>,
}

fn list(keys: &KeySet, now: u64, json: bool) -> anyhow::Result<()> {
    if !json {
        println!("{:<44} {:<10} {:<21} accepted until", "id (kid)", "", "signs from");
    }
    for (key, standing) in keys.standings(now) {
        let (standing, until) = match standing {
            Standing::Announced => ("announced", None),
            Standing::Signing => ("signs", None),
            Standing::Accepted { until } => ("accepted", Some(until)),
            Standing::Gone => ("gone", None),
        };
        let listed = Listed {
            kid: &key.id,
            standing,
            signs_from: (key.signs_from > 0).then(|| time_of(key.signs_from)).transpose()?,
            accepted_until: until.map(time_of).transpose()?,
        };
        if json {
            println!("{}", serde_json::to_string(&listed)?);
            continue;
        }
        let Listed { kid, standing, signs_from, accepted_until } = listed;
        println!(
            "{kid:<44} {standing:<10} {:<21} {}",
            signs_from.as_deref().unwrap_or("the beginning"),
            accepted_until.as_deref().unwrap_or("-")
        );
    }
    if !json {
        println!("A token is valid for {} minutes.", LIFETIME.as_secs() / 60);
    }
    Ok(())
}

fn time_of(seconds: u64) -> anyhow::Result<String> {
    let time = i64::try_from(seconds).ok().and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok());
    Ok(time.context("that is too far ahead")?.format(&Rfc3339)?)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::Cli;

    #[test]
    fn an_id_may_begin_with_a_hyphen() {
        for id in ["-q2pYx0", "-_-", "--a", "q2pYx0"] {
            let cli = Cli::try_parse_from(["roomlog", "keys", "revoke", id]);
            assert!(cli.is_ok(), "{id}: {}", cli.unwrap_err());
        }
    }
}
