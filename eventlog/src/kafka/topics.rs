//! The log's topics and the short-lived ones: created if they are missing, checked at every start.

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

/// What a short-lived topic is created with. Nobody reads what is older than a moment; the rest is for a
/// look at what was said.
const BROADCAST_SETTINGS: [(&str, &str); 4] = [
    ("cleanup.policy", "delete"),
    ("retention.ms", "3600000"),
    // Retention takes whole segments.
    ("segment.ms", "600000"),
    ("segment.bytes", "16777216"),
];

const MIN_ISR_SETTING: &str = "min.insync.replicas";

/// For each single request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// For the first answer of any broker.
const REACH_TIMEOUT: Duration = Duration::from_secs(10);
/// The same where brokers and this process do not trust each other, which may pass: a broker that is
/// just starting can look like that.
const TRUST_TIMEOUT: Duration = Duration::from_secs(3);
/// Between two looks at what has come of it.
const REACH_STEP: Duration = Duration::from_millis(500);
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

/// Creates what is missing, if it may, checks the rest and says how many partitions there are. Blocks.
pub(super) fn prepare(config: &KafkaConfig, may_create: bool) -> Result<PartitionCounts, LogError> {
    let (client, admin) = connect(config)?;
    let mut counts = config.counts;
    for topic in Topic::ALL {
        let name = config.topic(topic);
        let count = config.counts.of(topic);
        let create = || {
            if !may_create {
                return Err(LogError::Fatal(format!("there is no topic {name}")));
            }
            if !(1..=SLOTS).contains(&count) {
                return Err(LogError::Fatal(format!("{topic} cannot have {count} partitions")));
            }
            let partitions = i32::try_from(count).expect("no more than there are slots");
            let (replication, min_isr) = wanted_copies(config, &client)?;
            let min_isr = min_isr.to_string();
            let settings = [&SETTINGS[..], &[(MIN_ISR_SETTING, min_isr.as_str())]].concat();
            create(&admin, &name, partitions, replication, &settings)
        };
        let found = find_or_create(&client, &name, create)?;
        check(config, &admin, &name, &found)?;
        match topic {
            Topic::Accounts => counts.accounts = found.partitions,
            Topic::Rooms => counts.rooms = found.partitions,
        }
    }
    Ok(counts)
}

/// Creates a short-lived topic if it is missing, of one partition. Of one that exists only what would
/// make it useless is refused. Blocks.
pub(super) fn prepare_broadcast(config: &KafkaConfig, name: &str) -> Result<(), LogError> {
    let (client, admin) = connect(config)?;
    let create = || {
        let (replication, _) = wanted_copies(config, &client)?;
        create(&admin, name, 1, replication, &BROADCAST_SETTINGS)
    };
    find_or_create(&client, name, create)?;
    let settings = describe(&admin, name)?;
    for (setting, wanted) in &BROADCAST_SETTINGS[..2] {
        let found = settings.get(*setting).map_or("nothing", String::as_str);
        if found == *wanted {
            continue;
        }
        // A compacted topic takes no message without a key.
        if *setting == "cleanup.policy" {
            return Err(deviation(name, setting, found, wanted));
        }
        tracing::info!(topic = name, setting, found, wanted, "a short-lived topic has a setting of its own");
    }
    Ok(())
}

type Clients = (BaseConsumer<Context>, AdminClient<Context>);

fn connect(config: &KafkaConfig) -> Result<Clients, LogError> {
    let failed = |error| log_error("connecting to Kafka", &error);
    let client =
        BaseConsumer::from_config_and_context(&config.asking(), Context::default()).map_err(failed)?;
    reach(&client, &config.topic(Topic::Accounts))?;
    let admin = AdminClient::from_config_and_context(&config.asking(), Context::default()).map_err(failed)?;
    Ok((client, admin))
}

/// Waits until a broker answers. `Fatal` if the reason that none does is a certificate or a password:
/// the library would try for ever.
fn reach(client: &BaseConsumer<Context>, any_topic: &str) -> Result<(), LogError> {
    let begun = Instant::now();
    loop {
        let Err(error) = client.fetch_metadata(Some(any_topic), REACH_STEP) else { return Ok(()) };
        // Serves what the client has to say.
        drop(client.poll(LOOK_AGAIN));
        while client.poll(Duration::ZERO).is_some() {}
        let trouble = client.context().trouble();
        if let Some(reason) = trouble.distrust
            && begun.elapsed() >= TRUST_TIMEOUT
        {
            return Err(LogError::Fatal(format!("no connection to Kafka: {reason}")));
        }
        if begun.elapsed() >= REACH_TIMEOUT {
            let reason = trouble.reason.unwrap_or_default();
            return Err(log_error(&format!("no connection to Kafka ({reason})"), &error));
        }
    }
}

/// The topic, with a leader for each partition.
fn find_or_create(
    client: &BaseConsumer<Context>,
    name: &str,
    create: impl FnOnce() -> Result<(), LogError>,
) -> Result<Found, LogError> {
    match find(client, name)? {
        Some(found) if found.all_led => return Ok(found),
        Some(_) => {}
        None => create()?,
    }
    await_topic(client, name)
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
    admin: &AdminClient<Context>,
    name: &str,
    partitions: i32,
    copies: i16,
    settings: &[(&str, &str)],
) -> Result<(), LogError> {
    let mut new = NewTopic::new(name, partitions, TopicReplication::Fixed(i32::from(copies)));
    for (setting, value) in settings {
        new = new.set(setting, value);
    }
    let failed = |error| log_error(&format!("creating the topic {name}"), &error);
    let results = block_on(admin.create_topics([&new], &options())).map_err(failed)?;
    for result in results {
        match result {
            Ok(_) => tracing::info!(topic = name, partitions, copies, "created a topic"),
            // By another process that starts at the same time.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, RDKafkaErrorCode::InvalidReplicationFactor)) => {
                return Err(LogError::Fatal(format!(
                    "the topic {name} cannot be created: there are fewer brokers than the {copies} copies it needs"
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
