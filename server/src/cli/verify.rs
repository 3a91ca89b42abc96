//! `roomlog verify`: the log, read through the accept rule alone, against signed checkpoints. Needs the log and
//! the checkpoints, no key and no store: an auditor may run it on copies.

mod source;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use roomlog_audit::verify::{Report, verify};
use roomlog_audit::{Archive, KeyChain, PublicKey};
use roomlog_eventlog::kafka::KafkaLog;
use roomlog_eventlog::{EventLog, LogIdentity, ReadOnlySqliteLog, discover_identity};
use serde_json::json;
use uuid::Uuid;

use self::source::Source;
use crate::config::{Config, LogKind};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Checkpoints that were kept elsewhere, one JSON object a line, each partition's in the order of their
    /// offsets; by default those in the platform's objects.
    #[arg(long, value_name = "FILE")]
    checkpoints: Option<PathBuf>,
    /// The audit keys, as `GET /v1/audit/keys` gave them; by default those in the platform's objects.
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// The first audit key, as you know it: the chain of keys has to begin with it.
    #[arg(long, value_name = "PUBLIC-KEY")]
    first_key: Option<PublicKey>,
    /// The log that it has to be.
    #[arg(long, value_name = "UUID")]
    log_id: Option<Uuid>,
    /// As JSON, a line for each partition.
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    let log = open(config).await?;
    let identity = discover_identity(&log).await?;
    let Some(identity) = identity else {
        bail!("the log is empty, or its first record is gone: accounts/0 does not name a log")
    };
    if let Some(wanted) = args.log_id.filter(|wanted| *wanted != identity.log_id) {
        bail!("this is the log {}, not {wanted}", identity.log_id);
    }
    let archive = match args.checkpoints.is_some() && args.keys.is_some() {
        true => None,
        false => Some(Archive::new(config.objects()?)),
    };
    let keys = source::keys(args.keys.as_deref(), archive.as_ref(), args.first_key).await?;
    let source = Source::open(args.checkpoints.as_deref(), archive)?;
    let foreign = source.check(identity)?;
    if !args.json {
        greet(identity, keys.as_ref(), args.first_key);
    }
    let unsound = hold(&log, identity, keys.as_ref(), &source, args.json).await? + foreign.len();
    for finding in &foreign {
        println!("FOUND: {finding}");
    }
    ensure!(unsound == 0, "the log is not what was signed: {unsound} findings");
    Ok(())
}

/// Verifies each partition; answers the number of findings.
async fn hold(
    log: &Arc<dyn EventLog>,
    identity: LogIdentity,
    keys: Option<&KeyChain>,
    source: &Source,
    json: bool,
) -> anyhow::Result<usize> {
    let style = ProgressStyle::with_template("{msg} {pos} records, {per_sec} {elapsed}")?;
    let bar = ProgressBar::new_spinner().with_style(style);
    let started = Instant::now();
    let (mut unsound, mut agreeing, mut records) = (0, 0, 0);
    for partition in identity.partitions.all() {
        bar.set_message(partition.to_string());
        let checkpoints = source.of(identity.log_id, partition)?;
        let report = verify(log, identity, partition, keys, checkpoints, |count| bar.inc(count))
            .await
            .with_context(|| partition.to_string())?;
        unsound += report.findings.len();
        agreeing += report.agreeing;
        records += report.accepted + report.skipped.values().sum::<u64>();
        bar.suspend(|| print(&report, json))?;
    }
    bar.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64().max(1e-6);
    let rate = records as f64 / seconds;
    eprintln!("{records} records in {seconds:.1} s: {rate:.0} records/s");
    if agreeing == 0 && unsound == 0 {
        eprintln!(
            "There is no checkpoint: this shows that the log can be read, not that nobody wrote it anew."
        );
    }
    Ok(unsound)
}

fn greet(identity: LogIdentity, keys: Option<&KeyChain>, pinned: Option<PublicKey>) {
    println!("log {}", identity.log_id);
    match (keys, pinned) {
        (None, _) => println!("no audit keys"),
        (Some(keys), Some(_)) => println!("{} audit keys, from the pinned one on", keys.keys().len()),
        (Some(keys), None) => println!(
            "{} audit keys; the first, {}, is taken on trust: name the one that you know with --first-key",
            keys.keys().len(),
            keys.first().key
        ),
    }
}

fn print(report: &Report, json: bool) -> anyhow::Result<()> {
    if !json {
        println!("{report}");
        for finding in &report.findings {
            println!("FOUND in {}: {finding}", report.partition);
        }
        if report.more_findings > 0 {
            println!("… and {} more", report.more_findings);
        }
        return Ok(());
    }
    let findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    let line = json!({
        "partition": report.partition.to_string(),
        "accepted": report.accepted,
        "skipped": report.skipped,
        "next_offset": report.next_offset,
        "head": report.head,
        "checkpoints": report.agreeing,
        "last_checkpoint": report.last.map(|(offset, time)| json!({"next_offset": offset, "time": time})),
        "tail": report.tail,
        "findings": findings,
        "more_findings": report.more_findings,
    });
    println!("{}", serde_json::to_string(&line)?);
    Ok(())
}

/// For reading only: a server may be at work on the log.
async fn open(config: &Config) -> anyhow::Result<Arc<dyn EventLog>> {
    let kind = config.log.kind()?;
    let counts = config.log.partitions(&kind);
    match kind {
        LogKind::Sqlite => {
            let path = config.data.join("log.db");
            ensure!(path.exists(), "there is no log {}", path.display());
            let log = tokio::task::spawn_blocking(move || ReadOnlySqliteLog::open(&path)).await??;
            Ok(Arc::new(log))
        }
        LogKind::Kafka { brokers } => {
            let kafka = config.log.kafka(brokers, counts)?;
            let log = tokio::task::spawn_blocking(move || KafkaLog::open_existing(kafka)).await??;
            Ok(Arc::new(log))
        }
    }
}
