//! `roomlog projections list|rebuild`: on the stores themselves, while no server runs on them.

use anyhow::bail;
use clap::{Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use roomlog_stores::progress::Projection;
use std::collections::BTreeMap;

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
    let platform = Platform::open(config).await?;
    match command {
        Command::List { json } => list(&platform, json).await,
        Command::Rebuild { projection } => rebuild(&platform, projection.into()).await,
    }
}

async fn list(platform: &Platform, json: bool) -> anyhow::Result<()> {
    let listings = roomlog_projectors::list(&platform.log, &platform.projection_stores()).await?;
    if json {
        for listing in listings {
            println!("{}", serde_json::to_string(&listing)?);
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
    Ok(())
}

async fn rebuild(platform: &Platform, projection: Projection) -> anyhow::Result<()> {
    let style = ProgressStyle::with_template("{msg} [{bar:40}] {pos}/{len} records {elapsed}")?;
    let bar = ProgressBar::new(0).with_style(style.progress_chars("=> ")).with_message(projection.name());
    let mut partitions = BTreeMap::new();
    let rebuilt = roomlog_projectors::rebuild(
        projection,
        &platform.log,
        &platform.projection_stores(),
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
