//! Follows one partition and delivers its events.

use std::sync::Arc;
use std::time::Duration;

use roomlog_eventlog::{
    Accepted, AcceptedReader, Content, Cursor, LogError, ReadError, Topic, TopicPartition,
};
use roomlog_schemas::Event;
use roomlog_telemetry as telemetry;
use tokio::time::timeout;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::encode::entry_frame;
use crate::hub::Hub;
use crate::partition::Partition;
use crate::queue::Notice;
use crate::ring::Entry;
use crate::room::{Delivered, Encoding};

/// Labels the reader's metrics.
const READER: &str = "ws-fanout";
/// Longest that a partition waits for the key of one event.
const KEY_PATIENCE: Duration = Duration::from_millis(250);

pub(crate) struct Tail {
    hub: Arc<Hub>,
    partition: Arc<Partition>,
    /// Counts events.
    clock: u64,
    /// In the rings of this partition.
    ring_bytes: usize,
}

impl Tail {
    pub fn new(hub: Arc<Hub>, partition: Arc<Partition>) -> Self {
        Self { hub, partition, clock: 0, ring_bytes: 0 }
    }

    /// Runs until something that waiting does not mend; the answer says what.
    pub async fn run(mut self) -> String {
        let (mut reader, end) = match self.open().await {
            Ok(opened) => opened,
            Err(error) => return chain(&error),
        };
        self.partition.begin(reader.next_offset(), reader.next_offset() >= end);
        let mut backoff = self.hub.backoff();
        loop {
            match reader.next().await {
                Ok(records) => {
                    backoff.succeeded();
                    for record in &records {
                        self.record(record).await;
                    }
                    self.partition.advance(reader.next_offset(), reader.next_offset() >= end);
                    self.evict();
                }
                Err(error) if is_transient(&error) => self.pause(&mut backoff, &error).await,
                Err(error) => return chain(&error),
            }
            // A long log is read without ever waiting: others have a turn as well.
            tokio::task::consume_budget().await;
        }
    }

    /// A reader at the projection's cursor, and the log's end before it.
    async fn open(&self) -> Result<(AcceptedReader, u64), ReadError> {
        let mut backoff = self.hub.backoff();
        let cursor = self.cursor().await;
        loop {
            let opened = async {
                let end = self.hub.deps.log.end(self.partition.id).await?;
                Ok((AcceptedReader::open(&self.hub.deps.log, &cursor, READER).await?, end))
            };
            match opened.await {
                Err(error) if is_transient(&error) => self.pause(&mut backoff, &error).await,
                outcome => return outcome,
            }
        }
    }

    /// Of the projection `room_events`, or of the directory: rooms are looked up in the one, and what
    /// happens to accounts is read from the log alone.
    async fn cursor(&self) -> Cursor {
        let mut backoff = self.hub.backoff();
        let (deps, id) = (&self.hub.deps, self.partition.id);
        loop {
            let cursor = match id.topic {
                Topic::Rooms => deps.rooms.cursor(id).await,
                Topic::Accounts => deps.directory.cursor(id).await,
            };
            match cursor {
                Ok(cursor) => {
                    return cursor.unwrap_or_else(|| Cursor::start(deps.identity, id));
                }
                Err(error) => self.pause(&mut backoff, &error).await,
            }
        }
    }

    async fn pause(
        &self,
        backoff: &mut crate::backoff::Backoff,
        error: &(dyn std::error::Error + Send + Sync + 'static),
    ) {
        if backoff.failures() == 0 {
            let error = error as &dyn std::error::Error;
            tracing::warn!(partition = %self.partition.id, error, "the live stream waits for log or store");
        }
        self.partition.retrying(chain(error));
        tokio::time::sleep(backoff.next()).await;
    }

    async fn record(&mut self, record: &Accepted) {
        let Content::Command(command) = &record.content else { return };
        let span = deliver_span(self.partition.id, record);
        for event in &command.events {
            if let Some(entry) = Entry::new(event, record.offset, command.record_time_ms) {
                self.deliver(Arc::new(entry)).instrument(span.clone()).await;
            }
            match event {
                Event::MemberJoined(e) => {
                    self.hub.accounts.notify(e.account_id, || Notice::Joined {
                        room: e.room_id,
                        seq: e.seq,
                        left: None,
                        offset: record.offset,
                        lease: self.partition.lease(),
                    });
                }
                Event::MemberLeft(e) => {
                    let (room, seq) = (e.room_id, e.seq);
                    self.hub.accounts.notify(e.account_id, || Notice::Left { room, seq });
                }
                Event::SessionEnded(e) => self.hub.accounts.close_session(e.account_id, e.session_id),
                _ => {}
            }
        }
    }

    async fn deliver(&mut self, entry: Arc<Entry>) {
        self.clock += 1;
        let mut encoding = Encoding::Lazy;
        loop {
            let room = self.partition.room(entry.room);
            match room.deliver(&entry, encoding, self.clock, &self.hub.options) {
                Delivered::Done(bytes) => {
                    self.ring_bytes = self.ring_bytes.saturating_add_signed(bytes);
                    return;
                }
                Delivered::Gone => {}
                Delivered::NeedsFrame => {
                    let frame = timeout(KEY_PATIENCE, entry_frame(&self.hub.deps.sealer, &entry));
                    if !matches!(frame.await, Ok(Ok(_))) {
                        tracing::warn!(room = %entry.room, seq = entry.seq, "an event has to wait for its key");
                        encoding = Encoding::Failed;
                    }
                }
            }
        }
    }

    /// Keeps the rings of this partition within its part of the limit.
    fn evict(&mut self) {
        let most = self.hub.options.rings_bytes / self.hub.room_partitions().len().max(1);
        if self.ring_bytes > most {
            // More than is needed, so that it is not needed again at once.
            let freed = self.partition.evict(self.ring_bytes - most * 3 / 4);
            self.ring_bytes = self.ring_bytes.saturating_sub(freed);
        }
    }
}

/// A child of the command's span, where the record's trace is sampled.
fn deliver_span(partition: TopicPartition, record: &Accepted) -> Span {
    let Some(parent) = record.trace.filter(|_| telemetry::is_on()) else { return Span::none() };
    let span = tracing::info_span!(
        parent: None,
        "deliver",
        %partition,
        offset = record.offset,
        room = Empty,
        seq = Empty,
        sockets = Empty,
    );
    telemetry::child_of(&span, &parent);
    span
}

fn is_transient(error: &ReadError) -> bool {
    matches!(error, ReadError::Log(LogError::Unavailable(_) | LogError::UnknownOutcome(_)))
}

/// An error with its causes, on one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
