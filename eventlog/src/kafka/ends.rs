//! Where partitions end, asked from their leaders.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::Offset;
use tokio::sync::oneshot;

use super::client::{Context, log_error};
use super::{KafkaConfig, Topics};
use crate::partition::TopicPartition;
use crate::per_partition::PerPartition;
use crate::port::LogError;

/// How long a leader may take to answer. An owner gives a partition up before that.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Between two attempts within it.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// A client that only asks: on a connection with a waiting fetch the question would wait behind it.
pub(super) struct Ends {
    client: Arc<BaseConsumer<Context>>,
    topics: Topics,
    questions: Arc<PerPartition<Mutex<Question>>>,
}

/// Those who want to know the end of one partition.
#[derive(Default)]
struct Question {
    is_being_asked: bool,
    /// Came after the question that is being asked, so that its answer is too old for them.
    waiting: Vec<oneshot::Sender<Result<u64, LogError>>>,
}

impl Ends {
    pub fn new(config: &KafkaConfig, topics: Topics) -> Result<Self, LogError> {
        let client = BaseConsumer::from_config_and_context(&config.asking(), Context::default())
            .map_err(|error| log_error("starting a client", &error))?;
        let questions = Arc::new(PerPartition::new(topics.counts(), |_| Mutex::default()));
        Ok(Self { client: Arc::new(client), topics, questions })
    }

    /// As [`EventLog::end`](crate::EventLog::end). Of those that ask at the same time all but the
    /// first share one question.
    pub async fn end(&self, partition: TopicPartition) -> Result<u64, LogError> {
        let (reply, answer) = oneshot::channel();
        let is_being_asked = {
            let mut question = lock(self.questions.get(partition)?);
            question.waiting.push(reply);
            std::mem::replace(&mut question.is_being_asked, true)
        };
        if !is_being_asked {
            let (client, topics, questions) =
                (self.client.clone(), self.topics.clone(), self.questions.clone());
            tokio::task::spawn_blocking(move || {
                if let Ok(question) = questions.get(partition) {
                    ask_until_nobody_waits(question, || ask(&client, &topics, partition));
                }
            });
        }
        answer.await.map_err(|_| LogError::Unavailable("the question was cut off".into()))?
    }

    /// The first offset and the end of a partition. Blocks.
    pub fn range(&self, partition: TopicPartition) -> Result<(u64, u64), LogError> {
        let (topic, number) = self.topics.native(partition)?;
        let (low, high) = self
            .client
            .fetch_watermarks(topic, number, TIMEOUT)
            .map_err(|error| log_error(&format!("asking where {partition} begins and ends"), &error))?;
        Ok((low.try_into().unwrap_or(0), high.try_into().unwrap_or(0)))
    }
}

fn ask_until_nobody_waits(question: &Mutex<Question>, ask: impl Fn() -> Result<u64, LogError>) {
    loop {
        let waiting = {
            let mut question = lock(question);
            let waiting = std::mem::take(&mut question.waiting);
            question.is_being_asked = !waiting.is_empty();
            waiting
        };
        if waiting.is_empty() {
            return;
        }
        let answer = ask();
        for reply in waiting {
            // Whoever asked may have stopped waiting.
            let _ = reply.send(answer.clone());
        }
    }
}

/// Asks again while there is time: the leader may just have changed.
fn ask(client: &BaseConsumer<Context>, topics: &Topics, partition: TopicPartition) -> Result<u64, LogError> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let answer = ask_leader(client, topics, partition, left);
        let may_ask_again = matches!(answer, Err(LogError::Unavailable(_))) && left > ASK_AGAIN;
        // Serves what the client has logged meanwhile; it has no other events.
        let wait = if may_ask_again { ASK_AGAIN } else { Duration::ZERO };
        while client.poll(wait).is_some() {}
        if !may_ask_again {
            return answer;
        }
    }
}

/// One request to the leader; never what a consumer remembers from its last fetch.
fn ask_leader(
    client: &BaseConsumer<Context>,
    topics: &Topics,
    partition: TopicPartition,
    timeout: Duration,
) -> Result<u64, LogError> {
    let (topic, number) = topics.native(partition)?;
    let failed = |error| log_error(&format!("asking for the end of {partition}"), &error);
    let mut list = TopicPartitionList::new();
    // In this request the offset stands for a time, and this one for "the latest".
    list.add_partition_offset(topic, number, Offset::End).map_err(failed)?;
    let answers = client.offsets_for_times(list, timeout).map_err(failed)?;
    let answer = answers.find_partition(topic, number);
    let unusable = || LogError::Unavailable(format!("no answer about the end of {partition}"));
    let answer = answer.ok_or_else(unusable)?;
    answer.error().map_err(failed)?;
    match answer.offset() {
        Offset::Offset(end) => u64::try_from(end).map_err(|_| unusable()),
        _ => Err(unusable()),
    }
}

fn lock(question: &Mutex<Question>) -> std::sync::MutexGuard<'_, Question> {
    question.lock().expect("nothing panics while it holds a question")
}
