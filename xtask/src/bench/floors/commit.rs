//! Bare commits to SQLite, with the settings of the log: written ahead, synced at every commit.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rusqlite::Connection;

use super::log::RECORD_BYTES;
use super::plan::CommitPlan;
use crate::bench::figures::{Figures, Latencies};

const GROUP: usize = 100;

pub fn run(plan: &CommitPlan) -> Result<Figures> {
    let mut connection = open(plan).context("cannot open a database")?;
    let seconds = Duration::from_secs(plan.seconds.into());
    let mut figures = Figures::new();
    commit_for(seconds, 1, &mut connection)?.report("commit_of_1", &mut figures);
    commit_for(seconds, GROUP, &mut connection)?.report("commit_of_100", &mut figures);
    Ok(figures)
}

fn open(plan: &CommitPlan) -> rusqlite::Result<Connection> {
    let connection = Connection::open(&plan.file)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch("CREATE TABLE records (offset INTEGER PRIMARY KEY, value BLOB NOT NULL)")?;
    Ok(connection)
}

/// Commits one after the other.
fn commit_for(duration: Duration, records: usize, connection: &mut Connection) -> rusqlite::Result<Commits> {
    let value = vec![0x5a_u8; RECORD_BYTES];
    let mut commits = Commits::default();
    let started = Instant::now();
    while started.elapsed() < duration {
        let begun = Instant::now();
        let transaction = connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO records (value) VALUES (?)")?;
            for _ in 0..records {
                insert.execute([&value])?;
            }
        }
        transaction.commit()?;
        commits.latencies.record(begun.elapsed());
        commits.records += records as u64;
    }
    commits.elapsed = started.elapsed();
    Ok(commits)
}

#[derive(Default)]
struct Commits {
    latencies: Latencies,
    records: u64,
    elapsed: Duration,
}

impl Commits {
    fn report(&self, name: &str, figures: &mut Figures) {
        self.latencies.report(name, figures);
        let per_second = self.records as f64 / self.elapsed.as_secs_f64();
        figures.insert(format!("{name}_records_per_s"), per_second);
    }
}
