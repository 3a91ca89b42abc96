//! The log itself, through its port: read for the checks, and written to as only a fault would.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use roomlog_eventlog::frame::encode_claim;
use roomlog_eventlog::{
    Chain, Claim, Command, Content, EventLog, Follower, KafkaConfig, KafkaLog, LogIdentity, NewRecord,
    Outcome, PartitionCounts, SqliteLog, TopicPartition, discover_identity,
};
use roomlog_schemas::{CodecError, Event, History};
use uuid::Uuid;

use super::history::{self, What};

/// What was promised to be there has to come.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Well below what a backend takes before it has stored any of it.
const MOST_UNCONFIRMED: usize = 8_192;
/// Of a log that exists its own counts hold.
const COUNTS: PartitionCounts = PartitionCounts { accounts: 1, rooms: 4 };

#[derive(Debug, Clone)]
pub enum Log {
    /// To be opened only while no server runs on it.
    Sqlite {
        file: PathBuf,
    },
    Kafka {
        brokers: String,
    },
}

impl Log {
    pub fn open(&self) -> Result<Opened> {
        let log: Arc<dyn EventLog> = match self {
            Self::Sqlite { file } => Arc::new(SqliteLog::open(file, COUNTS)?),
            Self::Kafka { brokers } => {
                let mut config = KafkaConfig::new(brokers, COUNTS);
                (config.replication, config.min_isr, config.allow_weak) = (1, 1, true);
                Arc::new(KafkaLog::open(config)?)
            }
        };
        Ok(Opened { log })
    }
}

pub struct Opened {
    log: Arc<dyn EventLog>,
}

/// Where reading stands in a partition, and its last accepted record.
struct Position {
    follower: Follower,
    last_accepted: Option<Bytes>,
}

impl Opened {
    pub fn room_partitions(&self) -> u32 {
        self.log.partitions().rooms
    }

    /// Everything, from offset 0.
    pub async fn read(&self) -> Result<history::Log> {
        let log_id = self.identity().await?.map(|identity| identity.log_id);
        let mut log = history::Log { log_id, ..history::Log::default() };
        for partition in self.log.partitions().all() {
            self.read_partition(partition, |follower, outcome| note(&mut log, partition, follower, outcome))
                .await
                .or_else(|error| {
                    log.stopped.push(format!("{partition}: {error:#}"));
                    Ok::<_, anyhow::Error>(None)
                })?;
        }
        Ok(log)
    }

    /// Appends the last accepted record of a partition again, as a producer's retry would.
    pub async fn double(&self, partition: TopicPartition) -> Result<()> {
        let position = self.read_partition(partition, |_, _| {}).await?.context("an empty log")?;
        let value = position.last_accepted.context("nothing to double")?;
        self.append(partition, value).await
    }

    /// Claims a partition as one who does nothing with it.
    pub async fn claim(&self, partition: TopicPartition) -> Result<()> {
        let identity = self.identity().await?.context("an empty log")?;
        let position = self.read_partition(partition, |_, _| {}).await?.context("an empty log")?;
        let claim = Claim {
            epoch: position.follower.chain().epoch() + 1,
            claim_id: Uuid::new_v4(),
            identity,
            address: "127.0.0.1:1",
        };
        self.append(partition, encode_claim(&claim)).await
    }

    /// Records that are none of the platform's: bytes of somebody else's, a frame that was cut off, and one that
    /// fits no claim.
    pub async fn pollute(&self, partition: TopicPartition) -> Result<()> {
        let position = self.read_partition(partition, |_, _| {}).await?.context("an empty log")?;
        let accepted = position.last_accepted.context("nothing to damage")?;
        let mut other_claim = accepted.to_vec();
        other_claim[6..22].copy_from_slice(Uuid::new_v4().as_bytes());
        let values = [
            Bytes::from_static(b"{\"not\":\"ours\"}"),
            Bytes::from_static(b"RLO"),
            accepted.slice(..accepted.len() - 1),
            other_claim.into(),
        ];
        for value in values {
            self.append(partition, value).await?;
        }
        Ok(())
    }

