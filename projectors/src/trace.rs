//! The part of projecting in the traces of records.

use roomlog_eventlog::{Accepted, Content, TopicPartition};
use roomlog_stores::progress::Projection;
use roomlog_telemetry as telemetry;
use tracing::Span;

use crate::batch::Batch;

/// One span `project` for each record of a sampled trace: a child of the command's. They are few, and
/// each lasts as long as its batch.
pub(crate) fn spans(projection: Projection, partition: TopicPartition, batch: &Batch) -> Vec<Span> {
    if !telemetry::is_on() {
        return Vec::new();
    }
    batch.records.iter().filter_map(|record| span(projection, partition, record)).collect()
}

fn span(projection: Projection, partition: TopicPartition, record: &Accepted) -> Option<Span> {
    let parent = record.trace?;
    let room = match &record.content {
        Content::Command(command) => command.events.iter().find_map(|event| event.timeline()),
        _ => None,
    };
    let span = tracing::info_span!(
        parent: None,
        "project",
        projection = projection.name(),
        %partition,
        offset = record.offset,
        room = room.map(|(room, _)| tracing::field::display(room)),
    );
    telemetry::child_of(&span, &parent);
    Some(span)
}
