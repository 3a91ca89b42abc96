//! The spans of a command in a sampled trace: `command` around everything, wherever its partition is
//! owned, and below it `append` (until the log has confirmed the record) and
//! `read_back` (until the writer has read it back). The record's header names `command`.

use roomlog_eventlog::{NewRecord, TopicPartition, TraceContext};
use roomlog_telemetry as telemetry;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::request::{Outcome, Request};

/// Runs a command as a part of the current trace, if that is sampled.
pub(crate) async fn command<F: Future<Output = Outcome>>(
    partition: TopicPartition,
    mut request: Request,
    run: impl FnOnce(Request) -> F,
) -> Outcome {
    if telemetry::sampled().is_none() {
        return run(request).await;
    }
    let span = tracing::info_span!(
        "command",
        command = request.command.name(),
        %partition,
        outcome = Empty,
        offset = Empty,
    );
    request.traceparent = telemetry::sampled_of(&span).map(|context| context.to_string());
    let outcome = run(request).instrument(span.clone()).await;
    span.record("outcome", outcome.name());
    if let Outcome::Accepted { offset, .. } | Outcome::Unchanged { offset, .. } = &outcome {
        span.record("offset", offset);
    }
    outcome
}

/// The spans of a record that is about to be appended; without effect where its trace is not sampled.
pub(super) fn append_spans(partition: TopicPartition, record: &NewRecord) -> (Span, Span) {
    let parent = if telemetry::is_on() { TraceContext::sampled_of(&record.headers) } else { None };
    let Some(parent) = parent else { return (Span::none(), Span::none()) };
    let append = tracing::info_span!(parent: None, "append", %partition, bytes = record.value.len());
    let read_back = tracing::info_span!(parent: None, "read_back", %partition);
    telemetry::child_of(&append, &parent);
    telemetry::child_of(&read_back, &parent);
    (append, read_back)
}
