//! The log's topics: created if they are missing, checked at every start.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;

use super::KafkaConfig;
use super::client::{Context, log_error};
use crate::partition::{PartitionCounts, SLOTS, Topic};
use crate::port::LogError;

/// The largest batch that a log topic takes: 900 KiB of value with its key, headers and framing.
pub(super) const MAX_MESSAGE_BYTES: u32 = 1024 * 1024;

/// What every log topic must be set to, whatever else is configured.
const SETTINGS: [(&str, &str); 6] = [
    // Kept for ever.
    ("cleanup.policy", "delete"),
    ("retention.ms", "-1"),
    ("retention.bytes", "-1"),
    // A replica that is behind never leads: what was confirmed stays.
    ("unclean.leader.election.enable", "false"),
    ("message.timestamp.type", "LogAppendTime"),
    ("max.message.bytes", "1048576"),
];

const MIN_ISR_SETTING: &str = "min.insync.replicas";

/// For each single request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// For new topics to be known, with a leader for each partition.
const CREATION_TIMEOUT: Duration = Duration::from_secs(20);
/// Between two looks at a topic that is being created.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A topic as the cluster has it.
struct Found {
    partitions: u32,
    /// Of the partition with the fewest.
    replicas: i16,
    all_led: bool,
}

/// Creates what is missing, checks the rest and says how many partitions there are. Blocks.
pub(super) fn prepare(config: &KafkaConfig) -> Result<PartitionCounts, LogError> {
    let failed = |error| log_error("connecting to Kafka", &error);
    let client = BaseConsumer::from_config_and_context(&config.asking(), Context).map_err(failed)?;
    let admin = AdminClient::from_config_and_context(&config.asking(), Context).map_err(failed)?;
    let mut counts = config.counts;
    for topic in Topic::ALL {
        let name = config.topic(topic);
        let found = match find(&client, &name)? {
            Some(found) if found.all_led => found,
            Some(_) => await_topic(&client, &name)?,
            None => {
                create(config, &client, &admin, topic, &name)?;
                await_topic(&client, &name)?
            }
        };
        check(config, &admin, &name, &found)?;
        match topic {
            Topic::Accounts => counts.accounts = found.partitions,
            Topic::Rooms => counts.rooms = found.partitions,
        }
    }
    Ok(counts)
}

/// `None` if there is no such topic.
fn find(client: &BaseConsumer<Context>, name: &str) -> Result<Option<Found>, LogError> {
    let failed = |error| log_error(&format!("looking at the topic {name}"), &error);
    let metadata = client.fetch_metadata(Some(name), REQUEST_TIMEOUT).map_err(failed)?;
    let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else { return Ok(None) };
    match topic.error() {
        None => {}
        Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) => return Ok(None),
        Some(error) => return Err(failed(KafkaError::MetadataFetch(error.into()))),
    }
    let partitions = topic.partitions();
    Ok(Some(Found {
        partitions: u32::try_from(partitions.len()).unwrap_or(u32::MAX),
        replicas: partitions
            .iter()
            .map(|p| p.replicas().len())
            .min()
            .unwrap_or(0)
            .try_into()
            .unwrap_or(i16::MAX),
        all_led: !partitions.is_empty() && partitions.iter().all(|p| p.leader() >= 0),
    }))
}

/// Waits until all partitions have a leader; those of a topic that is being created come one after
/// the other.
fn await_topic(client: &BaseConsumer<Context>, name: &str) -> Result<Found, LogError> {
    let deadline = Instant::now() + CREATION_TIMEOUT;
    loop {
        match find(client, name)? {
            Some(found) if found.all_led => return Ok(found),
            _ if Instant::now() >= deadline => {
                return Err(LogError::Unavailable(format!(
                    "the topic {name} has partitions without a leader"
                )));
            }
            // Serves the client's log meanwhile.
            _ => drop(client.poll(LOOK_AGAIN)),
        }
    }
}

