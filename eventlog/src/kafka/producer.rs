//! Appending.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use tokio::sync::oneshot;

use super::client;
use crate::limit::check_record;
use crate::port::{Appended, LogError, NewRecord, confirmed};

/// How long the delivery thread waits at a time; deliveries end the wait. It bounds how long a
/// dropped producer lives on.
const POLL: Duration = Duration::from_millis(100);

/// The idempotent producer. One that meets an error which it cannot recover from is replaced, so
/// that later appends work.
pub(super) struct Producer {
    config: ClientConfig,
    current: Mutex<Arc<Client>>,
}

pub(super) type Client = BaseProducer<Deliveries>;
type Outcome = oneshot::Sender<Result<Appended, LogError>>;

impl Producer {
    pub fn new(config: ClientConfig) -> Result<Self, LogError> {
        let client = start(&config)?;
        Ok(Self { config, current: Mutex::new(client) })
    }

    /// Hands the record to the client at once, which keeps the order of calls per partition.
    pub fn append(
        &self,
        partition: Result<(&str, i32), LogError>,
        record: &NewRecord,
    ) -> BoxFuture<'static, Result<Appended, LogError>> {
        let called = Instant::now();
        let (reply, outcome) = oneshot::channel();
        let sent =
            check_record(record).and(partition).and_then(|partition| self.send(partition, record, reply));
        async move {
            sent?;
            let dropped = |_| LogError::UnknownOutcome("the log was closed".into());
            confirmed(called, async { outcome.await.map_err(dropped)? }).await
        }
        .boxed()
    }

    fn send(&self, partition: (&str, i32), record: &NewRecord, reply: Outcome) -> Result<(), LogError> {
        let client = self.client()?;
        let Err((error, refused)) = client.send(native(partition, record, Box::new(reply))) else {
            return Ok(());
        };
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::Fatal) {
            return Err(not_sent(&error));
        }
        // It failed since it was looked at.
        client.context().failed.store(true, Ordering::Release);
        self.client()?.send(refused).map_err(|(error, _)| not_sent(&error))
    }

    /// One that has not failed.
    fn client(&self) -> Result<Arc<Client>, LogError> {
        let mut current = self.current.lock().expect("nothing panics while it holds the producer");
        if current.context().failed.load(Ordering::Acquire) {
            let reason = current.client().fatal_error().map(|(_, reason)| reason);
            tracing::error!(reason, "the producer failed for good; a new one takes its place");
            metrics::counter!("roomlog_log_replaced_producers_total").increment(1);
            *current = start(&self.config)?;
        }
        Ok(current.clone())
    }
}

#[cfg(test)]
impl Producer {
    pub fn current(&self) -> Arc<Client> {
        self.current.lock().unwrap().clone()
    }
}

/// A client with the thread that serves its deliveries. The thread ends when the producer lets go
/// of the client; what is in flight then is given up, with an unknown outcome.
fn start(config: &ClientConfig) -> Result<Arc<Client>, LogError> {
    let client = BaseProducer::from_config_and_context(config, Deliveries::default())
        .map_err(|error| client::log_error("starting the producer", &error))?;
    let client = Arc::new(client);
    let weak = Arc::downgrade(&client);
    std::thread::Builder::new()
        .name("roomlog-append".into())
        .spawn(move || serve(&weak))
        .map_err(|error| LogError::Unavailable(format!("cannot start the producer's thread: {error}")))?;
    Ok(client)
}

fn serve(client: &Weak<Client>) {
    while let Some(client) = client.upgrade() {
        client.poll(POLL);
    }
}

fn native<'a>(
    (topic, partition): (&'a str, i32),
    record: &'a NewRecord,
    reply: Box<Outcome>,
) -> BaseRecord<'a, [u8], [u8], Box<Outcome>> {
    let mut native = BaseRecord::with_opaque_to(topic, reply).partition(partition).payload(&record.value[..]);
    if !record.key.is_empty() {
        native = native.key(&record.key[..]);
    }
    if !record.headers.is_empty() {
        let headers = OwnedHeaders::new_with_capacity(record.headers.len());
        native.headers = Some(
            record
                .headers
                .iter()
                .fold(headers, |headers, (key, value)| headers.insert(Header { key, value: Some(value) })),
        );
    }
    native
}

fn not_sent(error: &KafkaError) -> LogError {
    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) {
        metrics::counter!("roomlog_log_queue_full_total").increment(1);
        return LogError::Unavailable("queue full".into());
    }
    client::log_error("handing a record to the producer", error)
}

/// Resolves appends; called on the delivery thread.
#[derive(Default)]
pub(super) struct Deliveries {
    failed: AtomicBool,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            self.failed.store(true, Ordering::Release);
        }
        client::report(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Outcome>;

    fn delivery(&self, result: &DeliveryResult<'_>, reply: Self::DeliveryOpaque) {
        let outcome = match result {
            Ok(message) => appended(message.offset(), message.timestamp().to_millis()),
            Err((error, _)) => {
                metrics::counter!("roomlog_log_failed_appends_total").increment(1);
                Err(LogError::UnknownOutcome(error.to_string()))
            }
        };
        // Whoever appended may have stopped waiting.
        let _ = reply.send(outcome);
    }
}

/// A broker that finds a batch to be a repeat of one it has says so without its offset.
fn appended(offset: i64, time_ms: Option<i64>) -> Result<Appended, LogError> {
    let unknown = || LogError::UnknownOutcome("confirmed without an offset".into());
    let offset = u64::try_from(offset).map_err(|_| unknown())?;
    Ok(Appended { offset, append_time_ms: time_ms.ok_or_else(unknown)? })
}
