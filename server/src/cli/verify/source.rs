//! Where the checkpoints and keys come from that a log is held against.

use std::fs::File;
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};

use anyhow::Context;
use futures::stream::{self, BoxStream, StreamExt};
use roomlog_audit::verify::VerifyError;
use roomlog_audit::{Archive, AuditKey, Checkpoint, KeyChain, PublicKey};
use roomlog_eventlog::{LogIdentity, TopicPartition};
use serde::Deserialize;
use uuid::Uuid;

#[derive(Deserialize)]
struct KeyList {
    items: Vec<AuditKey>,
}

/// `None` if there are none in the archive.
pub async fn keys(
    file: Option<&Path>,
    archive: Option<&Archive>,
    pinned: Option<PublicKey>,
) -> anyhow::Result<Option<KeyChain>> {
    let keys = match (file, archive) {
        (Some(file), _) => {
            let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            let list: KeyList = serde_json::from_slice(&text).with_context(|| file.display().to_string())?;
            list.items
        }
        (None, Some(archive)) => archive.keys().await?,
        (None, None) => Vec::new(),
    };
    if keys.is_empty() && file.is_none() && pinned.is_none() {
        return Ok(None);
    }
    Ok(Some(KeyChain::verified(keys, pinned).context("the chain of audit keys is broken")?))
}

/// Checkpoints, partition by partition.
pub enum Source {
    File(PathBuf),
    Archive(Archive),
}

impl Source {
    pub fn open(file: Option<&Path>, archive: Option<Archive>) -> anyhow::Result<Self> {
        match (file, archive) {
            (Some(file), _) => Ok(Self::File(file.to_owned())),
            (None, Some(archive)) => Ok(Self::Archive(archive)),
            (None, None) => anyhow::bail!("there are no checkpoints"),
        }
    }

    /// What no partition's turn comes to: checkpoints in the file of partitions that this log does not have.
    pub fn check(&self, identity: LogIdentity) -> anyhow::Result<Vec<String>> {
        let Self::File(file) = self else { return Ok(Vec::new()) };
        let mut foreign = Vec::new();
        for checkpoint in checkpoints(file)? {
            let checkpoint = checkpoint?;
            let partition = checkpoint.topic_partition();
            if partition.partition >= identity.partitions.of(partition.topic) {
                foreign.push(format!("a checkpoint of {partition}, which this log does not have"));
            }
        }
        foreign.dedup();
        Ok(foreign)
    }

    /// In the order in which they are there, whatever log they are of.
    pub fn of(
        &self,
        log_id: Uuid,
        partition: TopicPartition,
    ) -> anyhow::Result<BoxStream<'_, Result<Checkpoint, VerifyError>>> {
        match self {
            Self::Archive(archive) => {
                Ok(archive.all(log_id, partition).map(|next| next.map_err(VerifyError::from)).boxed())
            }
            // Once for each partition: a file may be larger than the memory.
            Self::File(file) => {
                let all = checkpoints(file)?;
                let of_partition = all.filter(move |checkpoint| match checkpoint {
                    Ok(checkpoint) => checkpoint.topic_partition() == partition,
                    Err(_) => true,
                });
                let said =
                    of_partition.map(|next| next.map_err(|error| VerifyError::Source(format!("{error:#}"))));
                Ok(stream::iter(said).boxed())
            }
        }
    }
}

fn checkpoints(
    file: &Path,
) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Checkpoint>> + Send + use<>> {
    let open = File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
    let lines: Lines<BufReader<File>> = BufReader::new(open).lines();
    let name = file.display().to_string();
    let numbered =
        lines.enumerate().filter(|(_, line)| !line.as_ref().is_ok_and(|line| line.trim().is_empty()));
    Ok(numbered.map(move |(number, line)| {
        let place = || format!("{name}, line {}", number + 1);
        let line = line.with_context(place)?;
        serde_json::from_str(&line).with_context(place)
    }))
}