    /// Appends what somebody else made, in its order and many at a time. Answers how many records that were.
    pub async fn append_all(
        &self,
        partition: TopicPartition,
        records: impl Iterator<Item = Result<NewRecord, CodecError>>,
    ) -> Result<u64> {
        let mut unconfirmed = VecDeque::new();
        let mut count = 0;
        for record in records {
            if unconfirmed.len() == MOST_UNCONFIRMED
                && let Some(oldest) = unconfirmed.pop_front()
            {
                tokio::time::timeout(READ_TIMEOUT, oldest).await??;
            }
            unconfirmed.push_back(self.log.append(partition, record?));
            count += 1;
        }
        for appended in unconfirmed {
            tokio::time::timeout(READ_TIMEOUT, appended).await??;
        }
        Ok(count)
    }

    /// Where whoever has read all of a partition stands.
    pub async fn follower(&self, partition: TopicPartition) -> Result<Follower> {
        let position = self.read_partition(partition, |_, _| {}).await?.context("an empty log")?;
        Ok(position.follower)
    }

    async fn append(&self, partition: TopicPartition, value: Bytes) -> Result<()> {
        let record = NewRecord { value, ..NewRecord::default() };
        self.log.append(partition, record).await.with_context(|| format!("cannot append to {partition}"))?;
        Ok(())
    }

    pub async fn identity(&self) -> Result<Option<LogIdentity>> {
        tokio::time::timeout(READ_TIMEOUT, discover_identity(&self.log))
            .await
            .context("the log's identity cannot be read in time")?
            .context("the log's identity cannot be read")
    }

    /// `None` where there is no log yet.
    async fn read_partition(
        &self,
        partition: TopicPartition,
        mut each: impl FnMut(&Follower, &Outcome),
    ) -> Result<Option<Position>> {
        let Some(identity) = self.identity().await? else { return Ok(None) };
        let end = self.log.end(partition).await?;
        let mut follower = Follower::from_start(Chain::new(partition, Some(identity)));
        let mut last_accepted = None;
        let mut reader = self.log.read(partition, 0).await?;
        while follower.next_offset() < end {
            let records = tokio::time::timeout(READ_TIMEOUT, reader.next())
                .await
                .with_context(|| format!("nothing comes behind offset {}", follower.next_offset()))??;
            ensure!(!records.is_empty(), "a reader gave nothing");
            for record in records {
                let outcome = follower.follow(&record)?;
                if let Outcome::Accepted(accepted) = &outcome
                    && !matches!(accepted.content, Content::Claim { .. })
                {
                    last_accepted = Some(accepted.value.clone());
                }
                each(&follower, &outcome);
            }
        }
        Ok(Some(Position { follower, last_accepted }))
    }
}

fn note(log: &mut history::Log, partition: TopicPartition, follower: &Follower, outcome: &Outcome) {
    let accepted = match outcome {
        Outcome::Skipped(reason) => {
            *log.skipped.entry(reason.name()).or_insert(0) += 1;
            return;
        }
        Outcome::Accepted(accepted) => accepted,
    };
    let heads = log.heads.entry(partition.to_string()).or_default();
    heads.insert(accepted.offset + 1, follower.chain().head().to_string());
    match &accepted.content {
        Content::Claim { .. } => log.claims += 1,
        Content::Schema(_) | Content::Own => {}
        Content::Command(command) => log.records.push(record(partition, accepted.offset, command)),
    }
}

fn record(partition: TopicPartition, offset: u64, command: &Command) -> history::Record {
    history::Record {
        partition: partition.to_string(),
        offset,
        actor: command.actor.map(|actor| actor.0),
        key: command.key.and_then(|key| key.to_string().parse().ok()),
        events: command.events.iter().filter_map(event).collect(),
    }
}

/// `None` for what is no part of a room's timeline.
fn event(event: &Event) -> Option<history::Event> {
    let (room, seq) = event.timeline()?;
    let what = match event {
        Event::RoomCreated(e) => {
            What::Created { by: e.creator_id.0, from_beginning: e.history == History::FromBeginning }
        }
        Event::MemberJoined(e) => What::Joined { account: e.account_id.0 },
        Event::MemberLeft(e) => What::Left { account: e.account_id.0 },
        Event::MessageSent(e) => What::Sent { message: e.message_id.0, author: e.author_id.0 },
        // Nobody imports here, or does anything about roles.
        Event::ImportNoted(_)
        | Event::RoleSet(_)
        | Event::RoleDefined(_)
        | Event::RoleRemoved(_)
        | Event::OverrideSet(_)
        | Event::AccountRegistered(_)
        | Event::AccountClaimed(_)
        | Event::SessionEnded(_) => return None,
    };
    Some(history::Event { room: room.0, seq, what })
}
