//! `roomlog projections list|rebuild|retry`: on the stores themselves. Where they are SQLite, while no
//! server runs on them.

use std::collections::BTreeMap;

use anyhow::bail;
use clap::{Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use roomlog_projectors::Retried;
use roomlog_stores::progress::Projection;
use roomlog_stores::quarantine::{Quarantine, Quarantined, Subject};
use roomlog_web::view::timestamp;
use uuid::Uuid;

use crate::config::Config;
use crate::platform::Platform;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Where every projection stands, beside the log's end.
    List {
        /// As JSON, one line each.
        #[arg(long)]
        json: bool,
    },
    /// Build a projection anew from the log, beside the old one, and replace it. Stop the server first.
    Rebuild { projection: Name },
    /// Apply what is in quarantine after all, in order, once its cause is gone.
    Retry {
        projection: Name,
        /// One root room, or account, instead of all.
        #[arg(long, value_name = "ID")]
        room: Option<Uuid>,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Name {
    RoomEvents,
    Directory,
}

impl From<Name> for Projection {
    fn from(name: Name) -> Self {
        match name {
            Name::RoomEvents => Projection::RoomEvents,
            Name::Directory => Projection::Directory,
        }
    }
}

pub async fn run(command: Command, config: &Config) -> anyhow::Result<()> {
    if !config.data.exists() {
        bail!("there is no data folder {}", config.data.display());
    }
    let platform = Box::pin(Platform::open(config)).await?;
    match command {
        Command::List { json } => list(&platform, &platform.quarantine, json).await,
        Command::Rebuild { projection } => rebuild(&platform, &platform.quarantine, projection.into()).await,
        Command::Retry { projection, room } => {
            retry(&platform, &platform.quarantine, projection.into(), room.map(Subject)).await
        }
    }
}

async fn list(platform: &Platform, quarantine: &Quarantine, json: bool) -> anyhow::Result<()> {
    let listings = roomlog_projectors::list(&platform.log, &platform.projection_stores()).await?;
    let quarantined = quarantine.store().list().await?;
    if json {
        for listing in listings {
            println!("{}", serde_json::to_string(&listing)?);
        }
        for row in quarantined {
            println!("{}", serde_json::to_string(&row)?);
        }
        return Ok(());
    }
    println!(
        "{:<12} {:>7} {:<11} {:>11} {:>11} {:>7} {:>6}  head",
        "projection", "version", "partition", "next offset", "log end", "lag", "epoch"
    );
    for listing in listings {
        let head = listing.head.map(|head| head.to_string()[..16].to_owned()).unwrap_or_default();
        println!(
            "{:<12} {:>7} {:<11} {:>11} {:>11} {:>7} {:>6}  {head}",
            listing.projection,
            listing.version,
            listing.partition.to_string(),
            listing.next_offset,
            listing.log_end,
            listing.lag,
            listing.epoch,
        );
    }
    for row in &quarantined {
        print_quarantined(row);
    }
    Ok(())
}

fn print_quarantined(row: &Quarantined) {
    println!(
        "\nin quarantine: {} {} {} in {}, {} record{} from offset {} on, since {}{}\n  {}",
        row.projection,
        if row.is_root_room() { "root room" } else { "account" },
        row.subject,
        row.partition,
        row.records,
        if row.records == 1 { "" } else { "s" },
        row.first_offset,
        timestamp(row.since_ms),
        match row.failed_retries {
            0 => String::new(),
            n => format!(", retried {n} times in vain"),
        },
        row.error,
    );
}

async fn retry(
    platform: &Platform,
    quarantine: &Quarantine,
    projection: Projection,
    subject: Option<Subject>,
) -> anyhow::Result<()> {
    let stores = platform.projection_stores();
    let options = Default::default();
    let outcomes =
        roomlog_projectors::retry(projection, subject, &platform.log, &stores, quarantine, &options).await?;
    if outcomes.is_empty() {
        println!("Nothing of {} is in quarantine there.", projection.name());
    }
    let mut left = 0;
    for (subject, outcome) in outcomes {
        match outcome {
            Retried::Over { records } => {
                println!("{subject} is complete again: {records} records were applied.")
            }
            Retried::Failed { left: row } => {
                left += 1;
                print_quarantined(&row);
            }
            Retried::Unanswered => {
                left += 1;
                println!("{subject}: not done yet; a running projector will do it.");
            }
        }
    }
    if left > 0 {
        bail!("{left} stay in quarantine");
    }
    Ok(())
}

async fn rebuild(platform: &Platform, quarantine: &Quarantine, projection: Projection) -> anyhow::Result<()> {
    let style = ProgressStyle::with_template("{msg} [{bar:40}] {pos}/{len} records {elapsed}")?;
    let bar = ProgressBar::new(0).with_style(style.progress_chars("=> ")).with_message(projection.name());
    let mut partitions = BTreeMap::new();
    let rebuilt = roomlog_projectors::rebuild(
        projection,
        &platform.log,
        &platform.projection_stores(),
        Some(quarantine),
        &Default::default(),
        |step| {
            partitions.insert(step.partition, (step.next_offset, step.log_end));
            bar.set_length(partitions.values().map(|(_, end)| end).sum());
            bar.set_position(partitions.values().map(|(next, _)| next).sum());
        },
    )
    .await?;
    bar.finish_and_clear();
    println!(
        "{} was built anew from {} accepted records in {} partitions.",
        projection.name(),
        rebuilt.records,
        rebuilt.partitions
    );
    Ok(())
}
