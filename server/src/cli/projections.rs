//! `roomlog projections list|rebuild|retry`: on the stores themselves, which must be nobody else's where
//! they are SQLite; or, for the quarantine, with `--url` through a platform that runs.

mod remote;

use std::collections::BTreeMap;

use anyhow::bail;
use clap::{Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use roomlog_projectors::Retried;
use roomlog_query_api::quarantine::ProjectionName;
use roomlog_stores::progress::Projection;
use roomlog_stores::quarantine::{Quarantine, Quarantined, Subject};
use roomlog_web::view::timestamp;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::config::Config;
use crate::patience::Patience;
use crate::platform::Platform;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Where every projection stands, beside the log's end, and what is in quarantine.
    List {
        /// As JSON, one line each.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        platform: remote::Platform,
    },
    /// Build a projection anew from the log, beside the old one, and replace it. Stop the server first.
    Rebuild { projection: Name },
    /// Apply what is in quarantine after all, in order, once its cause is gone.
    Retry {
        projection: Name,
        /// One root room, or account, instead of all.
        #[arg(long, value_name = "ID")]
        room: Option<Uuid>,
        #[command(flatten)]
        platform: remote::Platform,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Name {
    RoomEvents,
    Directory,
}

impl From<Name> for ProjectionName {
    fn from(name: Name) -> Self {
        match name {
            Name::RoomEvents => ProjectionName::RoomEvents,
            Name::Directory => ProjectionName::Directory,
        }
    }
}

impl From<Name> for Projection {
    fn from(name: Name) -> Self {
        ProjectionName::from(name).into()
    }
}

pub async fn run(command: Command, config: &Config) -> anyhow::Result<()> {
    match &command {
        Command::List { json, platform } => {
            if let Some(remote) = platform.remote(config)? {
                return remote.list(*json).await;
            }
        }
        Command::Retry { projection, room, platform } => {
            if let Some(remote) = platform.remote(config)? {
                return remote.retry((*projection).into(), *room).await;
            }
        }
        Command::Rebuild { .. } => {}
    }
    if !config.data.exists() {
        bail!("there is no data folder {}", config.data.display());
    }
    let platform = Box::pin(Platform::open(config, Patience::None)).await?;
    match command {
        Command::List { json, .. } => list(&platform, &platform.quarantine, json).await,
        Command::Rebuild { projection } => rebuild(&platform, &platform.quarantine, projection.into()).await,
        Command::Retry { projection, room, .. } => {
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
    for row in quarantined {
        print(&row.into());
    }
    Ok(())
}

/// What is in quarantine, as a person is told.
struct Shown {
    projection: String,
    is_root_room: bool,
    subject: Uuid,
    partition: String,
    records: u64,
    first_offset: u64,
    since: OffsetDateTime,
    failed_retries: u64,
    error: String,
}

impl From<Quarantined> for Shown {
    fn from(row: Quarantined) -> Self {
        Self {
            is_root_room: row.is_root_room(),
            projection: row.projection.to_owned(),
            subject: row.subject.0,
            partition: row.partition.to_string(),
            records: row.records,
            first_offset: row.first_offset,
            since: timestamp(row.since_ms),
            failed_retries: row.failed_retries,
            error: row.error,
        }
    }
}

fn print(row: &Shown) {
    println!(
        "\nin quarantine: {} {} {} in {}, {} record{} from offset {} on, since {}{}\n  {}",
        row.projection,
        if row.is_root_room { "root room" } else { "account" },
        row.subject,
        row.partition,
        row.records,
        if row.records == 1 { "" } else { "s" },
        row.first_offset,
        row.since,
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
                print(&row.into());
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