fn create(
    config: &KafkaConfig,
    client: &BaseConsumer<Context>,
    admin: &AdminClient<Context>,
    topic: Topic,
    name: &str,
) -> Result<(), LogError> {
    let count = config.counts.of(topic);
    if !(1..=SLOTS).contains(&count) {
        return Err(LogError::Fatal(format!("{topic} cannot have {count} partitions")));
    }
    let (replication, min_isr) = wanted_copies(config, client)?;
    let partitions = i32::try_from(count).expect("no more than there are slots");
    let min_isr = min_isr.to_string();
    let mut new = NewTopic::new(name, partitions, TopicReplication::Fixed(i32::from(replication)));
    for (setting, value) in SETTINGS {
        new = new.set(setting, value);
    }
    new = new.set(MIN_ISR_SETTING, &min_isr);
    let failed = |error| log_error(&format!("creating the topic {name}"), &error);
    let results = block_on(admin.create_topics([&new], &options())).map_err(failed)?;
    for result in results {
        match result {
            Ok(_) => {
                tracing::info!(topic = name, partitions, replication, min_isr, "created a topic of the log")
            }
            // By another process that starts at the same time.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, RDKafkaErrorCode::InvalidReplicationFactor)) => {
                return Err(LogError::Fatal(format!(
                    "the topic {name} cannot be created: there are fewer brokers than the {replication} copies it needs"
                )));
            }
            Err((_, code)) => return Err(failed(KafkaError::AdminOp(code))),
        }
    }
    Ok(())
}

/// Copies of each record and how many must be in sync: as configured, but no more than there are
/// brokers where a weak log is allowed.
fn wanted_copies(config: &KafkaConfig, client: &BaseConsumer<Context>) -> Result<(i16, i16), LogError> {
    if !config.allow_weak {
        return Ok((config.replication, config.min_isr));
    }
    let metadata = client
        .fetch_metadata(None, REQUEST_TIMEOUT)
        .map_err(|error| log_error("looking at the cluster", &error))?;
    let brokers = i16::try_from(metadata.brokers().len()).unwrap_or(i16::MAX).max(1);
    let replication = config.replication.min(brokers);
    Ok((replication, config.min_isr.min(replication)))
}

/// `Fatal` with the first setting that is not as it must be.
fn check(
    config: &KafkaConfig,
    admin: &AdminClient<Context>,
    name: &str,
    found: &Found,
) -> Result<(), LogError> {
    if found.partitions > SLOTS {
        return Err(deviation(
            name,
            "partitions",
            &found.partitions.to_string(),
            &format!("at most {SLOTS}"),
        ));
    }
    let settings = describe(admin, name)?;
    let setting = |name: &str| settings.get(name).map_or("nothing", String::as_str);
    for (wanted_name, wanted) in SETTINGS {
        let found = setting(wanted_name);
        if found != wanted {
            return Err(deviation(name, wanted_name, found, wanted));
        }
    }
    let min_isr = setting(MIN_ISR_SETTING).parse().unwrap_or(0);
    let copies =
        [("replication", found.replicas, config.replication), (MIN_ISR_SETTING, min_isr, config.min_isr)];
    for (what, found, wanted) in copies {
        if found >= wanted {
            continue;
        }
        if !config.allow_weak {
            return Err(deviation(name, what, &found.to_string(), &format!("at least {wanted}")));
        }
        tracing::warn!(
            topic = name,
            setting = what,
            found,
            wanted,
            "confirmed records of this log can be lost"
        );
    }
    Ok(())
}

fn deviation(topic: &str, setting: &str, found: &str, wanted: &str) -> LogError {
    LogError::Fatal(format!("the topic {topic} has {setting} {found}, wanted is {wanted}"))
}

/// The topic's settings as they are in force, wherever they were made.
fn describe(admin: &AdminClient<Context>, name: &str) -> Result<HashMap<String, String>, LogError> {
    let failed = |error| log_error(&format!("reading the settings of the topic {name}"), &error);
    let specifier = ResourceSpecifier::Topic(name);
    let described = block_on(admin.describe_configs([&specifier], &options())).map_err(failed)?;
    let Some(described) = described.into_iter().next() else {
        return Err(LogError::Unavailable(format!("no answer about the settings of the topic {name}")));
    };
    let resource = described.map_err(|code| failed(KafkaError::AdminOp(code)))?;
    Ok(resource.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect())
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT)).operation_timeout(Some(REQUEST_TIMEOUT))
}
